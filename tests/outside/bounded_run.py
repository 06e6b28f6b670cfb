# SPDX-License-Identifier: Apache-2.0
"""One run of an outside program: natively or woven, bounded in time, with what it printed and the counters it left."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'bench'))

from rig import stats  # noqa: E402

NATIVE = {}


def argument_parser(description):
    """What every suite's run is told; each adds its own."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--library', required=True, help='libweft.so to preload')
    parser.add_argument('--counter', required=True, help='the preload library that counts threads')
    parser.add_argument('--build', required=True, help='where sources, programs and output are kept from one run to the next')
    parser.add_argument('--sample', action='store_true', help='only the fixed part of the suite that runs by default')
    return parser


def woven(library, workers):
    """The variables of a woven run."""
    return {'LD_PRELOAD': library, 'WEFT_WORKERS': str(workers), 'WEFT_STATS': 'yes'}


def disabled(library):
    """The library is loaded and weaves nothing: the control of every proof."""
    return {'LD_PRELOAD': library, 'WEFT_DISABLE': '1', 'WEFT_STATS': 'yes'}


def counting(counter):
    """A native run that counts the threads it makes: thread_count.c."""
    return {'LD_PRELOAD': counter, 'THREAD_COUNT': 'yes'}


class Result:
    """How a run ended (None where it had to be stopped), its output, its counters, and the threads it made if counted."""

    def __init__(self, pid, status, output, blocks, threads):
        self.pid, self.status, self.output, self.blocks, self.threads = pid, status, output, blocks, threads

    @property
    def ending(self):
        if self.status is None:
            return 'timed out'
        if self.status >= 0:
            return f'exit status {self.status}'
        return f'died of {signal.Signals(-self.status).name}'

    def own_block(self):
        return next((block for block in reversed(self.blocks) if block.pid == self.pid), None)


def kill_session(leader):
    """Kills what is left of the session that the process began, whatever process groups it has made."""
    for entry in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{entry}/stat', 'rb') as file:
                session = int(file.read().rpartition(b')')[2].split()[3])
            if session == leader:
                os.kill(int(entry), signal.SIGKILL)
        except (OSError, IndexError):
            pass


def run(command, variables, timeout, environment=None, prepare=None):
    """Runs the command in an empty directory of its own; what outlives it or `timeout` is killed with its session.

    `prepare(directory, values)` may put something there and change the variables before the start.
    """
    values = {name: value for name, value in os.environ.items() if not name.startswith(('WEFT_', 'LD_'))}
    values.update(environment or {})
    values.update(variables)
    with tempfile.TemporaryDirectory(prefix='weft-outside-', ignore_cleanup_errors=True) as base:
        paths = {name: os.path.join(base, name) for name in ('stats', 'threads', 'output')}
        for path in paths.values():
            open(path, 'wb').close()
            os.chmod(path, 0o666)
        os.chmod(base, 0o755)
        directory = os.path.join(base, 'cwd')
        os.mkdir(directory)
        for name, path in (('WEFT_STATS', paths['stats']), ('THREAD_COUNT', paths['threads'])):
            if name in values:
                values[name] = path
        if prepare:
            prepare(directory, values)
        with open(paths['output'], 'ab') as output:
            process = subprocess.Popen(command, cwd=directory, env=values, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, start_new_session=True)
            status = None
            try:
                status = process.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
            kill_session(process.pid)
            process.wait()
        with open(paths['output'], encoding='utf-8', errors='backslashreplace') as file:
            text = file.read()
        with open(paths['threads'], 'rb') as file:
            threads = int.from_bytes(file.read(), 'little')
        return Result(process.pid, status, text, stats.read(paths['stats']), threads)
