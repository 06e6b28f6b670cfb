# SPDX-License-Identifier: Apache-2.0
"""What a look at a live program costs it and the machine: the longest that a thread of its own did not get to look at the clock while
`weft bt` goes over its coroutines again and again, against the same with nobody looking; and the CPU time of each look."""

import os
import resource
import subprocess
import time

from rig import pinned
from rig.mode import Woven
from rig.process import Site, Trouble
from rig.report import median

BEAT_MS = 300
PAUSE_SECONDS = 0.1  # between two: real-time priority is for 95 % of the time
PATIENCE = 120


def look(command):
    """Seconds of CPU that a command takes; its output is thrown away."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise Trouble(f'{command}: status {done.returncode}: {done.stderr[-300:]}')
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def heartbeat(build, coroutines, rounds):
    """Gaps in nanoseconds of `rounds` spans each, nobody looking and somebody looking in turn, and seconds of CPU of every look."""
    idle, watched, cpu = [], [], []
    command = [*pinned.on(pinned.LOAD_CPU), f'{build}/weft-inspect', 'bt']
    gate, ours = os.pipe()
    with Site() as site, os.fdopen(ours, 'wb', buffering=0) as spoken:
        target = site.start([os.path.abspath(f'{build}/tests/inspect/inspect_depths'), str(coroutines)], Woven(build), stdin=gate,
                            prefix=pinned.on(pinned.SERVER_CPU, True))
        os.close(gate)
        target.says('ready')

        def gaps():
            return [int(line.split()[1]) for line in target.out().split('\n')[:-1] if line.startswith('gap ')]

        look([*command, str(target.pid)])  # what is read for the first time
        for turn in range(2 * rounds):
            time.sleep(PAUSE_SECONDS)
            spoken.write(f'beat {BEAT_MS}\n'.encode())
            while len(gaps()) == turn and target.alive():
                if turn % 2:
                    cpu.append(look([*command, str(target.pid)]))
                else:
                    time.sleep(0.01)
            if not target.alive():
                raise Trouble(f'the target {target.described()}')
            (watched if turn % 2 else idle).append(gaps()[turn])
    return idle, watched, cpu


def summary(values, unit):
    return median(values) / unit, max(values) / unit
