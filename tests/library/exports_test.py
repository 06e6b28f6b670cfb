# SPDX-License-Identifier: Apache-2.0
"""The library exports the names of hook/functions.def, unversioned, and beside them its own API alone, versioned.

Under a named version a hook interposes nothing, without one a program cannot tell which library it needs, and a symbol too many replaces
a function of somebody's program.

usage: exports_test.py LIBRARY FUNCTIONS_DEF INCLUDE_DIRECTORY...
"""
import glob
import os
import re
import sys

from definitions import dynamic_symbols, finish, hooked_names, output_of


def api_names(directories):
    """What the public headers speak of: the API may export no other names."""
    found = set()
    for directory in directories:
        for path in glob.glob(os.path.join(directory, "weft", "*.h")):
            with open(path, encoding="utf-8") as file:
                found |= set(re.findall(r"\b((?:weft|co)_\w+) ?\(", file.read()))
    return found


def main():
    library, functions_def, *includes = sys.argv[1:]
    wanted = hooked_names(functions_def)
    api = api_names(includes)
    versions = re.findall(r"Flags: none +Index: \d+ +Cnt: \d+ +Name: (\S+)", output_of("readelf", "-VW", library))
    problems = [f"a version's name is not WEFT_ and a number: {version}" for version in versions if not re.fullmatch(r"WEFT_\d+\.\d+", version)]
    hooks, versioned = [], 0
    for symbol in dynamic_symbols(library, "--defined-only"):
        name, _, version = symbol.partition("@@")
        if name in wanted:
            hooks.append(name)
            if "@" in symbol:
                problems.append(f"versioned: {symbol}")
        elif name in api:
            versioned += version in versions
            if version not in versions:
                problems.append(f"in no version of the API: {symbol}")
        elif symbol not in versions:
            problems.append(f"exported, not in the list: {symbol}")
    problems += [f"not exported: {name}" for name in wanted if name not in hooks]
    problems += [f"listed twice: {name}" for name in sorted({name for name in wanted if wanted.count(name) > 1})]
    problems += [] if versioned else ["no symbol of the API is exported"]
    # The linker's own names, which no option of nm shows.
    local = re.findall(r"^ +[1-9]\d*: .* LOCAL .*", output_of("readelf", "--dyn-syms", "-W", library), re.MULTILINE)
    problems += [f"in the table for nothing: {line.strip()}" for line in local]
    finish(problems)


main()
