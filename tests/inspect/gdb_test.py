# SPDX-License-Identifier: Apache-2.0
"""tools/gdb/weft.py in gdb's batch mode, on a live process and on a core file, with and without the library's symbols."""
import os
import re
import shutil
import subprocess
import threading
import unittest

import woven

SCRIPT = os.path.join(woven.SOURCE, "tools", "gdb", "weft.py")
PROGRAM = woven.program("stacks")
# Frames of stacks.c: a thread of depth 2 waits for input below two calls of deeper() and the first.
DEPTH_2 = ["waits_for_input", "deeper", "deeper", "deeper", "begins"]


@unittest.skipIf(shutil.which("gdb") is None, "there is no gdb here")
class GdbTest(woven.WovenTest):

    def gdb(self, target, *commands):
        command = ["gdb", "-nx", "-q", "-batch", "-iex", "set debuginfod enabled off", PROGRAM, *target, "-x", SCRIPT]
        for each in commands:
            command += ["-ex", each]
        return subprocess.run(command, capture_output=True, text=True, timeout=woven.PATIENCE * 2).stdout

    def ready(self, library=woven.LIBRARY, **settings):
        """The process, as gdb's arguments, once all six threads are seen parked; and their numbers by depth."""
        process = self.start("stacks", library=library, **settings)

        def parked():
            rows = re.findall(r"^ +(\d+)  parked .* depth-(\d) ", self.gdb(["-p", str(process.pid)], "info coroutines"), re.M)
            return {int(depth): int(number) for number, depth in rows} if len(rows) == 6 else None

        return process, self.until(parked)

    def check(self, target, numbers):
        listed = self.gdb(target, "info coroutines")
        self.assertRegex(listed, rf"(?m)^ +{numbers[2]}  parked +read fd \d+ +depth-2 +waits_for_input$")
        self.assertRegex(listed, rf"(?m)^ +{numbers[3]}  parked +mutex 0x[0-9a-f]+ +depth-3 +waits_for_lock$")

        stack = self.gdb(target, f"coroutine {numbers[2]} bt")
        frames = re.findall(r"(?m)^#\d+ .* in (\w+) \(.*\) at .*stacks\.c:\d+$", stack)
        self.assertEqual(frames, DEPTH_2, stack)
        self.assertNotIn("main (", stack)
        self.assertIn('label=0x', stack)
        self.assertIn('"depth-2"', stack)
        self.assertNotIn("corrupt", stack)

    def check_selection(self, target, numbers):
        seen = self.gdb(target, f"coroutine {numbers[4]}", "info args", "up", "up", "down", "frame",
                        "coroutine none", "bt", "thread apply all bt 1", "info registers rip")
        self.assertRegex(seen, r"(?m)^depth = 4$")
        self.assertRegex(seen, r"(?m)^#\d+ .* in main \(")
        self.assertRegex(seen, r"(?m)^rip ")
        whole = self.gdb(target, "bt", f"coroutine {numbers[0]} bt", "echo between\\n", "bt")
        before, after = whole.split("between")
        self.assertIn("main", after)
        self.assertNotIn("waits_for", after)
        self.assertIn("waits_for_input", before)

    def test_live(self):
        process, numbers = self.ready()
        self.check(["-p", str(process.pid)], numbers)
        self.check_selection(["-p", str(process.pid)], numbers)
        # Nothing was written to it: it goes on and ends as it would have.
        process.communicate()
        self.assertEqual(process.returncode, 0)

    def test_kernel_core(self):
        process, numbers = self.ready()
        core = self.kernel_core_of(process)
        self.check([core], numbers)
        self.check_selection([core], numbers)

    def test_gcore(self):
        process, numbers = self.ready(WEFT_GUARDS="mprotect")
        self.check([self.gcore_of(process)], numbers)

    def test_without_symbols(self):
        library = os.path.join(self.work, "libweft.so")
        subprocess.run(["strip", "-o", library, woven.LIBRARY], check=True)
        process, numbers = self.ready(library)
        self.check(["-p", str(process.pid)], numbers)
        self.check([self.kernel_core_of(process)], numbers)

    def test_goes_on_after_a_selection(self):
        process, numbers = self.ready()
        asked = os.path.join(self.work, "asked")
        os.mkfifo(asked)
        # Ends the program's input as soon as gdb has selected a coroutine.
        ender = threading.Thread(target=lambda: (open(asked, encoding="utf-8").close(), process.stdin.close()))
        ender.start()
        seen = self.gdb(["-p", str(process.pid)], f"coroutine {numbers[2]}", "tbreak let_end", f"shell : > {asked}", "continue", "bt")
        ender.join()
        stopped = seen[seen.index("hit Temporary breakpoint"):]
        self.assertRegex(stopped, r"(?m)^#0 .*let_end")
        self.assertRegex(stopped, r"(?m)^#1 .* in main ")
        self.assertEqual(process.wait(woven.PATIENCE), 0)

    def test_errors(self):
        process, _ = self.ready()
        command = ["gdb", "-nx", "-q", "-batch", "-p", str(process.pid), "-x", SCRIPT]
        for words, text in (("coroutine 999999", "there is no coroutine 999999"), ("coroutine", "Usage: coroutine ID"),
                            ("coroutine x", "Usage: coroutine ID")):
            done = subprocess.run([*command, "-ex", words], capture_output=True, text=True, timeout=woven.PATIENCE)
            self.assertIn(text, done.stderr)
        done = subprocess.run(["gdb", "-nx", "-q", "-batch", "-x", SCRIPT, "-ex", "info coroutines"], capture_output=True, text=True)
        self.assertIn("there is no process", done.stderr)
        sleeper = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(self.end, sleeper)
        done = subprocess.run(["gdb", "-nx", "-q", "-batch", "-p", str(sleeper.pid), "-x", SCRIPT, "-ex", "info coroutines"],
                              capture_output=True, text=True)
        self.assertIn("is not running under weft", done.stderr)


woven.main()
