# SPDX-License-Identifier: Apache-2.0
"""How the library comes into the program, and that the launcher is gone when the program runs."""
import os
import resource
import shutil
import signal
import subprocess

import launcher
from launcher import LauncherTest


class Library(LauncherTest):
    """Every test makes an installation of its own, since what is missing or wrong in it is the question."""

    def install(self, *places, program="weft"):
        """The launcher alone in bin/, and the stand-in at each of these places."""
        os.makedirs(os.path.join(self.work, "bin"), exist_ok=True)
        weft = shutil.copy(self.weft, os.path.join(self.work, "bin", program))
        for place in places:
            os.makedirs(os.path.dirname(os.path.join(self.work, place)), exist_ok=True)
            shutil.copy(self.library, os.path.join(self.work, place))
        return weft

    def loaded(self, weft, **more):
        return self.shown(self.run_weft(self.show, weft=weft, **more))["LD_PRELOAD"]

    def test_beside_the_launcher(self):
        for name in ("libweft.so", "libweft.so.0"):
            weft = self.install(f"bin/{name}")
            self.assertEqual(self.loaded(weft), f"{self.work}/bin/{name}")
            self.assertEqual(self.marks(), ["show"])
            os.unlink(f"{self.work}/bin/{name}")

    def test_installed(self):
        for directory in ("lib", "lib/x86_64-linux-gnu"):
            weft = self.install(f"{directory}/libweft.so.0")
            self.assertEqual(self.loaded(weft), f"{self.work}/{directory}/libweft.so.0")
            os.unlink(f"{self.work}/{directory}/libweft.so.0")

    def test_found_through_links_and_path(self):
        weft = self.install("bin/libweft.so")
        os.mkdir(f"{self.work}/links")
        os.symlink(weft, f"{self.work}/links/weft")
        for name in (f"{self.work}/links/weft", "links/weft", "./bin/../links/weft"):
            self.assertEqual(self.loaded(name), f"{self.work}/bin/libweft.so")
        result = subprocess.run(["sh", "-c", f"weft {self.show}"], capture_output=True, text=True, cwd="/",
                                env=launcher.own_environment() | {"PATH": f"{self.work}/links:/usr/bin:/bin"})
        self.assertEqual(self.shown(result)["LD_PRELOAD"], f"{self.work}/bin/libweft.so")

    def test_missing(self):
        weft = self.install()
        result = self.run_weft(self.show, weft=weft)
        self.assert_one_line(result, 125, "there is no libweft.so", f"{self.work}/bin", "install weft again")
        self.assertEqual(result.stdout, "")
        machine = self.run_weft("check", weft=weft)
        self.assertEqual(machine.returncode, 1)
        self.assertIn("BAD   library       there is no libweft.so", machine.stdout)

    def test_missing_but_if_possible(self):
        result = self.run_weft("--if-possible", self.show, weft=self.install())
        self.assert_one_line(result, 0, "there is no libweft.so", "It is left native.")
        self.assertNotIn("LD_PRELOAD", result.stdout)

    def test_working_directory_is_not_looked_in(self):
        weft = self.install("libweft.so", "libweft.so.0", "here/libweft.so", "here/lib/libweft.so")
        for directory in (self.work, f"{self.work}/here"):
            for env in ({}, {"LD_LIBRARY_PATH": "."}, {"PWD": directory, "OLDPWD": directory}):
                result = self.run_weft(self.show, weft=weft, cwd=directory, env=env)
                self.assert_one_line(result, 125, "there is no libweft.so")
        self.assertEqual(self.marks(), [])

    def test_garbage(self):
        weft = self.install()
        for content in (b"", b"garbage", b"\x7fELF", launcher.elf(machine=3, wide=False), launcher.elf(kind=2)):
            with open(f"{self.work}/bin/libweft.so", "wb") as file:
                file.write(content)
            self.assert_one_line(self.run_weft(self.show, weft=weft), 125, "is no shared library for this machine")

    def test_directory_in_its_place(self):
        weft = self.install()
        os.mkdir(f"{self.work}/bin/libweft.so")
        self.assert_one_line(self.run_weft(self.show, weft=weft), 125, "cannot be read (Is a directory)")

    def test_unreadable(self):
        if os.getuid() != 0:
            self.skipTest("only root can become another user")
        weft = self.install("bin/libweft.so")
        os.chmod(f"{self.work}/bin/libweft.so", 0o600)
        result = self.run_weft(self.show, weft=weft, user=launcher.NOBODY, group=launcher.NOBODY, extra_groups=[])
        self.assert_one_line(result, 125, "cannot be read (Permission denied)")

    def test_space_or_colon_in_the_path(self):
        for odd in ("a b", "a:b"):
            os.makedirs(f"{self.work}/{odd}")
            weft = shutil.copy(self.weft, f"{self.work}/{odd}/weft")
            shutil.copy(self.library, f"{self.work}/{odd}/libweft.so")
            result = self.run_weft(self.show, weft=weft)
            self.assert_one_line(result, 125, f"'{self.work}/{odd}/libweft.so'", "a space or a colon", "Move weft")


class Environment(LauncherTest):
    def test_preload_is_set(self):
        self.assertEqual(self.shown(self.run_weft(self.show))["LD_PRELOAD"], self.library)

    def test_preload_is_kept(self):
        other = self.compile("libother.so", "int other;", "-shared", "-fPIC")
        for before in (other, f"{other}:{other}", f"{other} {other}", f":{other}"):
            result = self.run_weft(self.show, env={"LD_PRELOAD": before})
            self.assertEqual(self.shown(result)["LD_PRELOAD"], f"{before}:{self.library}")
            self.assertEqual(self.marks(), ["show"])

    def test_empty_preload(self):
        for before in ("", " ", "::"):
            self.assertEqual(self.shown(self.run_weft(self.show, env={"LD_PRELOAD": before}))["LD_PRELOAD"], self.library)

    def test_twice_is_once(self):
        result = self.run_weft(self.weft, "run", self.weft, self.show)
        self.assertEqual(self.shown(result)["LD_PRELOAD"], self.library)
        self.assertIn("show", self.marks())

    def test_root_is_the_program(self):
        result = self.run_weft(self.show, env={"WEFT_ROOT": "1"})
        pid = [line[4:] for line in result.stdout.splitlines() if line.startswith("pid ")]
        self.assertEqual([self.shown(result)["WEFT_ROOT"]], pid)

    def test_nothing_else_changes(self):
        environment = launcher.own_environment() | {"LD_PRELOAD": "", "TWICE": "x"}
        native = subprocess.run(["/usr/bin/env", "-0"], env=environment, capture_output=True, check=True).stdout
        woven = subprocess.run([self.weft, "/usr/bin/env", "-0"], env=environment, capture_output=True, check=True).stdout
        differing = set(native.split(b"\0")) ^ set(woven.split(b"\0"))
        self.assertEqual({entry.split(b"=")[0] for entry in differing}, {b"LD_PRELOAD", b"WEFT_ROOT"})

    def sanitized(self):
        try:
            return self.compile("sanitized", launcher.SHOW, "-fsanitize=address", "-pthread")
        except subprocess.CalledProcessError:
            self.skipTest("this compiler has no -fsanitize=address")

    def test_address_sanitizer_comes_first(self):
        path = self.sanitized()
        other = self.compile("libother.so", "int other;", "-shared", "-fPIC")
        env = {"ASAN_OPTIONS": "detect_leaks=0"}
        entries = self.shown(self.run_weft(path, env=env))["LD_PRELOAD"].split(":")
        self.assertRegex(entries[0], r"/libasan\.so\.\d+$")
        self.assertEqual(entries[1:], [self.library])
        self.assertEqual(self.marks(), ["sanitized"])
        again = self.shown(self.run_weft(path, env=env | {"LD_PRELOAD": other}))["LD_PRELOAD"].split(":")
        self.assertEqual(again, [entries[0], other, self.library])

    def test_address_sanitizer_once(self):
        path = self.sanitized()
        entries = self.shown(self.run_weft(path, env={"ASAN_OPTIONS": "detect_leaks=0"}))["LD_PRELOAD"]
        name = os.path.basename(entries.split(":")[0])
        result = self.run_weft(path, env={"ASAN_OPTIONS": "detect_leaks=0", "LD_PRELOAD": name})
        self.assertEqual(self.shown(result)["LD_PRELOAD"], f"{name}:{self.library}")


class Process(LauncherTest):
    """The program is the launcher's process, as it was."""

    def test_status_is_the_programs(self):
        for status in (0, 1, 2, 3, 42, 124, 125, 126, 127, 128, 255):
            result = self.run_weft("sh", "-c", f"exit {status}")
            self.assertEqual((result.returncode, result.stdout, result.stderr), (status, "", ""))

    def test_signals_are_the_programs(self):
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGINT):
            self.assertEqual(self.run_weft("sh", "-c", f"kill -{number.value} $$").returncode, -number)

    def test_same_process(self):
        with subprocess.Popen([self.weft, "sh", "-c", "echo $$; exec sleep 60"], stdout=subprocess.PIPE, text=True,
                              env=launcher.own_environment()) as process:
            self.assertEqual(process.stdout.readline(), f"{process.pid}\n")
            process.terminate()
            self.assertEqual(process.wait(timeout=30), -signal.SIGTERM)

    def test_signal_dispositions_and_mask_are_kept(self):
        def prepare():
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        lines = ["SigBlk", "SigIgn", "SigCgt", "SigPnd"]
        command = ["grep", "-E", "|".join(lines), "/proc/self/status"]
        environment = launcher.own_environment()
        native = subprocess.run(command, preexec_fn=prepare, capture_output=True, env=environment)
        woven = subprocess.run([self.weft, *command], preexec_fn=prepare, capture_output=True, env=environment)
        self.assertEqual(native.stdout.count(b"\n"), len(lines))
        self.assertEqual(native.stdout, woven.stdout)

    def test_no_descriptor_is_left_open(self):
        def descriptors(*command):
            result = subprocess.run([*command, "ls", "/proc/self/fd"], capture_output=True, env=launcher.own_environment())
            return result.stdout
        self.assertEqual(descriptors(self.weft), descriptors())

    def test_standard_descriptors_closed(self):
        def close():
            for fd in (0, 1, 2):
                os.close(fd)
        for words, status in (([self.show], 0), (["./nosuch"], 127), ([self.show, "--"], 0)):
            result = subprocess.run([self.weft, *words], preexec_fn=close, cwd=self.work, env=launcher.own_environment())
            self.assertEqual(result.returncode, status)

    def test_no_descriptors_left(self):
        # ld.so needs a descriptor to load libc, so natively nothing starts either: the same end, and no crash.
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        environment = launcher.own_environment()
        native = subprocess.run([self.show], preexec_fn=limit, capture_output=True, env=environment)
        woven = subprocess.run([self.weft, self.show], preexec_fn=limit, capture_output=True, env=environment)
        self.assertEqual(native.returncode, 127)
        self.assertEqual(woven.returncode, 127)
        self.assertIn(b"libc.so.6", woven.stderr)

    def test_message_to_a_full_disk(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            result = subprocess.run([self.weft, "./nosuch"], stderr=full, cwd=self.work, env=launcher.own_environment())
        self.assertEqual(result.returncode, 127)

    def test_stats_to_a_full_disk(self):
        result = self.run_weft("--stats=/dev/full", self.show)
        self.assert_woven(result)

    def test_working_directory_is_gone(self):
        gone = os.path.join(self.work, "gone")
        command = f"mkdir {gone} && cd {gone} && rmdir {gone} && exec {self.weft}"
        environment = launcher.own_environment()
        result = subprocess.run(["sh", "-c", f"{command} {self.show}"], capture_output=True, text=True, env=environment)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        result = subprocess.run(["sh", "-c", f"{command} --stats=x {self.show}"], capture_output=True, text=True, env=environment)
        self.assert_one_line(result, 125, "--stats: the working directory cannot be told", "as an absolute path")

    def test_needs_libc_alone(self):
        result = subprocess.run(["readelf", "-d", launcher.WEFT], capture_output=True, text=True, check=True)
        if "libasan" in result.stdout or "libtsan" in result.stdout:
            self.skipTest("this build has a sanitizer in it")
        self.assertEqual([line.split("[")[1] for line in result.stdout.splitlines() if "(NEEDED)" in line], ["libc.so.6]"])

    def test_no_fork(self):
        if shutil.which("strace") is None:
            self.skipTest("strace is not here")
        log = os.path.join(self.work, "log")
        traced = subprocess.run(["strace", "-f", "-o", log, "-e", "trace=process", self.weft, "true"], capture_output=True,
                                env=launcher.own_environment())
        if traced.returncode != 0:
            self.skipTest("ptrace is not allowed here")
        with open(log, encoding="utf-8") as file:
            calls = file.read()
        self.assertEqual(calls.count("execve("), 2, calls)
        for call in ("clone", "fork"):
            self.assertNotIn(call, calls)


if __name__ == "__main__":
    launcher.main()
