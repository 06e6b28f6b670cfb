# SPDX-License-Identifier: Apache-2.0
"""What README lists under "What differs" is what differs: the program's answers natively and woven, each as written there.

usage: differences_test.py LIBRARY PROGRAM MODULE
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
    "a child asked to die with its parent outlives the thread that made it": ("no", "yes"),
    "code runs on the stack of a library's user that blocks SIGSEGV": ("yes", "no"),
    "with no number left, two that are closed under readers are read": ("yes", "no"),
    "an accept that waits has its number": ("yes", "no"),
}


def answers(command, variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WEFT_", "LD_"))}
    environment.update(variables)
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    return dict(line.rsplit(": ", 1) for line in done.stdout.splitlines() if ": " in line)


def main():
    library, *command = sys.argv[1:]
    native = answers(command, {})
    with tempfile.TemporaryDirectory() as directory:
        stats = os.path.join(directory, "stats")
        woven = answers(command, {"LD_PRELOAD": library, "WEFT_WORKERS": "1", "WEFT_LOG": "error", "WEFT_STATS": stats})
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
