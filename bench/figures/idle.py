# SPDX-License-Identifier: Apache-2.0
"""What a program does that has nothing to do: the context switches of all its kernel threads while every connection is silent."""

import os
import time

from rig import pinned
from rig.load import Load
from rig.process import Site, Trouble

from .echo import MESSAGE, start

CONNECTIONS = 1000
SETTLING_SECONDS = 5  # the last stacks are given back and the last ticks are over
SECONDS = 10


def switches(pid):
    """So far, voluntary or not, of all kernel threads that there are."""
    total = 0
    for thread in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{thread}/status', encoding='latin-1') as file:
            total += sum(int(line.split()[1]) for line in file if 'ctxt_switches' in line)
    return total


def idle(build, kind='woven'):
    """Context switches in SECONDS of an echo server that holds CONNECTIONS, each served once."""
    with Site() as site:
        server = start(site, build, kind, [])
        held = Load(build, pinned.on(pinned.LOAD_CPU)).hold(
            'echo', server.port, connections=CONNECTIONS, size=MESSAGE, requests=CONNECTIONS, seconds=60, opening=256, reset=True)
        try:
            if held.open != CONNECTIONS:
                raise Trouble(f'{kind}: only {held.open} connections')
            time.sleep(SETTLING_SECONDS)
            before = switches(server.pid)
            time.sleep(SECONDS)
            return switches(server.pid) - before
        finally:
            held.go()
