# SPDX-License-Identifier: Apache-2.0
"""Each command's --help, its manual page and both completions speak of the same commands and flags."""
import glob
import os
import re
import shutil
import subprocess
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


class ManualTest(unittest.TestCase):

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

    def complete(self, *words):
        """What bash offers for the last word."""
        script = f"""
            PATH={os.path.dirname(woven.INSPECT)}:$PATH
            source {COMPLETION}
            COMP_WORDS=({' '.join(f"'{word}'" for word in words)})
            COMP_CWORD={len(words) - 1}
            _weft
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        return set(subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split())

    def test_bash(self):
        offered = self.complete("weft", "")
        self.assertLessEqual({*commands(), "run", "check"}, offered)
        for command in commands():
            self.assertEqual({flag.rstrip("=") for flag in self.complete("weft", command, "--")},
                             {flag for flag in flags_of(command) if flag.startswith("--")}, command)
        self.assertEqual(self.complete("weft", "flame", "--weight", "s"), {"since"})
        self.assertIn("--workers=", {*self.complete("weft", "--w")} | {flag + "=" for flag in self.complete("weft", "--w")})

    def test_zsh_knows_every_command(self):
        with open(os.path.join(TOOLS, "completion", "_weft"), encoding="utf-8") as file:
            words = file.read()
        for command in commands():
            self.assertIn(f"'{command}:", words)


woven.main()
