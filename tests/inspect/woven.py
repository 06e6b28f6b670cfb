# SPDX-License-Identifier: Apache-2.0
"""What the inspector's tests share: a woven program that says "ready" and waits until its input ends, and a core file of it.

Environment: WEFT_LIBRARY, WEFT_INSPECT, WEFT_PROGRAMS (a directory), WEFT_SOURCE.
"""
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

try:
    import jsonschema
except ImportError:
    jsonschema = None

LIBRARY = os.environ["WEFT_LIBRARY"]
PROGRAMS = os.environ["WEFT_PROGRAMS"]
SOURCE = os.environ["WEFT_SOURCE"]
INSPECT = os.environ["WEFT_INSPECT"]
# A bound for a machine that is busy with something else; nothing is measured by it.
PATIENCE = 60


def program(name):
    return os.path.join(PROGRAMS, "inspect_" + name)


class WovenTest(unittest.TestCase):
    """Starts programs and ends them with the test; has a directory of its own."""

    def setUp(self):
        self.work = tempfile.mkdtemp(prefix="weft-inspect-")
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)

    def start(self, name, *arguments, library=LIBRARY, **settings):
        """A program of PROGRAMS, woven or, with no library, native, which has said that it is ready. It ends when its input does."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("WEFT_", "LD_"))}
        if library is not None:
            environment |= {"LD_PRELOAD": library, "WEFT_WORKERS": "2"} | settings
        process = subprocess.Popen([program(name), *arguments], env=environment, cwd=self.work, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.end, process)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    @staticmethod
    def end(process):
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()

    def gcore_of(self, process):
        """A core file by gdb's gcore, which lets the process go on. It has all stacks where the process has WEFT_GUARDS=mprotect."""
        if shutil.which("gcore") is None:
            self.skipTest("there is no gcore here")
        name = os.path.join(self.work, "gcore")
        done = subprocess.run(["gcore", "-o", name, str(process.pid)], capture_output=True, text=True, timeout=PATIENCE * 2)
        path = f"{name}.{process.pid}"
        self.assertTrue(os.path.exists(path), done.stdout + done.stderr)
        # What is left out for another reason is the kernel's own page, above what a program can map.
        missing = re.findall(r"Memory read failed for corefile section, .* at (0x[0-9a-f]+)", done.stdout + done.stderr)
        self.assertEqual([at for at in missing if int(at, 16) < 1 << 47], [])
        return path

    def kernel_core_of(self, process):
        """The kernel's core file; it is the end of the process."""
        with open("/proc/sys/kernel/core_pattern", encoding="utf-8") as file:
            pattern = file.read().strip()
        if not pattern.startswith("core"):
            self.skipTest(f"core files go elsewhere here: {pattern}")
        resource.prlimit(process.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        process.send_signal(signal.SIGABRT)
        process.wait(PATIENCE)
        found = [name for name in os.listdir(self.work) if name.startswith("core")]
        self.assertEqual(len(found), 1)
        return os.path.join(self.work, found[0])

    @staticmethod
    def run_inspect(*arguments, text=True):
        return subprocess.run([INSPECT, *map(str, arguments)], capture_output=True, text=text, timeout=PATIENCE * 2)

    def inspect(self, *arguments, status=0):
        """Output of weft-inspect, which has to end with this status."""
        done = self.run_inspect(*arguments)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout

    def inspect_json(self, *arguments, status=0):
        return self.checked(self.inspect(*arguments, "--json", status=status))

    @staticmethod
    def checked(text):
        """An answer as JSON, which is as the schemas say."""
        answer = json.loads(text)
        if jsonschema is not None:
            for name in ("schema.json", "schema_findings.json"):
                if name == "schema.json" or answer["command"] in ("lint", "top", "diff"):
                    with open(os.path.join(SOURCE, "tools", "inspect", name), encoding="utf-8") as file:
                        jsonschema.validate(answer, json.load(file))
        return answer

    def until(self, look):
        """What `look` returns as soon as that is true of anything: for what the program does just after it has said ready."""
        end = time.monotonic() + PATIENCE
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > end:
                self.fail(f"{look.__name__} came to nothing")


def main():
    unittest.main(verbosity=2 if "-v" in sys.argv else 1)
