# SPDX-License-Identifier: Apache-2.0
"""What weft trace costs a server: the woven echo server with and without a recording, in turn, in one process.

The server has one CPU; the load and the recorder share another. So requests come at a rate that both can keep: in a closed loop the
recorder would take the load's CPU, and with fewer requests at a time each costs the server more, whoever looks. Nothing has real-time
priority: what has would leave the recorder no CPU.
"""

import json
import os
import signal
import subprocess

from rig import pinned, recipes
from rig.load import Load
from rig.mode import Woven
from rig.process import Site, Trouble
from rig.report import median

from .echo import MESSAGE

FIGURES = ('rps', 'p50_us', 'p99_us', 'cpu_us')


class Recording:
    """weft trace of a process, until stop()."""

    def __init__(self, build, pid):
        words = [*pinned.on(pinned.LOAD_CPU), os.path.join(build, 'weft-inspect'), 'trace', str(pid), '-o', '/dev/null', '-d', '10m', '--json']
        self.popen = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def stop(self):
        """Events a second, and how many of all were lost."""
        self.popen.send_signal(signal.SIGINT)
        out, err = self.popen.communicate(timeout=300)
        if self.popen.returncode:
            raise Trouble(f'weft trace: {err}')
        answer = json.loads(out)
        return {'events': answer['events'] / (answer['nanoseconds'] / 1e9), 'lost': answer['lost']}


def once(build, server, connections, seconds, rate=None, recorded=False):
    how = {'rate': rate} if rate else {}
    recording = Recording(build, server.pid) if recorded else None
    try:
        figures = Load(build, pinned.on(pinned.LOAD_CPU)).run(
            'echo', server.port, seconds, connections=connections, size=MESSAGE, warm=1, opening=256, reset=True, server_pid=server.pid,
            timeout=60, **how)
    finally:
        told = recording.stop() if recording else {}
    if figures['errors'] or figures['open'] != connections:
        raise Trouble(f'{connections} connections: {figures["complaints"] or figures}')
    return {**figures, **told}


def medians(build, connections, runs, seconds, share):
    """(without, with) a recording, at that share of what a closed loop reaches: medians of so many turns of two runs, and of their changes."""
    taken = {False: [], True: []}
    with Site() as site, pinned.preferred():
        server = recipes.announced(site, [f'{build}/echo_threads'], Woven(build), prefix=pinned.on(pinned.SERVER_CPU))
        rate = int(share * once(build, server, connections, seconds)['rps'])
        for turn in range(runs):
            for recorded in (False, True) if turn % 2 else (True, False):
                taken[recorded].append(once(build, server, connections, seconds, rate, recorded))
    keys = {False: FIGURES, True: (*FIGURES, 'events', 'lost')}
    without, recorded = ({key: median([figures[key] for figures in taken[on]]) for key in keys[on]} for on in (False, True))
    # Of each turn by itself: what disturbs the machine for longer than a turn is in both of its runs.
    recorded['change'] = median([with_['cpu_us'] / plain['cpu_us'] - 1 for plain, with_ in zip(taken[False], taken[True])])
    return without, recorded
