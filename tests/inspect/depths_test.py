# SPDX-License-Identifier: Apache-2.0
"""Every stack of known depth is right: live, in gcore's core, in the kernel's core, in a snapshot; by both unwinders; stripped or not."""
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import unittest

import older_kernel
from inspector import COUNT, INSPECT, PROGRAMS, Case, Woven, answer, settled, weft, wrong_stacks


def symbols_of(path):
    """Functions of an unstripped file as (address, size, demangled name)."""
    lines = subprocess.run(["nm", "-CS", "--defined-only", path], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    result = []
    for line in lines:
        words = line.split(" ", 3)
        if len(words) == 4 and words[2] in "tTwW":
            result.append((int(words[0], 16), int(words[1], 16), words[3]))
    return result


class Depths(Case):
    def both(self, target, count, *words, **options):
        for unwinder in ("libunwind", "libdw"):
            with self.subTest(unwinder=unwinder):
                self.assert_all_right(answer("bt", target, f"--unwinder={unwinder}", *words), count, **options)

    def test_live(self):
        with Woven("inspect_depths", COUNT) as woven:
            settled(woven.pid, COUNT)
            self.both(woven.pid, COUNT)
            self.assertEqual(answer("bt", woven.pid)["stoppedThreads"], 0)

    def test_nothing_is_stopped(self):
        strace = shutil.which("strace")
        if strace is None:
            self.skipTest("strace is not installed")
        with Woven("inspect_depths", 200) as woven:
            settled(woven.pid, 200)
            calls = self.path("calls")
            done = subprocess.run([strace, "-f", "-o", calls, "-e", "trace=ptrace,kill,tkill,tgkill,process_vm_readv",
                                   INSPECT, "bt", str(woven.pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
            if done.returncode != 0 and not os.path.exists(calls):
                self.skipTest(f"strace cannot be used here: {done.stderr}")
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(calls, encoding="utf-8") as file:
                made = {line.split("(")[0].split()[-1] for line in file if "(" in line and "SIG" not in line}
            self.assertEqual(made, {"process_vm_readv"})

    def test_unwinders_agree_frame_by_frame(self):
        with Woven("inspect_depths", 200) as woven:
            settled(woven.pid, 200)
            chains = []
            for unwinder in ("libunwind", "libdw"):
                bt = answer("bt", woven.pid, "--all-frames", f"--unwinder={unwinder}")
                stacks = {s["id"]: [f["pc"] for f in s["frames"] if not f["inlined"]] for s in bt["stacks"]}
                chains.append({c["id"]: stacks[c["stack"]] for c in bt["coroutines"]})
            self.assertEqual(*chains)

    def test_snapshot(self):
        with Woven("inspect_depths", COUNT) as woven:
            settled(woven.pid, COUNT)
            file = self.path("snapshot")
            self.assertEqual(weft("snap", woven.pid, "-o", file).returncode, 0)
            live = answer("bt", woven.pid)
        self.both(file, COUNT)
        # The program is gone; what was asked of it is not.
        then = answer("bt", file)
        for key in ("fds", "object", "owner", "kind"):
            self.assertEqual([(c["wait"] or {}).get(key) for c in live["coroutines"]],
                             [(c["wait"] or {}).get(key) for c in then["coroutines"]])

    def gcore(self, **options):
        """The core file, and whether gcore has left out some memory of the program's."""
        if shutil.which("gcore") is None:
            self.skipTest("gcore (package gdb) is not installed")
        with Woven("inspect_depths", COUNT, **options) as woven:
            settled(woven.pid, COUNT)
            made = subprocess.run(["gcore", "-o", self.path("core"), str(woven.pid)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, check=False)
            self.assertEqual(made.returncode, 0, made.stdout)
        # Above what a program can map is a page of the kernel's.
        missing = re.findall(r"Memory read failed for corefile section, .* at (0x[0-9a-f]+)", made.stdout)
        return self.path(f"core.{woven.pid}"), any(int(at, 16) < 1 << 47 for at in missing)

    def test_gcore(self):
        core, incomplete = self.gcore(environment={"WEFT_GUARDS": "mprotect"})
        self.assertFalse(incomplete)
        self.both(core, COUNT)

    def test_gcore_on_an_older_kernel(self):
        core, incomplete = self.gcore(preexec_fn=older_kernel.without_guards_by_advice)
        self.assertFalse(incomplete)
        self.assert_all_right(answer("bt", core), COUNT)

    def test_gcore_with_guards_by_advice(self):
        # gdb ends a mapping's copy where it cannot read. What is missing then is said, and no stack is made up.
        core, incomplete = self.gcore()
        if not incomplete:
            return self.both(core, COUNT)
        result = weft("bt", core, "--json")
        self.assertEqual(result.returncode, 7, result.stderr)
        self.assertRegex(result.stderr, r"^weft: core\.\d+: \d+ stacks are not in it\. gcore stops .* WEFT_GUARDS=mprotect, ")
        bt = json.loads(result.stdout)
        _, wrong = wrong_stacks(bt)
        self.assertEqual({ending for _, _, ending, _ in wrong}, {"unreadable"})

    def test_kernel_core(self):
        with open("/proc/sys/kernel/core_pattern", encoding="utf-8") as file:
            pattern = file.read().strip()
        if "/" in pattern or pattern.startswith("|"):
            self.skipTest(f"core_pattern is '{pattern}', so the kernel leaves no core file here")

        def limits():
            os.chdir(self.directory)
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)

        with Woven("inspect_depths", COUNT, preexec_fn=limits) as woven:
            settled(woven.pid, COUNT)
            os.kill(woven.pid, signal.SIGABRT)
            woven.process.wait()
        cores = [name for name in os.listdir(self.directory) if name.startswith("core")]
        self.assertEqual(len(cores), 1, "the kernel wrote no core")
        core = self.path(cores[0])
        self.both(core, COUNT)
        # One that is cut short says so, and gives what is left.
        size = os.path.getsize(core)
        with open(core, "r+b") as file:
            file.truncate(size * 2 // 3)
        result = weft("ps", core)
        self.assertEqual(result.returncode, 7, result.stderr)
        self.assertRegex(result.stderr, r"^weft: core\S*: truncated: [\d,]+ of [\d,]+ segments missing")

    def test_stripped(self):
        program, library = self.path("depths"), self.path("libinspect_deep.so")
        subprocess.run(["strip", "-o", program, os.path.join(PROGRAMS, "inspect_depths")], check=True)
        subprocess.run(["strip", "-o", library, os.path.join(PROGRAMS, "libinspect_deep.so")], check=True)
        table = {program: symbols_of(os.path.join(PROGRAMS, "inspect_depths")),
                 library: symbols_of(os.path.join(PROGRAMS, "libinspect_deep.so"))}

        def name_of(frame):
            at = int(frame["offset"], 16) - 1
            return next((n for a, s, n in table.get(frame["module"], ()) if a <= at < a + s), None)

        with Woven(program, COUNT, environment={"LD_LIBRARY_PATH": self.directory}) as woven:
            settled(woven.pid, COUNT)
            bt = answer("bt", woven.pid)
            self.assert_all_right(bt, COUNT, name_of=name_of)
            # No name is made up: what the file does not tell is a place in the module.
            names = {f["function"] for s in bt["stacks"] for f in s["frames"] if f["module"] == program}
            self.assertEqual({n for n in names if n and "descend" in n}, set())
            # With debug information by build-id the names are back.
            debug = self.path("debug")
            notes = subprocess.run(["readelf", "-n", program], stdout=subprocess.PIPE, text=True, check=True).stdout
            build_id = notes.split("Build ID: ")[1].split()[0]
            os.makedirs(os.path.join(debug, ".build-id", build_id[:2]))
            subprocess.run(["objcopy", "--only-keep-debug", os.path.join(PROGRAMS, "inspect_depths"),
                            os.path.join(debug, ".build-id", build_id[:2], build_id[2:] + ".debug")], check=True)
            with_debug = answer("bt", woven.pid, "--debug-dir", debug)
            lines = [f for s in with_debug["stacks"] for f in s["frames"] if f["function"] and "a_descend" in f["function"]]
            self.assertTrue(lines and all(f["file"].endswith("descent.h") or f["file"].endswith("depths.cc") for f in lines))


unittest.main()
