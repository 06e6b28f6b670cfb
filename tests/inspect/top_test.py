# SPDX-License-Identifier: Apache-2.0
"""weft top once, as text and JSON, and in a terminal with keys."""
import os
import pty
import re
import select
import time

import woven


class TopTest(woven.WovenTest):

    def test_once(self):
        process = self.start("healthy")
        text = self.inspect("top", process.pid, "--once", "--interval", "200ms")
        self.assertRegex(text, r"(?m)^process \d+: \d+ coroutines")
        self.assertRegex(text, r"(?m)^[\d,]+ switches/s")
        self.assertRegex(text, r"(?m)^worker 0 ")
        self.assertRegex(text, r"(?m)^waits .*condition 4")
        self.assertRegex(text, r"(?m)^ID +STATE +WAITS")

    def test_json(self):
        process = self.start("healthy")
        answer = self.inspect_json("top", process.pid, "--once", "--interval=200ms", "-n", 3)
        self.assertEqual((answer["format"], answer["command"]), ("weft-inspect", "top"))
        self.assertGreater(answer["interval"], 0)
        self.assertGreater(answer["switchesPerSecond"], 0)
        self.assertEqual([worker["index"] for worker in answer["workers"]], [0, 1])
        self.assertEqual(answer["waits"]["condition"], 4)
        self.assertEqual(answer["warnings"], [])
        self.assertEqual(len(answer["coroutines"]), 3)

    def test_errors(self):
        process = self.start("stacks")
        self.inspect("top", process.pid, status=2)
        self.inspect("top", process.pid, "--json", status=2)
        self.inspect("top", process.pid, "--once", "--sort", "beauty", status=2)
        self.inspect("top", self.kernel_core_of(process), "--once", status=2)

    def test_terminal(self):
        process = self.start("stacks")
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update(TERM="xterm", LINES="40", COLUMNS="160")
            os.execv(woven.INSPECT, [woven.INSPECT, "top", str(process.pid), "--interval", "100ms"])
        self.addCleanup(os.close, terminal)
        self.shown = ""

        def until(pattern):
            end = time.monotonic() + woven.PATIENCE
            while not re.search(pattern, self.shown):
                if time.monotonic() > end:
                    self.fail(f"{pattern} never came: {self.shown[-2000:]!r}")
                if select.select([terminal], [], [], 1)[0]:
                    self.shown += os.read(terminal, 65536).decode(errors="replace")
            self.shown = ""

        def press(keys):
            os.write(terminal, keys.encode())

        until("depth-5")
        press("f")
        until("filter")
        press("name=depth-3\n")
        press("\n")
        until("waits_for_lock")
        press("q")
        until("Enter stack")
        press("s")
        press("beauty\n")
        until("no 'beauty'")
        press("w")
        until("warnings")
        press("qq")
        _, status = os.waitpid(pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)


woven.main()
