# SPDX-License-Identifier: Apache-2.0
"""What very many parked threads take, by their number; and what a mutex costs that very many threads want."""

from rig.load import parse
from rig.mode import Native, Woven
from rig.process import Site, Trouble
from rig.report import median

from .micro import pair_of_modes, parked_once

STACK = '64K'


def parked(build, threads, woven=True):
    """The figures of `parked`; natively as far as the kernel gives threads."""
    figures = parked_once(build, Woven(build, STACK=STACK) if woven else Native(), threads, words=('unguarded',))
    figures['kib_each'] = (figures['rss_kb'] + figures['tables_kb']) / threads
    return figures


def run_once(build, mode, program, *words):
    """The figures of a program that prints one line of them."""
    with Site() as site:
        done = site.run([f'{build}/{program}', *map(str, words)], mode, seconds=60)
        if done.status != 0:
            raise Trouble(f'{program}, {mode.name}: status {done.status}: {done.err()[-300:]}')
        return parse(done.out())


def contended(build, threads, section_ns, runs=3, milliseconds=1000):
    """(native, woven) acquisitions a second, on all CPUs."""
    taken = {'native': [], 'woven': []}
    for _ in range(runs):
        for mode in pair_of_modes(build):
            taken[mode.name].append(run_once(build, mode, 'contended', threads, section_ns, milliseconds)['rate'])
    return median(taken['native']), median(taken['woven'])


PAIRS = 64
WORK_NS = 5000  # of each answer
SPREAD = 64  # threads that one wakes at once


def workers(build, most=2, runs=5, milliseconds=1000):
    """By number of workers, medians: answers a second of threads in pairs, whose answers each take some computing."""
    taken = {count: [] for count in range(1, most + 1)}
    for _ in range(runs):
        for count in taken:
            taken[count].append(run_once(build, Woven(build, WORKERS=count), 'pairs', PAIRS, WORK_NS, milliseconds)['rate'])
    return {count: median(rates) for count, rates in taken.items()}


def spread(build, runs=5):
    """By mode, medians of (median, most) microseconds until work that one thread makes begins elsewhere."""
    taken = {'native': [], 'woven': []}
    for _ in range(runs):
        for mode in pair_of_modes(build):
            figures = run_once(build, mode, 'pairs', 'spread', SPREAD)
            taken[mode.name].append((figures['first_us'], figures['most_us']))
    return {name: tuple(median(column) for column in zip(*rows)) for name, rows in taken.items()}
