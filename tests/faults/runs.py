# SPDX-License-Identifier: Apache-2.0
"""One run of a program under the injector, and what kind of end it came to."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'bench'))

from rig import stats  # noqa: E402

TIMED_OUT = 124  # the injector's exit status


def call_numbers():
    with open('/usr/include/x86_64-linux-gnu/asm/unistd_64.h', encoding='ascii') as file:
        return {name: int(number) for name, number in re.findall(r'#define __NR_(\w+) (\d+)', file.read())}


NUMBERS = call_numbers()
NAMES = {number: name for name, number in NUMBERS.items()}


@dataclass
class Fault:
    """What is done to which calls. `every` 0: once; `within`: a library's own calls alone; `at`: those of one place."""

    call: str
    error: int = 0
    short: int = 0
    first: int = 1
    every: int = 0
    within: str = ''
    at: str = ''
    after: str = ''
    streams: bool = False

    def arguments(self):
        words = ['--calls', ','.join(str(NUMBERS[name]) for name in self.call.split(',')), '--first', str(self.first),
                 '--every', str(self.every)]
        words += ['--short', str(self.short)] if self.short else ['--error', str(self.error)]
        if self.within:
            words += ['--within', self.within]
        if self.at:
            words += ['--at', self.at]
        if self.after:
            words += ['--after', str(NUMBERS[self.after])]
        if self.streams:
            words.append('--streams')
        return words

    def __str__(self):
        what = f'{self.short} bytes at a time' if self.short else os.strerror(self.error)
        when = f'call {self.first}' + (f' at {self.at}' if self.at else '') + (f' and every {self.every} from there' if self.every else '')
        return f'{self.call}: {what}, {when}'


@dataclass
class Report:
    """What the injector says of a run."""

    matching: int = 0
    spoilt: int = 0
    calls: dict = field(default_factory=dict)
    met: list = field(default_factory=list)  # places in the library, in hexadecimal
    sites: list = field(default_factory=list)  # those that were spoilt


def read_report(path):
    report = Report()
    if not os.path.exists(path):
        return report
    with open(path, encoding='ascii') as file:
        for line in file:
            words = line.split()
            if words[0] == 'call':
                report.calls[NAMES[int(words[1])]] = int(words[2])
            elif words[0] == 'met':
                report.met.append(words[1])
            elif words[0] == 'site':
                report.sites.append(words[1])
            else:
                setattr(report, words[0], int(words[1]))
    return report


@dataclass
class Run:
    """A run that is over."""

    status: int
    out: str
    err: str
    report: Report
    counters: object  # stats.Block of the program itself, or None

    @property
    def hung(self):
        return self.status == TIMED_OUT

    @property
    def said(self):
        return [line for line in self.err.splitlines() if line.startswith('weft: ')]


class Injector:
    """Runs programs of the build directory under the injector, natively or with the library."""

    def __init__(self, build, workers):
        self.build = os.path.abspath(build)
        self.library = os.path.join(self.build, 'libweft.so')
        self.tool = os.path.join(self.build, 'inject')
        self.workers = workers

    def program(self, name):
        return os.path.join(self.build, 'tests', 'programs', 'bin', name)

    def environment(self, woven, stats_path):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(('WEFT_', 'LD_'))}
        if woven:
            # The injector's own filter would be taken for a sandbox, in which files go by regions.
            kept |= {'INJECT_PRELOAD': self.library, 'WEFT_WORKERS': str(self.workers), 'WEFT_STATS': stats_path, 'WEFT_FILES': 'uring'}
        return kept

    def run(self, argv, fault=None, woven=True, seconds=15, counted=False):
        """`counted`: nothing is spoilt; the library's calls are counted, or the program's own in a native run."""
        with tempfile.TemporaryDirectory(prefix='weft-faults-') as directory:
            os.chmod(directory, 0o777)
            report, table = os.path.join(directory, 'report'), os.path.join(directory, 'stats')
            with open(table, 'w', encoding='ascii'):
                os.chmod(table, 0o666)
            command = [self.tool, '--timeout', str(seconds), '--report', report]
            if counted and woven:
                command += ['--within', os.path.basename(self.library)]
            if fault:
                command += fault.arguments()
            process = subprocess.Popen([*command, '--', *argv], cwd=directory, env=self.environment(woven, table),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       start_new_session=True)
            try:
                out, err = process.communicate(timeout=seconds + 60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out, err = process.communicate()
                err += b'\nthe injector itself did not end\n'
                process.returncode = TIMED_OUT
            blocks = [block for block in stats.read(table) if block.exe.endswith(os.path.basename(argv[0]))]
            return Run(process.returncode, out.decode(errors='replace'), err.decode(errors='replace'),
                       read_report(report), blocks[-1] if blocks else None)
