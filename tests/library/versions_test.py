# SPDX-License-Identifier: Apache-2.0
"""Whatever version of a function a binary was linked against, it gets the library's; and the library's API by its own version.

usage: versions_test.py LIBRARY PROGRAM
"""
import os
import subprocess
import sys

from definitions import finish


def definitions(program, environment):
    done = subprocess.run([program], env=environment, capture_output=True, text=True, timeout=60, check=True)
    return {tuple(line.split()[:2]): line.split()[2] for line in done.stdout.splitlines()}


def main():
    library, program = sys.argv[1:]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("WEFT_", "LD_"))}
    native, woven = definitions(program, environment), definitions(program, environment | {"LD_PRELOAD": library})
    problems = [f"{name} by {how} is {file}'s" for (how, name), file in woven.items() if not file.startswith("libweft.so")]
    # Natively there is another definition of all but the API, which is what is interposed.
    problems += [f"natively {name} by {how} is {file}'s" for (how, name), file in native.items() if (file == "none") != name.startswith("weft_")]
    if len(woven) < 10:
        problems.append(f"only {len(woven)} were asked for")
    finish(problems)


main()
