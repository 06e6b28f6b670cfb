# SPDX-License-Identifier: Apache-2.0
"""Latency of the three echo servers at given rates: an open loop, each latency counted from when the request was due.

The server has one CPU and the load another, both in the ordinary scheduling class: from a real-time task the kernel takes 50 ms of
every second, which would be the tail of every server. A neighbour runs on the server's CPU.
"""

from rig import pinned
from rig.load import Load
from rig.others import Watch
from rig.process import Site, Trouble
from rig.report import median

from . import echo

# A run is made again beside which other processes took more of a CPU, or in which the generator, which has a CPU of its own, began
# requests later: then whatever kept it waiting, such as the machine's own host, kept the server waiting too.
OTHERS_SHARE = 0.05
LAG_US = 1000
ATTEMPTS = 2
DRAIN_SECONDS = 10  # for what is due still at the end

HOG_SECONDS = 60  # at most; each is stopped when the load is done
HOG_MEGABYTES = 8_000
HOGS = {
    'cpu': lambda site: ['cpu', str(HOG_SECONDS)],
    'disk': lambda site: ['disk', str(HOG_SECONDS), str(HOG_MEGABYTES), site.directory],
}


def once(build, kind, connections, seconds, rate=None, hog=None):
    """The figures of one run; without a rate, of a closed loop."""
    with Site() as site:
        server = echo.start(site, build, kind, pinned.on(pinned.SERVER_CPU))
        held = Load(build, pinned.on(pinned.LOAD_CPU)).hold(
            'echo', server.port, connections=connections, size=echo.MESSAGE, seconds=seconds, warm=0.5, opening=256, reset=True,
            many_sources=connections > 8000, server_pid=server.pid, timeout=DRAIN_SECONDS, rate=rate)
        neighbour = None
        if hog:
            neighbour = site.start([f'{build}/hog', *HOGS[hog](site)], prefix=pinned.on(pinned.SERVER_CPU))
            neighbour.says('hogging')
        watch = Watch()
        figures = held.go()
        figures['others'] = watch.share()
        if neighbour and not neighbour.alive():
            raise Trouble(f'the hog {neighbour.described()}')
        if figures['errors'] or figures['open'] != connections:
            raise Trouble(f'{kind}, {connections} connections: {figures["complaints"] or figures}')
        return figures


def undisturbed(*what):
    """The first of some runs that had the machine for itself, or the one that came nearest to it."""
    taken = []
    for _ in range(ATTEMPTS):
        taken.append(once(*what))
        if disturbance(taken[-1]) <= 1:
            break
    return min(taken, key=disturbance)


def disturbance(figures):
    return max(figures['others'] / OTHERS_SHARE, figures.get('lag_p99_us', 0) / LAG_US)


def measured(build, connections, runs, seconds, groups):
    """(by kind, medians of its closed loops; by (hog, whose, share, kind), medians of its open loops).

    A group is (whose, hog, (share, kind)s): a closed loop of a server alone, then open loops at shares of what it just reached. What a
    machine with others on its host reaches is not the same a minute later. Groups take turns.
    """
    closed, taken = {}, {}
    for _ in range(runs):
        for whose, hog, members in groups:
            saturated = undisturbed(build, whose, connections, seconds)
            closed.setdefault(whose, []).append(saturated)
            for share, kind in members:
                figures = undisturbed(build, kind, connections, seconds, round(share * saturated['rps']), hog)
                taken.setdefault((hog, whose, share, kind), []).append(figures)
    return medians(closed), medians(taken)


def medians(taken):
    return {key: {name: median([figures[name] for figures in rows]) for name in rows[0] if name != 'complaints'}
            for key, rows in taken.items()}
