# SPDX-License-Identifier: Apache-2.0
"""What the machine's other processes take while a figure is measured."""

import os
import time

from .process import stat_fields, tree

KTHREADD = 2  # the parent of the kernel's own threads, which work for whom they serve
TICKS = os.sysconf('SC_CLK_TCK')


def cpu_seconds():
    """CPU time so far of all processes but this one and its descendants; with that of children that have ended."""
    ours, ticks = set(tree(os.getpid())), 0
    for name in os.listdir('/proc'):
        fields = stat_fields(name) if name.isdigit() and int(name) not in ours else None
        if fields and int(fields[1]) != KTHREADD:
            ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS


class Watch:
    """share(): of one CPU, what the others have taken since the watch was made."""

    def __init__(self):
        self.began, self.before = time.monotonic(), cpu_seconds()

    def share(self):
        return (cpu_seconds() - self.before) / (time.monotonic() - self.began)
