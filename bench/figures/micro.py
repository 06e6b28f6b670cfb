# SPDX-License-Identifier: Apache-2.0
"""Micro-benchmarks, first creations and parked threads: the same pthread programs natively and woven, in turn."""

import json

from rig import pinned
from rig.load import parse
from rig.mode import Native, Woven
from rig.process import Site, Trouble
from rig.report import median

NAMES = ('yield', 'yield_elsewhere', 'create_join', 'mutex_uncontended', 'mutex_contended', 'condvar_round_trip', 'pipe_round_trip',
         'sleep_lateness')


def pair_of_modes(build, **variables):
    return Native(), Woven(build, **variables)


def once(build, mode, seconds, pattern):
    """Nanoseconds by benchmark, all of one process on one CPU, at real-time priority where that is permitted."""
    with Site() as site:
        done = site.run([f'{build}/micro', '--benchmark_format=json', f'--benchmark_min_time={seconds}',
                         f'--benchmark_filter={pattern}'], mode, prefix=pinned.on(pinned.SERVER_CPU, True), seconds=120)
        if done.status != 0:
            raise Trouble(f'micro, {mode.name}: status {done.status}: {done.err()[-300:]}')
        return {row['name'].split('/')[0]: row.get('ns', row['real_time']) for row in json.loads(done.out())['benchmarks']}


def medians(build, runs=5, seconds=0.3, pattern='.'):
    """By benchmark, (native, woven) in nanoseconds."""
    taken = {'native': [], 'woven': []}
    for _ in range(runs):
        for mode in pair_of_modes(build):
            taken[mode.name].append(once(build, mode, seconds, pattern))
    return {name: tuple(median([run[name] for run in taken[kind]]) for kind in ('native', 'woven'))
            for name in taken['native'][0]}


def parked_once(build, mode, threads, prefix=(), words=()):
    with Site() as site:
        done = site.run([f'{build}/parked', str(threads), *words], mode, seconds=300, prefix=prefix)
        if done.status != 0:
            raise Trouble(f'parked {threads}, {mode.name}: status {done.status}: {done.err()[-300:]}')
        return parse(done.out())


def first_creations(build, runs=5, threads=10_000):
    """(native, woven) nanoseconds for each of the first threads of a process, until all run."""
    taken = {'native': [], 'woven': []}
    for _ in range(runs):
        for mode in pair_of_modes(build):
            figures = parked_once(build, mode, threads, pinned.on(pinned.SERVER_CPU, True))
            taken[mode.name].append(figures['first_ns'])
    return median(taken['native']), median(taken['woven'])


def parked_memory(build, threads=100_000, native_threads=20_000):
    """What waiting threads take, natively as many as an ordinary kernel allows."""
    native = parked_once(build, Native(), native_threads)
    woven = parked_once(build, Woven(build, STACK='256K'), threads)
    for figures in (native, woven):
        figures['kib_each'] = (figures['rss_kb'] + figures['tables_kb']) / figures['threads']
    return native, woven
