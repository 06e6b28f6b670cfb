# SPDX-License-Identifier: Apache-2.0
"""Every name in hook/functions.def is called by one of the programs that are run natively and woven.

Looked at is what the built programs import, so a name counts only if a call really binds to it: the fortified names too.

usage: coverage_test.py FUNCTIONS_DEF DIRECTORY_OF_PROGRAMS
"""
import os
import sys

from definitions import dynamic_symbols, finish, hooked_names

EXCEPTIONS = {
    "__recv": "of version GLIBC_PRIVATE: no program can be linked against it",
    "__sendmmsg": "of version GLIBC_PRIVATE: no program can be linked against it",
}


def main():
    functions_def, directory = sys.argv[1:]
    imported = set()
    for entry in sorted(os.scandir(directory), key=lambda found: found.name):
        if not entry.is_file():
            continue
        symbols = dynamic_symbols(entry.path, "--undefined-only")
        imported.update(symbol.split("@")[0] for symbol in symbols)
    wanted = hooked_names(functions_def)
    problems = [f"no program calls {name}" for name in wanted if name not in imported and name not in EXCEPTIONS]
    problems += [f"no exception any more: {name}" for name in EXCEPTIONS if name in imported or name not in wanted]
    finish(problems)


main()
