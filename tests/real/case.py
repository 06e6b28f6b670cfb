# SPDX-License-Identifier: Apache-2.0
"""What every real-program test has at hand: the modes it runs in, what it found wrong, and the checks all share."""

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'bench'))

from rig import stats  # noqa: E402
from rig.cases import SPARE_THREADS, Findings  # noqa: E402
from rig.load import Load  # noqa: E402
from rig.mode import Native, Woven  # noqa: E402
from rig.process import Sampler, Site, Trouble  # noqa: E402

CONNECTIONS = 1000
LOAD_SECONDS = 2
REGIONS = 4  # kernel threads that resolver calls may take in the client tests


class Case(Findings):
    """One test: the modes it runs in, and what is to be seen in each."""

    def __init__(self, build, native_only, workers):
        super().__init__()
        self.build = build
        self.native_only = native_only
        self.workers = workers
        self.load = Load(build)

    @property
    def ceiling(self):
        return self.workers + SPARE_THREADS

    def tool(self, name):
        path = os.path.abspath(os.path.join(self.build, name))
        if not os.path.exists(path):
            raise Trouble(f'{name} is not built: tests/install-packages test, then configure and build again')
        return path

    def woven(self, by='launcher', **variables):
        return Woven(self.build, by, WORKERS=self.workers, **variables)

    def modes(self, **variables):
        """Native first, since it says what is right."""
        return [Native()] if self.native_only else [Native(), self.woven(**variables)]

    def expect_load(self, figures, what, connections=None):
        """All answers right; with `connections`, so many open at once and each of them answered meanwhile."""
        self.note(f'{what}: {figures["measured"]} exchanges, {figures["rps"]:.0f}/s, p99 {figures["p99_us"] / 1e3:.1f} ms')
        self.expect(figures['errors'] == 0 and figures['measured'] > 0,
                    f'{what}: {figures["errors"]} errors in {figures["exchanged"]} answers: {figures["complaints"]}')
        if connections:
            self.expect_same(figures['open'], connections, f'{what}: connections open at once')
            self.expect(figures['least'] >= 1, f'{what}: a connection was never answered')
            self.expect_same(figures['reopened'], 0, f'{what}: connections that the server closed')

    def expect_threads(self, mode, peak, streams, extra=0):
        """Natively a kernel thread each, the control of the check; woven a handful. Samples may miss the very peak."""
        self.note(f'{mode.name}: at most {peak} kernel threads')
        if mode.woven:
            self.expect(peak <= self.ceiling + extra, f'{peak} kernel threads, more than {self.ceiling + extra}')
        else:
            self.expect(peak > streams * 3 // 4, f'only {peak} kernel threads natively: this is no thread-per-connection run')

    def expect_counters(self, process, **wanted):
        """The counters of a woven process, which has ended."""
        if not process.mode.woven:
            return
        for line in stats.judge(stats.of(process), **wanted):
            self.expect(False, f'{process.name}: {line}')
        self.expect_silent(process)

    def expect_quiet_tree(self, process, **wanted):
        """For programs of several processes: every block, and at least one."""
        if not process.mode.woven:
            return
        blocks = stats.read(process.stats_path)
        self.expect(blocks, f'{process.name}: no process left counters')
        for block in blocks:
            for line in stats.judge(block, **wanted):
                self.expect(False, f'{process.name}, process {block.exe}: {line}')
        self.expect_silent(process)


def ordinary(streams, pinned=0):
    """The counters of an ordinary thread-per-connection run: all woven, nobody rescued, nothing pinned without a reason."""
    return {'at_least': {'coroutines_created': streams, 'switches': streams}, 'pinned': pinned, 'fd_rescues': 0,
            'lock_rescues': 0}


def per_connection(test, start, drive, hold, streams=CONNECTIONS, pinned=0):
    """The test of a thread-per-connection server.

    start(site, mode) gives the listening server; drive(site, server, full) puts requests and load on it; hold(site,
    server, count) opens connections that stay idle, for a shutdown in their presence. Both signals, both modes; the
    exit status must be the native one. One woven run goes through the launcher, the other is a plain LD_PRELOAD.
    """
    native_status = {}
    for mode in test.modes():
        for number in (signal.SIGTERM, signal.SIGINT):
            full = number == signal.SIGTERM
            if mode.woven and not full:
                mode = test.woven(by='preload')
            with Site() as site:
                server = start(site, mode)
                sampler = server.sampler = Sampler(server.pid)
                try:
                    drive(site, server, full)
                except OSError as error:
                    raise Trouble(f'{mode.name}: {error}; the server {server.described()}') from error
                sampler.stop()
                if full:
                    test.expect_threads(mode, sampler.threads, streams)
                else:
                    test.expect(not mode.woven or sampler.threads <= test.ceiling,
                                f'{sampler.threads} kernel threads, more than {test.ceiling}')
                held = hold(site, server, 20) if hold else None
                status = server.stop(number)
                if held:
                    held.release()
                test.note(f'{mode.name}: {number.name} -> {status}')
                native_status.setdefault(number, status)
                test.expect_same(status, native_status[number], f'{mode.name}: exit status after {number.name}')
                test.expect_counters(server, **ordinary(streams if full else 1, pinned))
