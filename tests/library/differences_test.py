# SPDX-License-Identifier: Apache-2.0
"""What README lists under "What differs" is what differs: the program's answers natively and woven, each as written there.

usage: differences_test.py LIBRARY PROGRAM
"""
import os
import subprocess
import sys
import tempfile

from definitions import finish

# The program's line, its answer natively and woven with one worker.
ANSWERS = {
    "gettid() is in /proc/self/task": ("yes", "no"),
    "a kernel thread for each thread": ("yes", "no"),
    "a thread that waited has used less than 40 ms of CPU": ("yes", "no"),
    "the affinity of another thread can be set": ("yes", "yes"),
    "so can its scheduling": ("yes", "no"),
}


def answers(program, variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WEFT_", "LD_"))}
    environment.update(variables)
    done = subprocess.run([program], env=environment, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    return dict(line.rsplit(": ", 1) for line in done.stdout.splitlines() if ": " in line)


def main():
    library, program = sys.argv[1:]
    native = answers(program, {})
    with tempfile.TemporaryDirectory() as directory:
        stats = os.path.join(directory, "stats")
        woven = answers(program, {"LD_PRELOAD": library, "WEFT_WORKERS": "1", "WEFT_LOG": "error", "WEFT_STATS": stats})
        with open(stats, encoding="utf-8") as file:
            if "\ncoroutines_created 0\n" in file.read():
                sys.exit("the program was not woven")
    problems = []
    for line, expected in ANSWERS.items():
        seen = (native.get(line), woven.get(line))
        if seen != expected:
            problems.append(f"{line}: natively and woven {seen}, expected {expected}")
    finish(problems)


main()
