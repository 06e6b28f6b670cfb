# SPDX-License-Identifier: Apache-2.0
"""Includes point downwards only: hook to sched to asm; tools see the lists and the descriptor, and nobody sees tools.

usage: layers_test.py SOURCE_DIRECTORY
"""
import os
import re
import sys

from definitions import finish

MAY_SEE = {
    "asm": ("asm/",),
    "sched": ("sched/", "asm/", "weft/"),
    "hook": ("hook/", "sched/", "asm/"),
    "tools": ("tools/", "sched/descriptor.h"),
}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def target_of(root, file, name):
    """An included file as a path from the root: beside the including file, from the root itself, or in a CPU's directory beside."""
    here = os.path.dirname(file)
    for directory in (here, os.path.join(here, "x86_64"), os.path.join(here, "aarch64")):
        beside = os.path.normpath(os.path.join(directory, name))
        if os.path.exists(beside):
            return os.path.relpath(beside, root)
    return name


def main():
    root = os.path.abspath(sys.argv[1])
    problems, files = [], 0
    for layer, allowed in MAY_SEE.items():
        for directory, _, names in os.walk(os.path.join(root, layer)):
            for name in names:
                if not name.endswith((".h", ".c", ".cc", ".S", ".def")):
                    continue
                files += 1
                path = os.path.join(directory, name)
                with open(path, encoding="utf-8") as file:
                    included = INCLUDE.findall(file.read())
                for target in (target_of(root, path, each) for each in included):
                    if not target.startswith(allowed) and not (layer == "tools" and target.endswith(".def")):
                        problems.append(f"{os.path.relpath(path, root)} includes {target}")
    if files < 4:
        problems.append(f"only {files} sources found below {root}")
    finish(problems)


main()
