# SPDX-License-Identifier: Apache-2.0
"""What the explicit API costs, beside kernel threads in the same program and beside Go, in turn; and one switch, by everything there is."""

import os
import resource

from rig import pinned
from rig.load import parse
from rig.mode import Linked, Native
from rig.process import Sampler, Site, Trouble
from rig.report import median

# By name: the words of explicit.c's programs, for coroutines and goroutines, and for kernel threads, which take longer.
PROGRAMS = {
    'yield': (('yield', 4_000_000), ('yield', 200_000)),
    'channel, one way': (('ping_pong', 2_000_000), ('ping_pong', 40_000)),
    'actor ring of 10,000, a message': (('ring', 2_000_000, 10_000), ('ring', 40_000, 10_000)),
    'made, run and joined': (('storm', 1_000_000), ('storm', 20_000)),
}
WITHOUT_GO = ('yield',)  # it has no counter of its switches
LEAVES = 1_000_000


def tool(build, name):
    path = os.path.join(build, name)
    if not os.path.exists(path):
        raise Trouble(f'{name} is not built: tests/install-packages build bench, then configure and build again')
    return path


def once(build, kind, words, prefix=(), seconds=300):
    """The figures of one run: of 'coroutines', 'threads' or 'goroutines'; its seconds of CPU, and the most memory it had, in MiB."""
    program, *rest = words
    go = kind == 'goroutines'
    argv = [tool(build, 'explicit_go' if go else 'explicit'), program] + ([] if go else [kind]) + [str(word) for word in rest]
    with Site(counters=False) as site:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = site.start(argv, Native() if go else Linked(), prefix=prefix)
        sampler = Sampler(process.pid)
        status = process.wait(seconds)
        sampler.stop()
        if status != 0:
            raise Trouble(f'{argv[0]} {program}, {kind}: status {status}: {process.err()[-300:]}')
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return {**parse(process.out()), 'cpu': cpu, 'mib': sampler.memory_kb / 1024}


def one_cpu(build, name, runs):
    """Medians of nanoseconds by kind, on one CPU at real-time priority where that is permitted."""
    taken = {}
    woven, native = PROGRAMS[name]
    for _ in range(runs):
        for kind in ('coroutines', 'goroutines', 'threads'):
            if kind == 'goroutines' and name in WITHOUT_GO:
                continue
            figures = once(build, kind, native if kind == 'threads' else woven, pinned.on(pinned.SERVER_CPU, True))
            taken.setdefault(kind, []).append(figures['ns_each'])
    return {kind: median(values) for kind, values in taken.items()}


def skynet(build, runs, leaves=LEAVES):
    """By kind, medians of (seconds, seconds of CPU, MiB) of the tree, on all CPUs."""
    taken = {'coroutines': [], 'goroutines': []}
    for _ in range(runs):
        for kind, rows in taken.items():
            figures = once(build, kind, ('skynet', leaves))
            if figures['result'] != leaves * (leaves - 1) // 2:
                raise Trouble(f'skynet, {kind}: the sum is {figures["result"]}')
            rows.append((figures['seconds'], figures['cpu'], figures['mib']))
    return {kind: tuple(median(column) for column in zip(*rows)) for kind, rows in taken.items()}


def switches(build, runs):
    """Medians of nanoseconds of one switch, by what makes it."""
    taken = {}
    for _ in range(runs):
        with Site(counters=False) as site:
            done = site.run([tool(build, 'switches')], prefix=pinned.on(pinned.SERVER_CPU, True), seconds=120)
            if done.status != 0:
                raise Trouble(f'switches: status {done.status}: {done.err()[-300:]}')
            for name, value in parse(done.out()).items():
                taken.setdefault(name, []).append(value)
    return {name: median(values) for name, values in taken.items()}
