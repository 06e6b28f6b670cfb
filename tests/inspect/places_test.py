# SPDX-License-Identifier: Apache-2.0
"""Targets that cannot be read, are no targets or are in an odd state: the words and the exit status of each."""
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import unittest

from inspector import BUILD, INSPECT, PROGRAMS, Case, Woven, answer, settled, weft

NOBODY = 65534


def as_nobody(words, cwd="/"):
    return subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] + words, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False, cwd=cwd)


def state_of(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


class Places(Case):
    def assert_fails(self, result, status, pattern):
        self.assertEqual(result.returncode, status, result.stderr + result.stdout)
        self.assertRegex(result.stderr, pattern)

    def need_root(self):
        if os.getuid() != 0 or shutil.which("setpriv") is None:
            self.skipTest("becoming another user takes root and setpriv")

    def own_copy(self):
        """The inspector where everybody may execute it."""
        return shutil.copy(INSPECT, self.path("weft-inspect"))

    def test_usage(self):
        self.assert_fails(weft("ps"), 2, "^weft: weft ps needs a TARGET")
        self.assert_fails(weft("ps", 1, "--wrong"), 2, "^weft: weft ps has no --wrong")
        self.assert_fails(weft("ps", 1, "--where", "colour=1"), 2, "^weft: --where: there is no 'colour'")
        self.assert_fails(weft("bt", 1, "--stop=some"), 2, "^weft: --stop takes")
        for command in ("ps", "bt", "snap", "stat"):
            result = weft(command, "--help")
            self.assertEqual(result.returncode, 0)
            self.assertIn(f"Usage: weft {command}", result.stdout)

    def test_no_such_target(self):
        child = subprocess.Popen(["true"])
        child.wait()
        self.assert_fails(weft("ps", child.pid), 3, f"^weft: there is no process {child.pid}.")
        self.assert_fails(weft("ps", "/nowhere/core"), 3, "^weft: cannot open /nowhere/core: No such file")
        self.assert_fails(weft("ps", __file__), 3, "is neither a core file nor a snapshot")

    def test_not_under_weft(self):
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdin.write(b"x")
            process.stdin.flush()
            process.stdout.read(1)  # it is cat by now, not what became it
            self.assert_fails(weft("ps", process.pid), 5,
                              fr"^weft: process {process.pid} is not running under weft \(no WEFT note in \d+ modules\)\.")

    def test_other_user(self):
        self.need_root()
        with Woven("inspect_depths", 4) as woven:
            self.assert_fails(as_nobody([self.own_copy(), "ps", str(woven.pid)]), 4,
                              f"^weft: cannot read process {woven.pid}: Operation not permitted. It belongs to user 0, you are {NOBODY}. "
                              "Try sudo, or docker run --cap-add=SYS_PTRACE.")

    def woven_by_nobody(self, *arguments):
        self.need_root()
        shutil.copy(os.path.join(BUILD, "libweft.so"), self.path("libweft.so"))
        for name in ("inspect_depths", "libinspect_deep.so"):
            shutil.copy(os.path.join(PROGRAMS, name), self.path(name))

        def leave():
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)

        return Woven(self.path("inspect_depths"), *arguments, preload=self.path("libweft.so"), preexec_fn=leave,
                     environment={"LD_LIBRARY_PATH": self.directory})

    def test_same_user_without_capabilities(self):
        with self.woven_by_nobody(20) as woven:
            settled(woven.pid, 20)
            result = as_nobody([self.own_copy(), "bt", str(woven.pid), "--json"])
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assert_all_right(json.loads(result.stdout), 20)

    def test_undumpable(self):
        with self.woven_by_nobody(4, "undumpable") as woven:
            self.assert_fails(as_nobody([self.own_copy(), "ps", str(woven.pid)]), 4, "It is not dumpable")

    def test_other_version(self):
        with open(os.path.join(BUILD, "libweft.so"), "rb") as file:
            library = bytearray(file.read())
        at = library.index(b"weftinsp")
        library[at + 8] = 2
        with open(self.path("libweft.so"), "wb") as file:
            file.write(library)
        with Woven("inspect_depths", 4, preload=self.path("libweft.so")) as woven:
            self.assert_fails(weft("ps", woven.pid), 6,
                              rf"^weft: target speaks descriptor 2\.\d+, this tool knows 1\.x; use the tool shipped with "
                              f"{self.path('libweft.so')}.")

    def test_stopped_stays_stopped(self):
        with Woven("inspect_depths", 20) as woven:
            settled(woven.pid, 20)
            os.kill(woven.pid, signal.SIGSTOP)
            os.waitpid(woven.pid, os.WUNTRACED)
            for stop in ("running", "all", "none"):
                self.assert_all_right(answer("bt", woven.pid, f"--stop={stop}", "--threads" if stop != "all" else "--each"), 20)
                self.assertEqual(state_of(woven.pid), "T")

    def test_stop_all_is_one_instant(self):
        with Woven("inspect_depths", 20) as woven:
            settled(woven.pid, 20)
            bt = answer("bt", woven.pid, "--stop=all")
            self.assertTrue(bt["coherent"])
            self.assert_all_right(bt, 20)
            self.assertFalse(answer("bt", woven.pid)["coherent"])
            self.assertNotIn(state_of(woven.pid), "tT")

    def test_snapshot_of_one_instant(self):
        with Woven("inspect_churn", 100) as woven:
            for stop, coherent in (("running", False), ("all", True)):
                made = answer("snap", woven.pid, f"--stop={stop}", "-o", self.path("snapshot"))
                self.assertEqual(made["coherent"], coherent)
                listed, counted = answer("ps", self.path("snapshot")), answer("stat", self.path("snapshot"))
                self.assertEqual((listed["coherent"], counted["coherent"]), (coherent, coherent))
                self.assertIn("one instant" if coherent else "each consistent", weft("ps", self.path("snapshot")).stdout.splitlines()[0])
            self.assertNotIn("not one instant", weft("ps", self.path("snapshot")).stdout)
            self.assertGreaterEqual(made["stoppedThreads"], 3)
            # At one instant the switches of all coroutines are those of all workers; one may be under way on each.
            difference = sum(c["switches"] for c in listed["coroutines"]) - counted["counters"]["switches"]
            self.assertLessEqual(abs(difference), len(counted["workers"]))
            self.assertNotIn(state_of(woven.pid), "tT")

    @contextlib.contextmanager
    def traced(self):
        """20 coroutines whose process strace has already."""
        strace = shutil.which("strace")
        if strace is None:
            self.skipTest("strace is not installed")
        with Woven("inspect_depths", 20) as woven:
            settled(woven.pid, 20)
            with subprocess.Popen([strace, "-f", "-qq", "-e", "trace=none", "-p", str(woven.pid)], stderr=subprocess.DEVNULL) as tracer:
                try:
                    while status_of(woven.pid)["TracerPid"] != str(tracer.pid):
                        self.assertIsNone(tracer.poll())
                    yield woven
                finally:
                    tracer.terminate()

    def test_not_one_instant_where_a_thread_cannot_be_stopped(self):
        with self.traced() as woven:
            self.assertFalse(answer("ps", woven.pid, "--stop=all")["coherent"])

    def test_deleted_executable(self):
        for name in ("inspect_depths", "libinspect_deep.so"):
            shutil.copy(os.path.join(PROGRAMS, name), self.path(name))
        with Woven(self.path("inspect_depths"), 20, environment={"LD_LIBRARY_PATH": self.directory}) as woven:
            settled(woven.pid, 20)
            os.unlink(self.path("inspect_depths"))
            self.assert_all_right(answer("bt", woven.pid), 20)
            # Another build in its place is not taken for it.
            shutil.copy("/bin/true", self.path("inspect_depths"))
            self.assert_all_right(answer("bt", woven.pid), 20)

    def test_core_of_another_build(self):
        with open("/proc/sys/kernel/core_pattern", encoding="utf-8") as file:
            pattern = file.read().strip()
        if "/" in pattern or pattern.startswith("|"):
            self.skipTest(f"core_pattern is '{pattern}', so the kernel leaves no core file here")
        for name in ("inspect_depths", "libinspect_deep.so"):
            shutil.copy(os.path.join(PROGRAMS, name), self.path(name))

        def limits():
            os.chdir(self.directory)
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)

        program = self.path("inspect_depths")
        with Woven(program, 20, environment={"LD_LIBRARY_PATH": self.directory}, preexec_fn=limits) as woven:
            settled(woven.pid, 20)
            os.kill(woven.pid, signal.SIGABRT)
            woven.process.wait()
        core = next(self.path(name) for name in os.listdir(self.directory) if name.startswith("core"))
        self.assert_all_right(answer("bt", core), 20)
        os.rename(program, self.path("kept"))
        shutil.copy("/bin/true", program)
        result = weft("bt", core, "--json")
        self.assert_fails(result, 7, fr"^weft: {program} build-id [0-9a-f]{{4}}\.\. differs from the core's [0-9a-f]{{4}}\.\.; "
                          r"its frames are not unwound\. Use --sysroot\.\n$")
        endings = {c["ending"] for c in json.loads(result.stdout)["coroutines"]}
        self.assertEqual(endings, {"no-unwind-info"})
        os.unlink(program)
        result = weft("ps", core)
        self.assertEqual(result.returncode, 0)
        self.assertIn(f"weft: {program} is not here", result.stderr)
        self.assert_all_right(answer("bt", core, "--exe", self.path("kept")), 20)

    def test_damaged_snapshots(self):
        with Woven("inspect_depths", 20) as woven:
            settled(woven.pid, 20)
            self.assertEqual(weft("snap", woven.pid, "-o", self.path("whole")).returncode, 0)
        with open(self.path("whole"), "rb") as file:
            whole = file.read()
        chance = random.Random(1)
        for turn in range(60):
            damaged = bytearray(whole[:chance.randrange(len(whole))] if turn % 2 else whole)
            for _ in range(1 + turn // 2):
                if damaged:
                    damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            with open(self.path("damaged"), "wb") as file:
                file.write(damaged)
            for command in ("bt", "stat"):
                result = weft(command, self.path("damaged"), timeout=60)
                self.assertIn(result.returncode, range(9), (command, turn, result.stderr))

    def test_traced_already(self):
        with self.traced() as woven:
            self.assert_all_right(answer("bt", woven.pid), 20)

    @contextlib.contextmanager
    def unshared(self, what, flags, program, *arguments):
        """The pid of a program under weft in namespaces of its own."""
        if os.getuid() != 0 or subprocess.run(["unshare", *flags, "-f", "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            self.skipTest(f"a {what} namespace cannot be made here")
        words = ["unshare", *flags, "-f", "--kill-child", f"{BUILD}/weft", "run", "--workers", "2", "--", f"{PROGRAMS}/{program}", *arguments]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as outer:
            try:
                self.assertEqual(outer.stdout.readline(), b"ready\n")
                with open(f"/proc/{outer.pid}/task/{outer.pid}/children", encoding="utf-8") as file:
                    yield int(file.read().split()[0])
            finally:
                outer.kill()

    def test_another_pid_namespace(self):
        with self.unshared("pid", ["-p", "-m", "--mount-proc"], "inspect_depths", "20") as inner:
            settled(inner, 20)
            self.assert_all_right(answer("bt", inner, "--threads"), 20)

    def test_another_time_namespace(self):
        ahead = ["-T", "--monotonic", "10000000"]
        with self.unshared("time", ahead, "inspect_waits") as inner:
            snapshot = self.path("snapshot")
            found = None
            while not found or found["sleep"]["wait"] is None:
                found = {c["name"]: c for c in answer("ps", inner)["coroutines"]}
            self.assertEqual(weft("snap", inner, "-o", snapshot).returncode, 0)
            for target in (inner, snapshot):
                listed = answer("ps", target)
                self.assertGreater(listed["clock"], 10_000_000 * 10**9)
                for coroutine in listed["coroutines"]:
                    self.assertTrue(0 <= coroutine["age"] < 1000 * 10**9, coroutine)
                    if coroutine["wait"] is not None and coroutine["wait"]["since"] is not None:
                        self.assertTrue(0 <= coroutine["wait"]["since"] < 1000 * 10**9, coroutine)
                sleeping = next(c for c in listed["coroutines"] if c["name"] == "sleep")
                self.assertTrue(99_000 * 10**9 < sleeping["wait"]["left"] <= 100_000 * 10**9, sleeping)
        with self.unshared("time", ahead, "inspect_churn", "20") as inner:
            timeline = answer("trace", inner, "-o", self.path("timeline"), "-d", "1s")
            self.assertGreater(timeline["events"], 1000)
            self.assertGreaterEqual(timeline["nanoseconds"], 10**9)
            with open(self.path("timeline"), encoding="utf-8") as file:
                times = [event["ts"] for event in json.load(file)["traceEvents"] if "ts" in event]
            self.assertTrue(0 <= min(times) <= max(times) <= timeline["nanoseconds"] / 1000)


unittest.main()
