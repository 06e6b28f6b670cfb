# SPDX-License-Identifier: Apache-2.0
"""Pinning and priority, so that a busy machine does not disturb a figure more on one side than on the other."""

import contextlib
import functools
import os
import subprocess

SERVER_CPU = 0
LOAD_CPU = 1
PREFERRED_NICE = -20
AUTOGROUP = '/proc/self/autogroup'  # of the session: where the kernel groups by it, niceness counts only within one


@functools.cache
def realtime():
    """Whether this user may ask for real-time priority."""
    return subprocess.run(['chrt', '-f', '1', 'true'], capture_output=True, check=False).returncode == 0


def on(cpu, with_priority=False):
    """The words before a command that is to run on one CPU; on a machine that has not got it, on any."""
    words = ['chrt', '-f', '1'] if with_priority and realtime() else []
    return words + (['taskset', '-c', str(cpu)] if cpu in os.sched_getaffinity(0) else [])


def described():
    """What to say about the conditions of a measurement."""
    return 'real-time priority (chrt -f 1)' if realtime() else 'ordinary priority (chrt -f 1 is not permitted here)'


@contextlib.contextmanager
def preferred():
    """Meanwhile what this process starts comes before what others run, in the ordinary scheduling class, as far as it is permitted."""
    nice, group = os.getpriority(os.PRIO_PROCESS, 0), None
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, PREFERRED_NICE)
        with open(AUTOGROUP, encoding='ascii') as file:
            group = file.read().split()[-1]
        nice_of_session(PREFERRED_NICE)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, nice)
            if group is not None:
                nice_of_session(group)


def nice_of_session(nice):
    with open(AUTOGROUP, 'w', encoding='ascii') as file:
        file.write(str(nice))
