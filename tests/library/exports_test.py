# SPDX-License-Identifier: Apache-2.0
"""The library exports the names of hook/functions.def, unversioned, and beside them its own API alone.

Under a named version a symbol interposes nothing, and a symbol too many replaces a function of somebody's program.

usage: exports_test.py LIBRARY FUNCTIONS_DEF
"""
import sys

from definitions import dynamic_symbols, finish, hooked_names


def main():
    library, functions_def = sys.argv[1:]
    exported = dynamic_symbols(library, "--defined-only")
    names = [symbol.split("@")[0] for symbol in exported]
    wanted = hooked_names(functions_def)
    problems = [f"not exported: {name}" for name in wanted if name not in names]
    for symbol, name in zip(exported, names):
        if name in wanted:
            if "@" in symbol:
                problems.append(f"versioned: {symbol}")
        elif not name.startswith(("weft_", "co_")):
            problems.append(f"exported, not in the list: {symbol}")
    problems += [f"listed twice: {name}" for name in sorted({name for name in wanted if wanted.count(name) > 1})]
    finish(problems)


main()
