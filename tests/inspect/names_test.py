# SPDX-License-Identifier: Apache-2.0
"""What a program has named is shown as text, and a terminal that gets it has nothing to obey."""
import re

import woven

NAMES = ["a?[31mred", "b\u009bc?", "olé"]  # of coroutines, in JSON


class NamesTest(woven.WovenTest):
    def parked(self, process):
        def all_there():
            return self.inspect_json("ps", process.pid)["states"]["parked"] == 3

        self.until(all_there)

    def check_plain(self, *arguments, status=0):
        done = self.run_inspect(*arguments, text=False)
        self.assertEqual(done.returncode, status, done.stderr)
        for output in (done.stdout, done.stderr):
            self.assertIsNone(re.search(rb"[\0-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", output), output)
        return done.stdout

    def check_all(self, target, has_paths=True):
        listed = self.check_plain("ps", target)
        for shown in (rb"a?[31mred", rb"b\x9bc?", "olé".encode()):
            self.assertIn(shown, listed)
        if has_paths:
            self.assertIn(rb"/pipe\x1b]0;title\x07 ", listed)
        self.check_plain("bt", target, "--all-frames")
        self.check_plain("lint", target)
        self.check_plain("flame", target, "--format=folded")
        self.check_plain("flame", target)
        self.check_plain("ps", target, "--where", "name~'nothing\x1b'")
        self.assertEqual(sorted(each["name"] for each in self.inspect_json("ps", target)["coroutines"]), sorted(NAMES))

    def test_live_and_snapshot(self):
        process = self.start("names")
        self.parked(process)
        self.check_all(process.pid)
        self.check_plain("top", process.pid, "--once", "--interval", "10ms")
        self.check_plain("stat", process.pid)
        self.check_plain("snap", process.pid, "-o", f"{self.work}/snapshot")
        self.check_all(f"{self.work}/snapshot")
        # The words of the user themselves, and a file that is not there.
        self.check_plain("ps", process.pid, "--columns", "no\x1b[31m", status=2)
        self.check_plain("ps", f"{self.work}/\x1b[31mnone", status=3)

    def test_core(self):
        process = self.start("names", WEFT_GUARDS="mprotect")
        self.parked(process)
        self.check_all(self.gcore_of(process), has_paths=False)


if __name__ == "__main__":
    woven.main()
