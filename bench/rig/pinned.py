# SPDX-License-Identifier: Apache-2.0
"""Pinning and real-time priority, so that a busy machine does not disturb a figure more on one side than on the other."""

import functools
import os
import subprocess

SERVER_CPU = 0
LOAD_CPU = 1


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
