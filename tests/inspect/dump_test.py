# SPDX-License-Identifier: Apache-2.0
"""The signal of WEFT_DUMP_SIGNAL writes all stacks where the log goes, and the program goes on; what cannot be that signal is said."""
import os
import signal

import woven


class DumpTest(woven.WovenTest):

    def started(self, value):
        self.log = os.path.join(self.work, f"log.{value}")
        return self.start("stacks", WEFT_LOG=f"warn:{self.log}", WEFT_DUMP_SIGNAL=value)

    def logged(self):
        if not os.path.exists(self.log):
            return ""  # it is made with its first line
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def dumped(self, process, number):
        """What the log says as soon as `number` dumps are whole in it."""
        def whole():
            # Three of the six threads wait for input, each at a depth of its own; the runtime says when a dump took too long.
            text = self.logged()
            self.assertNotIn("was ended", text)
            return text if text.count("waits_for_input") >= 3 * number and text.endswith("\n\n") else None

        return self.until(whole)

    def test_by_name_and_number(self):
        for value, sent in (("USR1", signal.SIGUSR1), ("SIGUSR2", signal.SIGUSR2), (str(int(signal.SIGQUIT)), signal.SIGQUIT)):
            with self.subTest(value):
                process = self.started(value)
                process.send_signal(sent)
                text = self.dumped(process, 1)
                self.assertIn(f"process {process.pid}: 6 coroutines", text)
                process.send_signal(sent)
                self.dumped(process, 2)
                # It goes on and ends as it would have.
                process.communicate()
                self.assertEqual(process.returncode, 0)

    def test_what_cannot_be_it(self):
        for value in ("USR3", "KILL", "SEGV", "TERM", "BUS", "7", "32", "33", "0", "65", "x"):
            process = self.started(value)
            self.assertIn(f"WEFT_DUMP_SIGNAL: '{value}' is not a signal that can be had for it; no signal dumps the stacks", self.logged())
            process.communicate()
            self.assertEqual(process.returncode, 0)


woven.main()
