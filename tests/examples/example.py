# SPDX-License-Identifier: Apache-2.0
"""What every test of an example has at hand: the program started as a user would, what weft counted, and what was found wrong."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'bench'))

from rig import stats  # noqa: E402
from rig.cases import SPARE_THREADS, Findings  # noqa: E402
from rig.mode import Linked  # noqa: E402
from rig.process import Trouble  # noqa: E402

WORKERS = 2


class Example(Findings):
    """One test: its programs, and what is to be seen of them."""

    def __init__(self, build):
        super().__init__()
        self.build = os.path.abspath(build)

    def program(self, name):
        path = os.path.join(self.build, 'examples', name)
        if not os.path.exists(path):
            raise Trouble(f'{name} is not built: tests/install-packages build test, then configure and build again')
        return path

    def start(self, site, name, *words, mode=None):
        return site.start([self.program(name), *map(str, words)], mode or Linked(WORKERS=WORKERS))

    def serve(self, site, name, *words, mode=None):
        """A server, which picks a port and says which."""
        process = self.start(site, name, *words, mode=mode)
        process.port = int(process.says('port'))
        return process

    def run(self, site, name, *words, status=0, seconds=120, mode=None):
        """Runs it to its end, which must be the expected one."""
        process = self.start(site, name, *words, mode=mode)
        process.status = process.wait(seconds)
        self.expect_same(process.status, status, f'exit status of {name}: {(process.out() + process.err())[-300:]!r}')
        return process

    def woven(self, process, coroutines, **wanted):
        """Of a program that has ended: so many coroutines were made, and nothing fell back."""
        self.judge(process, stats.of(process), coroutines, wanted)

    def woven_now(self, process, coroutines, pid=None, **wanted):
        """The same of a server that runs, or of a child of it, as `weft stat` sees it."""
        target = pid or process.pid
        done = subprocess.run([os.path.join(self.build, 'weft'), 'stat', str(target), '--json'], capture_output=True, text=True,
                              check=False, timeout=60)
        if done.returncode != 0:
            raise Trouble(f'weft stat {process.name}: {done.stderr or done.stdout}')
        counters = {**json.loads(done.stdout)['counters'], 'tls_bytes': 0}  # which the process alone knows
        self.judge(process, stats.Block(target, process.name, counters), coroutines, wanted)

    def lint(self, process, rule, *words):
        """What `weft lint` finds by one rule."""
        done = subprocess.run([os.path.join(self.build, 'weft'), 'lint', str(process.pid), '--json', *words], capture_output=True, text=True,
                              check=False, timeout=60)
        if done.returncode > 1:
            raise Trouble(f'weft lint {process.name}: {done.stderr or done.stdout}')
        return [finding['text'] for finding in json.loads(done.stdout)['findings'] if finding['rule'] == rule]

    def judge(self, process, block, coroutines, wanted):
        for line in stats.judge(block, at_least={'coroutines_created': coroutines, 'switches': coroutines}, pinned=0, fd_rescues=0,
                                lock_rescues=0, **wanted):
            self.expect(False, f'{process.name}: {line}')
        self.expect_silent(process)

    def few_threads(self, process, sampler):
        """A handful of kernel threads, however many coroutines there were."""
        sampler.stop()
        self.note(f'{process.name}: at most {sampler.threads} kernel threads')
        self.expect(sampler.threads <= WORKERS + SPARE_THREADS, f'{process.name} had {sampler.threads} kernel threads')
