# SPDX-License-Identifier: Apache-2.0
"""What the launcher's tests share: an installation of their own, with a small stand-in for libweft.so, and ways to run it.

The stand-in writes a line to the file named by MARK when ld.so has loaded it, so a test knows whether a program was really
preloaded into. Nothing here depends on the real library.
"""
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
WEFT = os.environ.get("WEFT_LAUNCHER", os.path.join(SOURCE, "build", "release", "weft"))
NOBODY = 65534

STAND_IN = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
extern char *program_invocation_short_name;
__attribute__((constructor)) static void loaded(void) {
  const char *mark = getenv("MARK");
  if (mark == 0) return;
  int fd = open(mark, O_WRONLY | O_CREAT | O_APPEND, 0666);
  if (fd < 0) return;
  (void)!write(fd, program_invocation_short_name, strlen(program_invocation_short_name));
  (void)!write(fd, "\n", 1);
  close(fd);
}
"""

# Prints its arguments, its pid and the variables that begin with WEFT_ or LD_, a line each.
SHOW = r"""
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <pthread.h>
extern char **environ;
static void *nothing(void *argument) { return argument; }
int main(int count, char **arguments) {
  pthread_t thread;
  if (pthread_create(&thread, 0, nothing, 0) != 0 || pthread_join(thread, 0) != 0) return 99;
  for (int i = 0; i < count; i++) printf("arg %s\n", arguments[i]);
  printf("pid %d\n", (int)getpid());
  for (char **entry = environ; *entry != 0; entry++)
    if (strncmp(*entry, "WEFT_", 5) == 0 || strncmp(*entry, "LD_", 3) == 0) printf("env %s\n", *entry);
  return 0;
}
"""


def own_environment():
    """The environment of this process without what would change the answers."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("WEFT_", "LD_", "ASAN_"))}


class LauncherTest(unittest.TestCase):
    """A directory with bin/weft, bin/libweft.so and bin/show, new for each class; a working directory, new for each test."""

    @classmethod
    def setUpClass(cls):
        cls.root = os.path.realpath(tempfile.mkdtemp(prefix="weft-launcher-"))
        os.chmod(cls.root, 0o755)
        cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        cls.bin = os.path.join(cls.root, "bin")
        os.mkdir(cls.bin)
        cls.weft = shutil.copy(WEFT, cls.bin)
        cls.library = cls.compile("bin/libweft.so", STAND_IN, "-shared", "-fPIC", "-Wl,-soname,libweft.so.0")
        cls.show = cls.compile("bin/show", SHOW)

    def setUp(self):
        self.work = tempfile.mkdtemp(dir=self.root)
        os.chmod(self.work, 0o777)
        self.mark = os.path.join(self.work, "mark")

    @classmethod
    def compile(cls, name, source, *flags):
        path = os.path.join(cls.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, "-x", "c", "-D_GNU_SOURCE", "-o", path, "-", *flags], input=source, text=True, check=True)
        return path

    def write(self, name, content, mode=0o755):
        path = os.path.join(self.work, name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(path, mode)
        return path

    def run_weft(self, *arguments, env=None, weft=None, **more):
        """Runs weft in the test's working directory; `env` adds to the environment, None as a value takes away."""
        environment = own_environment() | {"MARK": self.mark} | (env or {})
        environment = {k: v for k, v in environment.items() if v is not None}
        more.setdefault("cwd", self.work)
        more.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([weft or self.weft, *arguments], env=environment, capture_output=True, text=True, timeout=60,
                              errors="surrogateescape", **more)

    def marks(self):
        """The names of the programs that the stand-in was loaded into; forgets them."""
        try:
            with open(self.mark, encoding="utf-8") as file:
                names = file.read().split()
            os.unlink(self.mark)
            return names
        except FileNotFoundError:
            return []

    def shown(self, result):
        """The environment that bin/show printed."""
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = [line[4:] for line in result.stdout.splitlines() if line.startswith("env ")]
        return dict(line.split("=", 1) for line in lines)

    def arguments_shown(self, result):
        self.assertEqual(result.returncode, 0, result.stderr)
        return [line[4:] for line in result.stdout.splitlines() if line.startswith("arg ")]

    def assert_one_line(self, result, status, *words):
        """The launcher ended with this status and said one line, with these words in it; the program said nothing."""
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertTrue(result.stderr.startswith("weft: "), result.stderr)
        self.assertTrue(result.stderr.endswith(".\n") or result.stderr.endswith("?\n") or result.stderr.endswith(").\n"),
                        result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def assert_woven(self, result, program="show"):
        """The program ran with the stand-in in it, and weft said nothing."""
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn(program, self.marks())

    def assert_refused(self, path, *words, status=125, name=None, **more):
        """weft does not run it and says why; weft check says the same; with --if-possible it is left native."""
        name = name or path
        self.assert_one_line(self.run_weft(name, **more), status, *words)
        self.assertEqual(self.marks(), [])
        checked = self.run_weft("check", name, **more)
        self.assertEqual((checked.returncode, checked.stderr), (1, ""))
        for word in ("cannot be woven", *words):
            self.assertIn(word, checked.stdout.splitlines()[0])


# ELF files that no compiler here makes.

INTERPRETER = "/lib64/ld-linux-x86-64.so.2"


def elf(machine=62, wide=True, big=False, kind=3, interpreter=INTERPRETER, dynamic=True, section=None, note=None):
    """A program with these headers and nothing behind them: the kernel would start it and it would crash."""
    order = ">" if big else "<"
    ident = b"\x7fELF" + bytes([2 if wide else 1, 2 if big else 1, 1, 0]) + bytes(8)
    if not wide:
        return ident + struct.pack(order + "HHIIIIIHHHHHH", kind, machine, 1, 0, 52, 0, 0, 52, 32, 0, 40, 0, 0)
    segments = []  # (type, content)
    if interpreter is not None:
        segments.append((3, interpreter.encode() + b"\0"))
    if dynamic:
        segments.append((2, struct.pack(order + "QQ", 0, 0)))
    if note is not None:
        segments.append((4, struct.pack(order + "III", len(note), 4, 4) + note + b"abcd"))
    names = b"\0" + (section or "").encode() + b"\0.shstrtab\0"
    start = 64 + 56 * (len(segments) + 1)
    headers = struct.pack(order + "IIQQQQQQ", 1, 5, 0, 0, 0, start, start, 4096)
    body = b""
    for number, content in segments:
        offset = start + len(body)
        headers += struct.pack(order + "IIQQQQQQ", number, 4, offset, offset, offset, len(content), len(content), 1)
        body += content + bytes(-len(content) % 8)
    names_at = start + len(body)
    body += names + bytes(-len(names) % 8)
    sections_at = start + len(body)
    count = 0
    if section is not None:
        count = 3
        body += bytes(64)
        body += struct.pack(order + "IIQQQQIIQQ", 1, 1, 2, 0, names_at, 1, 0, 0, 1, 0)
        body += struct.pack(order + "IIQQQQIIQQ", 1 + len(section) + 1, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    header = ident + struct.pack(order + "HHIQQQIHHHHHH", kind, machine, 1, 0, 64, sections_at if count else 0, 0, 64, 56,
                                 len(segments) + 1, 64, count, count - 1 if count else 0)
    return header + headers + body


def option_list():
    """(name, variable, kind, default, meta, help) of each line of sched/options.def."""
    with open(os.path.join(SOURCE, "sched", "options.def"), encoding="utf-8") as file:
        found = re.findall(r'^WEFT_OPTION\((\w+), \w+, (\w+), "(.*?)", "(.*?)", "(.*)"\)$', file.read(), re.M)
    return [(name.lower().replace("_", "-"), "WEFT_" + name, *rest) for name, *rest in found]


def hook_list():
    with open(os.path.join(SOURCE, "hook", "functions.def"), encoding="utf-8") as file:
        return set(re.findall(r"^WEFT_(?:HOOK|HOOK_X86_64|ALIAS)\(\w+, (\w+),", file.read(), re.M))


def main():
    unittest.main(verbosity=2 if "-v" in sys.argv else 1)
