# SPDX-License-Identifier: Apache-2.0
"""What the tests of the library file share: the names in hook/functions.def, what a binary exports and imports, and a way
to report everything that is wrong at once.
"""
import re
import subprocess
import sys


def hooked_names(functions_def):
    """Every name the library has to export: the hooks and their aliases."""
    with open(functions_def, encoding="utf-8") as file:
        text = file.read()
    hooks = re.findall(r"^WEFT_HOOK(?:_X86_64)?\(\w+, (\w+),", text, re.MULTILINE)
    aliases = re.findall(r"^WEFT_ALIAS\(\w+, (\w+), (\w+)\)", text, re.MULTILINE)
    unknown = [name for _, name in aliases if name not in hooks]
    if not hooks or unknown:
        sys.exit(f"{functions_def}: {len(hooks)} hooks, aliases of no hook: {unknown}")
    return hooks + [alias for alias, _ in aliases]


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def dynamic_symbols(path, which):
    """Dynamic symbols as nm names them, with '@' and the version where they have one; which is nm's --…-only option."""
    lines = output_of("nm", "-D", "--with-symbol-versions", which, path).splitlines()
    return [line.split()[-1] for line in lines if line.strip()]


def finish(problems):
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)
