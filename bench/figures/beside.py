# SPDX-License-Identifier: Apache-2.0
"""Fairness: echo connections beside a thread that computes, blocks where nobody sees it, or spins; and how work spreads."""

from figures import echo
from rig import stats
from rig.load import Load
from rig.mode import Native, Woven
from rig.process import Site, Trouble

CONNECTIONS = 100
BESIDE_SECONDS = 10
LOAD_SECONDS = 7  # with the opening, less than what is beside it takes


def echo_beside(build, kind, what):
    """The figures of echo connections while another thread of the server does `what`; one worker."""
    with Site() as site:
        server = echo.start(site, build, kind, [], what, str(BESIDE_SECONDS), WORKERS=1)
        figures = Load(build).run('echo', server.port, LOAD_SECONDS, connections=CONNECTIONS)
        if 'beside done' in server.out():
            raise Trouble(f'{what}: it was over before the load was')
        server.says('beside done')
        server.stop()
        return figures


def busy(build, workers, threads, pieces, native=False):
    """(seconds, counters or None) of a run of the busy program."""
    with Site() as site:
        mode = Native() if native else Woven(build, WORKERS=workers)
        done = site.run([f'{build}/busy', str(threads), str(pieces)], mode, seconds=120)
        if done.status != 0:
            raise Trouble(f'busy: status {done.status}: {done.err()[-300:]}')
        return float(done.out().split()[1]), None if native else stats.of(done)


def pieces_of(build, seconds):
    """How many pieces of work take one thread so long on this machine."""
    trial = 2000
    return max(1, int(trial * seconds / busy(build, 1, 1, trial, native=True)[0]))


def two_computing(build, seconds=2):
    """Seconds that two threads of `seconds` of work each take with one worker and with two."""
    pieces = pieces_of(build, seconds)
    return busy(build, 1, 2, pieces)[0], busy(build, 2, 2, pieces)[0]


def shares(build, threads=200, workers=2):
    """By worker, its share of all switches in a run of many busy threads that one thread made."""
    pieces = max(1, pieces_of(build, 4) // threads)
    block = busy(build, workers, threads, pieces)[1]
    if block is None:
        raise Trouble('busy left no counters')
    total = sum(block.switches.values())
    return [count / total if total else 0 for _, count in sorted(block.switches.items())]
