# SPDX-License-Identifier: Apache-2.0
"""Which programs weft runs, which it refuses and with what words, and that the two commands agree on it."""
import os
import shutil
import subprocess
import unittest

import launcher
from launcher import NOBODY, LauncherTest, elf

ROOT = os.getuid() == 0
PLAIN = "int main(void) { return 0; }"


class Lookup(LauncherTest):
    def test_missing(self):
        for name in ("./nosuch", "/nosuch/nosuch", "nosuch", ""):
            for words in ([], ["run"], ["--if-possible"], ["--"]):
                self.assert_one_line(self.run_weft(*words, name), 127, name, "Check the name")
            self.assert_one_line(self.run_weft("check", name), 3, name, "Check the name")

    def test_dangling_link(self):
        os.symlink("nowhere", os.path.join(self.work, "link"))
        self.assert_one_line(self.run_weft("./link"), 127, "./link does not exist")

    def test_looked_for_in_path(self):
        os.mkdir(os.path.join(self.work, "first"))
        os.mkdir(os.path.join(self.work, "first", "tool"))  # a directory of that name is passed over
        self.write("first/other", "no program", 0o644)  # and a file that may not run
        os.mkdir(os.path.join(self.work, "second"))
        for name in ("tool", "other"):
            os.symlink(self.show, os.path.join(self.work, "second", name))
        env = {"PATH": f"/nosuch:{self.work}/first:{self.show}:{self.work}/second"}
        for name in ("tool", "other"):
            self.assertEqual(self.arguments_shown(self.run_weft(name, "x", env=env)), [name, "x"])

    def test_empty_element_of_path_is_the_working_directory(self):
        os.symlink(self.show, os.path.join(self.work, "tool"))
        for path in ("", ":/nosuch", "/nosuch:", "/nosuch::/nosuch"):
            self.assertEqual(self.arguments_shown(self.run_weft("tool", env={"PATH": path})), ["tool"])

    def test_without_path(self):
        self.assertEqual(self.run_weft("true", env={"PATH": None}).returncode, 0)
        self.assert_one_line(self.run_weft("nosuch", env={"PATH": None}), 127, "'nosuch' is in no directory of PATH")

    def test_found_in_path_but_not_executable(self):
        self.write("tool", "echo no", 0o644)
        self.assert_one_line(self.run_weft("tool", env={"PATH": f"{self.work}:/nosuch"}), 126, "tool may not be executed")

    def test_not_executable(self):
        self.write("plain", "echo no", 0o644)
        self.assert_refused("./plain", "./plain may not be executed (Permission denied)", status=126)

    def test_directory(self):
        self.assert_refused("/tmp", "/tmp is a directory", status=126)

    def test_below_a_file(self):
        self.assert_refused("/etc/passwd/x", "Not a directory", status=126)

    def test_links_in_a_circle(self):
        os.symlink("circle", os.path.join(self.work, "circle"))
        self.assert_refused("./circle", "Too many levels of symbolic links", status=126)

    def test_fifo_does_not_wait(self):
        os.mkfifo(os.path.join(self.work, "fifo"), 0o777)
        self.assert_refused("./fifo", "./fifo may not be executed", status=126)

    def test_name_too_long(self):
        self.assert_refused("./" + "x" * 5000, "File name too long", status=126)

    @unittest.skipUnless(ROOT, "only root can become another user")
    def test_unreadable_but_executable(self):
        # The kernel executes such a file, and ld.so preloads into it.
        path = shutil.copy(self.show, os.path.join(self.work, "secret"))
        os.chmod(path, 0o711)
        other = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self.assert_woven(self.run_weft(path, **other), "secret")
        checked = self.run_weft("check", path, **other)
        self.assertEqual(checked.returncode, 0)
        self.assertIn("it may not be read", checked.stdout)


class Linkage(LauncherTest):
    def left_native(self, path, *words):
        """With --if-possible, by option and by variable, the program runs without the library after one line."""
        for arguments, env in ((["--if-possible"], {}), ([], {"WEFT_IF_POSSIBLE": "1"})):
            result = self.run_weft(*arguments, path, "7", env=env)
            self.assert_one_line(result, 7, *words, "It is left native.")
            self.assertEqual(self.marks(), [])
        for value in ("0", "no", ""):
            self.assertEqual(self.run_weft(path, "7", env={"WEFT_IF_POSSIBLE": value}).returncode, 125)

    EXIT = "#include <stdlib.h>\nint main(int c, char **v) { return getenv(\"LD_PRELOAD\") ? 99 : atoi(v[1]); }"

    def compile_or_skip(self, name, flag):
        try:
            return self.compile(name, self.EXIT, flag)
        except subprocess.CalledProcessError:
            self.skipTest(f"this compiler has no {flag}")

    def test_static(self):
        path = self.compile_or_skip("static", "-static")
        self.assert_refused(path, f"{path} is statically linked, so nothing can be hooked. Relink it dynamically, or link libweft.")
        self.left_native(path, "is statically linked")

    def test_static_pie(self):
        path = self.compile_or_skip("static-pie", "-static-pie")
        self.assert_refused(path, f"{path} is statically linked (static-pie)", "without -static-pie")
        self.left_native(path, "static-pie")

    def test_dynamic_kinds(self):
        for flag in ("-pie", "-no-pie", "-s", "-Wl,--hash-style=sysv", "-Wl,-z,now"):
            path = self.compile("dynamic", launcher.SHOW, flag)
            self.assert_woven(self.run_weft(path), "dynamic")
            self.assertEqual(self.run_weft("check", path).returncode, 0, flag)

    def test_shared_library(self):
        self.assert_refused(self.library, "is a shared library and no program", status=126)

    def test_object_file(self):
        path = self.compile("object.o", PLAIN, "-c")
        os.chmod(path, 0o755)
        self.assert_refused(path, "no program (an object file or a core)", status=126)

    def test_loader_as_a_program(self):
        loader = launcher.INTERPRETER
        self.assert_woven(self.run_weft(loader, self.show))
        checked = self.run_weft("check", loader)
        self.assertEqual(checked.returncode, 0)
        self.assertIn("it is the loader", checked.stdout)

    def test_32_bit(self):
        self.write("old", elf(machine=3, wide=False))
        self.assert_refused("./old", "./old is a program for 32-bit i386")

    def test_x32(self):
        self.write("x32", elf(machine=62, wide=False))
        self.assert_refused("./x32", "./x32 is a program for 32-bit x86-64")

    def test_other_machines(self):
        for machine, wide, big, words in ((183, True, False, "64-bit AArch64"), (40, False, False, "32-bit ARM"),
                                          (22, True, True, "64-bit S/390, big-endian"), (8, False, True, "32-bit MIPS, big-endian"),
                                          (243, True, False, "64-bit RISC-V"), (4711, True, False, "64-bit machine 4711")):
            self.write("other", elf(machine=machine, wide=wide, big=big))
            self.assert_refused("./other", f"./other is a program for {words}, and")

    def test_other_machine_left_to_the_kernel(self):
        self.write("other", elf(machine=4711))
        result = self.run_weft("--if-possible", "./other")
        self.assertEqual(result.returncode, 126)
        self.assertIn("cannot execute ./other: Exec format error.", result.stderr)

    def test_musl(self):
        self.write("alpine", elf(interpreter="/lib/ld-musl-x86_64.so.1"))
        self.assert_refused("./alpine", "./alpine is built for musl (/lib/ld-musl-x86_64.so.1)")

    def test_other_loaders(self):
        for interpreter in ("/system/bin/linker64", "/lib/ld64-uClibc.so.0", "/lib/ld-linux.so.2"):
            self.write("odd", elf(interpreter=interpreter))
            self.assert_refused("./odd", f"wants the loader {interpreter}, which is not glibc's")

    def test_loader_missing(self):
        self.write("odd", elf(interpreter="/nosuch/ld-linux-x86-64.so.2"))
        self.assert_refused("./odd", "the loader /nosuch/ld-linux-x86-64.so.2 of ./odd does not exist", status=127)

    def test_go(self):
        for name, content in (("section", elf(section=".go.buildinfo")), ("note", elf(note=b"Go\0\0")),
                              ("static", elf(interpreter=None, dynamic=False, section=".go.buildinfo"))):
            with self.subTest(name):
                self.write(name, content)
                self.assert_refused(f"./{name}", f"./{name} is a Go program")

    def test_what_is_not_go(self):
        for content in (elf(section=".go.buildinf"), elf(note=b"GNU\0"), elf()):
            self.write("other", content)
            self.assertNotIn("Go program", self.run_weft("check", "./other").stdout)

    def test_damaged(self):
        whole = elf()
        for content in (b"\x7fELF", whole[:15], whole[:19], whole[:63], whole[:64], whole[:100], whole[:56 * 3 + 64], whole[:-24]):
            self.write("damaged", content)
            self.assert_refused("./damaged", "./damaged is a damaged ELF file", status=126)

    def test_loader_name_without_an_end(self):
        # It fills the last page of the file, so that there is nothing mapped behind it.
        whole = elf()
        place = 64 + 56
        segment = whole[place:place + 8] + (4096 - 512).to_bytes(8, "little")
        segment += whole[place + 16:place + 32] + (512).to_bytes(8, "little") + whole[place + 40:place + 56]
        damaged = whole[:place] + segment + whole[place + 56:]
        self.write("damaged", damaged + b"x" * (4096 - len(damaged)))
        self.assert_refused("./damaged", "./damaged is a damaged ELF file", status=126)

    def test_other_binary(self):
        self.write("binary", b"MZ\0\0" + bytes(100))
        self.assert_refused("./binary", "./binary is neither an ELF program nor a script", status=126)
        result = self.run_weft("--if-possible", "./binary")
        self.assertEqual(result.returncode, 126)
        self.assertIn("Exec format error", result.stderr)


class Scripts(LauncherTest):
    def test_interpreter_is_woven(self):
        self.write("script", f"#!{self.show} one  two \nignored\n")
        result = self.run_weft("./script", "x")
        self.assertEqual(self.arguments_shown(result), [self.show, "one  two", "./script", "x"])
        self.assert_woven(result)
        self.assertIn(f"its interpreter is {self.show}", self.run_weft("check", "./script").stdout)

    def test_script_for_a_script(self):
        inner = self.write("inner", f"#!{self.show}\n")
        self.write("outer", f"#! \t{inner}\n")
        self.assert_woven(self.run_weft("./outer"))
        self.assertIn(f"its interpreter is {self.show}", self.run_weft("check", "./outer").stdout)

    def test_env(self):
        for line in ("env show", "env -S show -x", "env -Sshow", "env -i show", "env A=1 show"):
            self.write("script", f"#!/usr/bin/{line}\n")
            checked = self.run_weft("check", "./script", env={"PATH": f"{self.bin}:/usr/bin:/bin"})
            self.assertIn(f"its interpreter is {self.show}", checked.stdout, line)
        self.write("script", "#!/usr/bin/env show\n")
        self.assert_woven(self.run_weft("./script", env={"PATH": f"{self.bin}:/usr/bin:/bin"}))

    def test_env_of_what_is_missing(self):
        self.write("script", "#!/usr/bin/env nosuch\n")
        self.assert_refused("./script", "the interpreter nosuch of the script ./script does not exist", status=127)

    def test_interpreter_missing_or_not_executable(self):
        self.write("script", "#!/nosuch\n")
        self.assert_refused("./script", "the interpreter /nosuch of the script ./script does not exist", status=127)
        self.write("script", "#!/etc/passwd\n")
        self.assert_refused("./script", "the interpreter /etc/passwd of the script ./script may not be executed", status=126)
        self.write("script", "#!\n")
        self.assert_refused("./script", "names no interpreter", status=126)

    def test_interpreter_that_cannot_be_woven(self):
        old = self.write("old", elf(machine=3, wide=False))
        self.write("script", f"#!{old}\n")
        self.assert_refused("./script", f"./script is a script for {old}, which is a program for 32-bit i386")

    def test_circle(self):
        self.write("script", f"#!{self.work}/script\n")
        self.assert_refused("./script", "deeper than the kernel follows", status=126)

    def test_without_a_first_line(self):
        for content in ("", "echo $0 $1\n", "\n"):
            self.write("script", content)
            result = self.run_weft("./script", "x")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertEqual(result.stdout, "./script x\n" if "echo" in content else "")
            self.assertIn("sh", self.marks()[0])
            self.assertIn("its interpreter is /bin/sh", self.run_weft("check", "./script").stdout)

    def test_long_and_odd_lines(self):
        for content in ("#!", "#! ", "#!/" + "x" * 5000, "#!\0\0", b"#!\xff\xff\n", "#!/bin/\0sh\n"):
            self.write("script", content)
            self.assertIn(self.run_weft("./script").returncode, (126, 127))


@unittest.skipUnless(ROOT, "only root can make files of other users, and become them")
class Privileges(LauncherTest):
    OTHER = {"user": NOBODY, "group": NOBODY, "extra_groups": []}

    def setUp(self):
        super().setUp()
        if os.statvfs(self.work).f_flag & os.ST_NOSUID:
            self.skipTest("the temporary directory is mounted nosuid")
        self.program = shutil.copy(self.show, self.work)

    def prepare(self, mode, uid=0, gid=0):
        os.chown(self.program, uid, gid)
        os.chmod(self.program, mode)

    def test_setuid(self):
        self.prepare(0o4755)
        self.assert_refused(self.program, f"{self.program} is setuid root, so ld.so ignores LD_PRELOAD", **self.OTHER)
        result = self.run_weft("--if-possible", self.program, **self.OTHER)
        self.assertEqual(result.returncode, 0)
        self.assertEqual(self.marks(), [])
        self.assert_woven(self.run_weft(self.program))  # for its owner it raises nothing
        checked = self.run_weft("check", self.program)
        self.assertEqual(checked.returncode, 0)
        self.assertIn("it is setuid root: for every user but root", checked.stdout)

    def test_setuid_of_another_user(self):
        self.prepare(0o4755, uid=NOBODY)
        self.assert_refused(self.program, f"{self.program} is setuid nobody")  # root is not exempt: ids differ
        self.assert_woven(self.run_weft(self.program, **self.OTHER))
        self.assertIn("it is setuid nobody: for every user but nobody", self.run_weft("check", self.program, **self.OTHER).stdout)

    def test_setgid(self):
        self.prepare(0o2755, gid=NOBODY)
        self.assert_refused(self.program, f"{self.program} is setgid nogroup")
        self.assert_woven(self.run_weft(self.program, **self.OTHER))
        self.assertIn("it is setgid nogroup", self.run_weft("check", self.program, **self.OTHER).stdout)

    def test_setgid_without_execution_is_nothing(self):
        self.prepare(0o2745, gid=NOBODY)
        self.assert_woven(self.run_weft(self.program))

    def test_setuid_means_nothing_without_new_privileges(self):
        if shutil.which("setpriv") is None:
            self.skipTest("setpriv is not here")
        self.prepare(0o4755)
        result = subprocess.run(["setpriv", "--no-new-privs", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups",
                                 self.weft, self.program], env=launcher.own_environment() | {"MARK": self.mark},
                                capture_output=True, text=True)
        self.assert_woven(result)

    def test_setuid_script_is_nothing(self):
        path = self.write("script", f"#!{self.show}\n", 0o4755)
        self.assert_woven(self.run_weft(path, **self.OTHER))

    def test_setuid_interpreter(self):
        self.prepare(0o4755)
        self.write("script", f"#!{self.program}\n")
        self.assert_refused("./script", f"./script is a script for {self.program}, which is setuid root", **self.OTHER)

    def test_capabilities(self):
        if shutil.which("setcap") is None:
            self.skipTest("setcap is not here")
        self.prepare(0o755)
        if subprocess.run(["setcap", "cap_net_bind_service+ep", self.program], capture_output=True).returncode != 0:
            self.skipTest("this file system has no file capabilities")
        self.assert_refused(self.program, f"{self.program} has file capabilities, so ld.so ignores LD_PRELOAD", **self.OTHER)
        self.assert_woven(self.run_weft(self.program))
        self.assertIn("for every user but root", self.run_weft("check", self.program).stdout)
        subprocess.run(["setcap", "cap_net_bind_service+i", self.program], check=True)
        self.assert_woven(self.run_weft(self.program, **self.OTHER))  # inheritable alone raises nothing here

    def test_launcher_with_borrowed_rights(self):
        result = subprocess.run([self.weft, self.show], capture_output=True, text=True, env=launcher.own_environment(),
                                preexec_fn=lambda: os.setresuid(NOBODY, 0, 0))
        self.assert_one_line(result, 125, "another real than effective user")


if __name__ == "__main__":
    launcher.main()
