# SPDX-License-Identifier: Apache-2.0
"""`weft check`: its report against what nm and ld.so say, the search for libraries, damaged files, and the machine."""
import os
import random
import re
import resource
import shutil
import subprocess
import sys

import launcher
from launcher import LauncherTest, hook_list

PLAIN = "int main(void) { return 0; }"


class Report(LauncherTest):
    def calls(self, report):
        """The two lists of calls: imported, and not."""
        match = re.search(r"^Hooked calls that it or a library of its imports, (\d+) of (\d+):\n(.*)"
                          r"^Hooked calls that it does not import, (\d+):\n(.*)\Z", report, re.M | re.S)
        self.assertIsNotNone(match, report)
        lists = []
        for part in (match[3], match[5]):
            # The family's name stands in the first column of a paragraph.
            words = re.sub(r"^  \w+", "", part, flags=re.M).split()
            self.assertEqual(len(words), len(set(words)))
            lists.append(set(words))
        self.assertEqual((len(lists[0]), len(lists[1])), (int(match[1]), int(match[4])))
        self.assertEqual(int(match[2]), len(lists[0]) + len(lists[1]))
        return lists

    def check(self, *words, status=0, **more):
        result = self.run_weft("check", *words, **more)
        self.assertEqual((result.returncode, result.stderr), (status, ""), result.stdout)
        return result.stdout

    def test_imports_are_those_of_nm(self):
        """For programs of this machine: the undefined symbols of the files that ld.so itself would load, libc left out."""
        programs = [self.show, os.path.realpath(sys.executable), *filter(None, map(shutil.which, ("sh", "ls", "tar", "perl", "cc")))]
        for program in programs:
            with self.subTest(program):
                trace = subprocess.run([launcher.INTERPRETER, "--list", program], capture_output=True, text=True, check=True)
                files = re.findall(r"(/\S+) \(0x", trace.stdout)
                count = len(files)
                files = [file for file in files if os.path.basename(file) not in ("libc.so.6", "ld-linux-x86-64.so.2")]
                wanted = set()
                for file in [program, *files]:
                    nm = subprocess.run(["nm", "-D", "--undefined-only", file], capture_output=True, text=True, check=True)
                    wanted |= {line.split()[-1].split("@")[0] for line in nm.stdout.splitlines()}
                report = self.run_weft("check", program).stdout
                self.assertIn(f"  libraries  {count}, ", report)
                imported, others = self.calls(report)
                self.assertEqual(imported, wanted & hook_list())
                self.assertEqual(others, hook_list() - wanted)

    def test_a_library_of_its_own(self):
        """What only a library imports counts; and so does the library that only that one NEEDs."""
        for flags, env in ((["-Wl,-rpath,$ORIGIN/../deep", "-Wl,--enable-new-dtags"], {}),
                           (["-Wl,-rpath,$ORIGIN/../deep", "-Wl,--disable-new-dtags"], {}),
                           (["-Wl,-rpath,${ORIGIN}/../deep"], {}),
                           ([], {"LD_LIBRARY_PATH": f"/nosuch:{self.root}/deep"})):
            with self.subTest(flags=flags):
                # The inner library is found by the outer one's own DT_RUNPATH, or by the program's DT_RPATH.
                rest = ["-shared", "-fPIC", f"-L{self.root}/deep"]
                self.compile("deep/libinner.so", "#include <time.h>\nvoid inner(void) { clock_nanosleep(0, 0, 0, 0); }", *rest)
                own = [] if "-Wl,--disable-new-dtags" in flags else flags
                self.compile("deep/libouter.so", "void inner(void); void outer(void) { inner(); }", *rest, "-linner",
                             *[flag.replace("/../deep", "") for flag in own])
                program = self.compile("prog/deep", "#include <pthread.h>\nvoid outer(void);"
                                       "int main(void) { outer(); return pthread_create(0, 0, 0, 0); }",
                                       f"-L{self.root}/deep", f"-Wl,-rpath-link,{self.root}/deep", "-louter", *flags)
                report = self.check(program, env=env)
                self.assertEqual(self.calls(report)[0], {"pthread_create", "clock_nanosleep"})
                self.assertNotIn("missing", report)
                self.assertIn("  libraries  ", report)

    def test_a_library_that_is_missing(self):
        self.compile("gone/libgone.so", "void gone(void) {}", "-shared", "-fPIC")
        program = self.compile("gone/prog", launcher.SHOW.replace("int main(", "void gone(void); int main(") + "void *g = gone;",
                               f"-L{self.root}/gone", "-lgone")
        self.assertIn(f"missing    libgone.so, NEEDed by {program}", self.check(program))

    def test_a_library_of_another_machine_is_passed_over(self):
        self.compile("right/liba.so", "#include <unistd.h>\nvoid a(void) { pause(); }", "-shared", "-fPIC")
        os.makedirs(os.path.join(self.root, "wrong"))
        with open(os.path.join(self.root, "wrong", "liba.so"), "wb") as file:
            file.write(launcher.elf(machine=3, wide=False))
        program = self.compile("right/prog", "#include <pthread.h>\nvoid a(void);"
                               "int main(void) { a(); return pthread_create(0, 0, 0, 0); }", f"-L{self.root}/right", "-la")
        report = self.check(program, env={"LD_LIBRARY_PATH": f"{self.root}/wrong:{self.root}/right"})
        self.assertIn("pause", self.calls(report)[0])

    def test_a_library_of_the_cache(self):
        """One that only /etc/ld.so.cache leads to."""
        listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
        standard = {os.path.join(directory, "") for directory in ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64",
                                                                  "/usr/lib64", "/lib", "/usr/lib")}
        for name, path in re.findall(r"^\t(\S+) \(libc6,x86-64\) => (\S+)$", listed, re.M):
            if os.path.dirname(path) + "/" not in standard and os.path.exists(path):
                break
        else:
            self.skipTest("no library of the cache is outside the standard directories")
        self.compile(f"cached/{name}", "void cached(void) {}", "-shared", "-fPIC", f"-Wl,-soname,{name}")
        program = self.compile("cached/prog", "#include <pthread.h>\nvoid cached(void);"
                               "int main(void) { cached(); return pthread_create(0, 0, 0, 0); }", f"-L{self.root}/cached", f"-l:{name}")
        self.assertNotIn("missing", self.check(program))

    def test_libraries_in_a_circle(self):
        flags = ["-shared", "-fPIC", f"-L{self.root}/circle", "-Wl,-rpath,$ORIGIN", "-Wl,--no-as-needed"]
        self.compile("circle/liby.so", "void y(void) {}", *flags)
        self.compile("circle/libx.so", "void x(void) {}", *flags, "-ly")
        self.compile("circle/liby.so", "void y(void) {}", *flags, "-lx")
        program = self.compile("circle/prog", launcher.SHOW, *flags[2:], "-lx")
        self.assertIn("  libraries  4, ", self.check(program))

    def test_threads(self):
        self.assertIn(f"threads    pthread_create, imported by {self.show}", self.check(self.show))
        c11 = self.compile("c11", "#include <threads.h>\nint main(void) { return thrd_create(0, 0, 0); }")
        self.assertIn(f"threads    thrd_create, imported by {c11}", self.check(c11))
        loads = self.compile("loads", "#include <dlfcn.h>\nint main(void) { return dlopen(0, 0) == 0; }")
        self.assertIn(f"dlopen is imported by {loads}", self.check(loads))

    def test_no_threads(self):
        program = self.compile("single", PLAIN)
        report = self.check(program, status=1)
        self.assertIn(f"{program} makes no threads: no pthread_create is reachable", report.splitlines()[0])
        self.assertEqual(self.calls(report)[0], set())
        # To run it is no mistake: it may start others that make threads.
        self.assert_woven(self.run_weft(program), "single")

    def test_refused_programs_are_looked_at_too(self):
        static = self.compile("static", PLAIN, "-static")
        self.assertNotIn("Hooked calls", self.check(static, status=1))

    def test_arguments(self):
        self.assertIn("can be woven", self.check("--", self.show))
        self.assert_one_line(self.run_weft("check", "a", "b"), 2, "not 'b' as well")
        self.assert_one_line(self.run_weft("check", "--frob", "a"), 2, "no option --frob")
        self.assert_one_line(self.run_weft("check", "-x", "a"), 2, "no option -x")
        self.assert_one_line(self.run_weft("check", "./nosuch"), 3, "./nosuch does not exist")

    def test_looks_in_path(self):
        report = self.check("show", env={"PATH": self.bin})
        self.assertEqual(report.splitlines()[0], "show can be woven.")
        self.assertIn(f"program    {self.show}", report)


class Damaged(LauncherTest):
    """Files that lie. The launcher must say something and end; a crash shows as a negative status."""

    def look(self, content):
        path = self.write("damaged", content)
        result = self.run_weft("check", path, env={"UBSAN_OPTIONS": "halt_on_error=1"})
        self.assertIn(result.returncode, (0, 1), result.stderr)
        self.assertEqual(result.stderr, "")

    def sample(self):
        with open(self.compile("sample", launcher.SHOW, "-s", "-Wl,-rpath,$ORIGIN"), "rb") as file:
            return file.read()

    def test_every_short_length(self):
        whole = self.sample()
        for length in [*range(0, 200, 3), *range(200, len(whole), max(1, len(whole) // 60))]:
            self.look(whole[:length])

    def test_changed_bytes(self):
        whole = self.sample()
        dice = random.Random(20)
        # Headers and the dynamic section decide; most of the rest is code.
        dynamic = re.search(rb"\x01\0{7}.{8}\x1d\0{7}", whole, re.S)
        places = [*range(16, 64 + 13 * 56), *range(dynamic.start(), dynamic.start() + 480)]
        for _ in range(400):
            damaged = bytearray(whole)
            for _ in range(dice.choice((1, 1, 2, 8))):
                damaged[dice.choice(places)] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
            self.look(bytes(damaged))

    def test_great_numbers(self):
        whole = self.sample()
        for place in [24, 32, 40, *range(64, 64 + 13 * 56, 8)]:
            for value in (2**64 - 1, 2**63, 2**64 - 4096, len(whole), len(whole) - 1):
                self.look(whole[:place] + value.to_bytes(8, "little") + whole[place + 8:])

    def test_noise(self):
        dice = random.Random(21)
        for size in (1, 4, 64, 4096, 70000):
            self.look(dice.randbytes(size))
            self.look(b"\x7fELF" + dice.randbytes(size))
            self.look(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\0\x3e\0" + dice.randbytes(size))
            self.look(b"#!" + dice.randbytes(size))


class Machine(LauncherTest):
    THINGS = ["kernel", "glibc", "library", "FSGSBASE", "stack guards", "max_map_count", "membarrier", "epoll_pwait2", "RWF_NOWAIT",
              "CPUs", "open files", "threads", "address space", "overcommit", "ptrace"]

    def lines(self, **more):
        result = self.run_weft("check", **more)
        lines = result.stdout.splitlines()
        self.assertEqual(lines[0], "This machine:")
        self.assertEqual(result.stderr, "")
        bad = any(line.startswith("  BAD") for line in lines)
        self.assertEqual(result.returncode, 1 if bad else 0)
        self.assertEqual(lines[-1].startswith("Programs can be woven here."), not bad)
        found = {}
        for line in lines[1:-1]:
            self.assertRegex(line, r"^  (ok|note|BAD) ")
            found[line[8:21].strip()] = line
        self.assertEqual(list(found), self.THINGS)
        for line in found.values():
            if not line.startswith("  ok"):
                self.assertRegex(line, r"Use |Raise |Mount |Put |Give |Lift |Install |Boot |needs ", "what to do is missing")
        return found

    def test_a_line_each(self):
        lines = self.lines()
        self.assertIn(os.uname().release, lines["kernel"])
        self.assertEqual(lines["library"], f"  ok    library       {self.library}")
        self.assertIn(f" {len(os.sched_getaffinity(0))} in the affinity mask", lines["CPUs"])

    def limited(self, which, soft, user=None):
        hard = resource.getrlimit(which)[1]
        more = {"user": user, "group": user, "extra_groups": []} if user else {}
        return self.lines(preexec_fn=lambda: resource.setrlimit(which, (soft, hard)), **more)

    def test_few_descriptors(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.assertIn(f"note  open files    100 descriptors at once, at most {hard}. ", self.limited(resource.RLIMIT_NOFILE, 100)["open files"])
        self.assertIn("ulimit -n", self.limited(resource.RLIMIT_NOFILE, 100)["open files"])

    def test_little_address_space(self):
        self.assertIn("note  address space 1073741824 bytes", self.limited(resource.RLIMIT_AS, 1 << 30)["address space"])

    def test_few_threads(self):
        if os.getuid() != 0:
            self.skipTest("only root can become another user")
        self.assertIn("no bound for root", self.limited(resource.RLIMIT_NPROC, 100)["threads"])
        self.assertIn("note  threads       100 kernel threads", self.limited(resource.RLIMIT_NPROC, 100, launcher.NOBODY)["threads"])

    def test_no_descriptors_for_probes(self):
        """Probes that need a descriptor fail; the report is whole all the same."""
        if os.path.exists(f"{self.root}/bin/held"):
            self.fail("left over")
        lines = self.lines(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4)))
        self.assertIn("note  stack guards", lines["stack guards"])

    def test_sandbox_without_new_calls(self):
        """A kernel that lies about guards and knows none of the newer calls, played by a seccomp filter."""
        runner = self.compile("sandbox", SANDBOX)
        result = self.run_weft("check", weft=runner, env={"REAL": self.weft})
        if result.returncode == 77:
            self.skipTest("seccomp is not allowed here")
        for thing in ("stack guards", "membarrier", "epoll_pwait2", "RWF_NOWAIT"):
            self.assertIn(f"  note  {thing} ", result.stdout)
        self.assertEqual((result.returncode, result.stderr), (0, ""))


SANDBOX = r"""
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#define ANSWER(number, error) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
int main(int count, char **arguments) {
  struct sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      ANSWER(SYS_madvise, 0),  // says yes and does nothing
      ANSWER(SYS_membarrier, ENOSYS), ANSWER(441, ENOSYS), ANSWER(SYS_preadv2, ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {sizeof(rules) / sizeof(rules[0]), rules};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 77;
  execv(getenv("REAL"), arguments);
  return 78;
}
"""


if __name__ == "__main__":
    launcher.main()
