# SPDX-License-Identifier: Apache-2.0
"""Each command's --help, its manual page and both completions speak of the same commands and flags."""
import glob
import os
import pty
import re
import select
import shutil
import subprocess
import tempfile
import time
import unittest

import woven

TOOLS = os.path.join(woven.SOURCE, "tools")
COMPLETION = os.path.join(TOOLS, "completion", "weft.bash")
FLAG = re.compile(r"(?<![\w-])(--[a-z][a-z-]*|-[a-z])(?![\w-])")


def commands():
    with open(os.path.join(TOOLS, "inspect", "commands.cc"), encoding="utf-8") as file:
        return re.findall(r'\{"(\w+)", \w+, k\w+Help\}', file.read())


def help_of(command):
    return subprocess.run([woven.INSPECT, command, "--help"], capture_output=True, text=True, check=True).stdout


def flags_of(command):
    """Flags that begin a line of the help."""
    return {flag for line in help_of(command).splitlines() if line.startswith("  -") for flag in FLAG.findall(line.split("  ")[1])}


class ManualTest(woven.WovenTest):

    def test_each_command_has_a_page_with_its_flags(self):
        self.assertGreaterEqual(len(commands()), 8)
        for command in commands():
            with open(os.path.join(TOOLS, f"weft-{command}.1"), encoding="utf-8") as file:
                page = file.read().replace("\\-", "-")
            described = set(FLAG.findall(re.sub(r"\\f.", " ", "\n".join(re.findall(r"^\.TP\n(.*)$", page, re.M)))))
            self.assertEqual(described, flags_of(command), command)

    def test_every_page_is_installed_and_well_formed(self):
        with open(os.path.join(TOOLS, "CMakeLists.txt"), encoding="utf-8") as file:
            lists = file.read()
        for page in glob.glob(os.path.join(TOOLS, "weft*.1")):
            self.assertIn(os.path.basename(page), lists)
            if shutil.which("groff"):
                done = subprocess.run(["groff", "-man", "-Tascii", "-ww", "-z", page], capture_output=True, text=True, check=True)
                self.assertEqual(done.stderr, "", page)

    def check_completion(self, offered):
        """`offered` gives what a shell offers for the last word of a line."""
        for command in (*commands(), "run", "check"):
            self.assertIn(command, offered(f"weft {command[:-1]}"))
        for command in commands():
            self.assertEqual({flag.rstrip("=") for flag in offered(f"weft {command} --")},
                             {flag for flag in flags_of(command) if flag.startswith("--")}, command)
        self.assertEqual(offered("weft flame --weight s"), {"since"})
        self.assertEqual(offered("weft ps --group t"), {"top"})
        self.assertEqual(offered("weft --guar"), {"--guards="})
        self.assertEqual(offered("weft run --if-p"), {"--if-possible"})
        with tempfile.TemporaryDirectory(prefix="weft-inspect-") as directory:
            with open(os.path.join(directory, "core.17"), "w", encoding="utf-8"):
                pass
            self.assertEqual(offered(f"weft bt {directory}/co"), {f"{directory}/core.17"})
            self.assertEqual(offered(f"weft snap 1 -o {directory}/co"), {f"{directory}/core.17"})

    def test_processes_are_offered(self):
        process = self.start("stacks")
        for shell in self.shells():
            self.assertIn(str(process.pid), shell(f"weft ps {str(process.pid)[:-1]}"))

    def shells(self):
        return [shell for shell, name in ((self.bash, "bash"), (self.zsh, "zsh")) if shutil.which(name)]

    @staticmethod
    def environment():
        path = f"{os.path.dirname(woven.INSPECT)}:{os.environ['PATH']}"
        return {"PATH": path, "TERM": "dumb", "LC_ALL": "C", "HOME": "/nonexistent"}

    def bash(self, line):
        """An interactive bash with its line editor puts all it offers into the line, which then prints its words."""
        own, other = pty.openpty()
        with subprocess.Popen(["bash", "--norc", "--noprofile", "-i"], stdin=other, stdout=other, stderr=other, env=self.environment(),
                              start_new_session=True, close_fds=True) as shell:
            os.close(other)

            def say(text, marker):
                os.write(own, text.encode())
                heard = b""
                end = time.monotonic() + woven.PATIENCE
                while marker not in heard:
                    self.assertTrue(select.select([own], [], [], max(0, end - time.monotonic()))[0], heard)
                    heard += os.read(own, 65536)
                return heard.decode()

            say(f"PS1=; source {COMPLETION}; echo rea''dy\n", b"ready")
            beginning, _, word = line.rpartition(" ")
            insert_all, to_beginning = "\x1b*", "\x01"
            heard = say(f"{line}{insert_all}{to_beginning}printf '<%s>\\n' \necho en''d\n", b"end")
            os.write(own, b"exit\n")
            os.close(own)
        words = re.findall(r"(?m)^<(.*)>\r?$", heard)
        self.assertEqual(words[:len(beginning.split())], beginning.split())
        return {found for found in words[len(beginning.split()):] if found != word or len(words) == len(line.split())}

    def zsh(self, line):
        script = os.path.join(os.path.dirname(__file__), "complete.zsh")
        done = subprocess.run(["zsh", "-f", script, os.path.dirname(COMPLETION), line], capture_output=True, text=True, check=True,
                              stdin=subprocess.DEVNULL, env=self.environment(), timeout=woven.PATIENCE * 2)
        directory = os.path.dirname(line.split()[-1])
        found = re.findall(r"(?m)^weft-match (.*)$", done.stdout)
        return {os.path.join(directory, each) if directory else each for each in found}

    @unittest.skipIf(shutil.which("bash") is None, "there is no bash here")
    def test_bash(self):
        self.check_completion(self.bash)

    @unittest.skipIf(shutil.which("zsh") is None, "there is no zsh here")
    def test_zsh(self):
        self.check_completion(self.zsh)


woven.main()
