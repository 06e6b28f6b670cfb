# SPDX-License-Identifier: Apache-2.0
"""No wait ends by polling: while fifty threads wait, the whole process makes no system call.

A program parks threads on a pipe, a lock, a condition variable, a semaphore and in a sleep, and marks a span of three
seconds in which all of them wait. It begins after the monitor's own single looks at a waiter (100 ms for a descriptor, 1 s
for a lock). Every call that any of its threads begins within the span is taken from a trace: whatever runs periodically
shows.

usage: quiet_wait_test.py LIBRARY PROGRAM
"""
import os
import re
import subprocess
import sys
import tempfile

from definitions import finish

SETTLING_MS, SPAN_MS = 1600, 3000
# One look by chance in three seconds is no polling; main's own sleep is not counted.
MOST_CALLS = 3


def calls_in_span(library, program, workers):
    """The calls begun between the two marks, as lines of strace."""
    with tempfile.TemporaryDirectory() as directory:
        trace, stats = os.path.join(directory, "trace"), os.path.join(directory, "stats")
        command = ["strace", "-f", "-o", trace, "-E", f"LD_PRELOAD={library}", "-E", f"WEFT_STATS={stats}",
                   "-E", f"WEFT_WORKERS={workers}", program, str(SETTLING_MS), str(SPAN_MS)]
        subprocess.run(command, check=True, timeout=60)
        with open(stats, encoding="utf-8") as file:
            if "\ncoroutines_created 50\n" not in file.read():
                sys.exit("the program was not woven")
        with open(trace, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    begins = [number for number, line in enumerate(lines) if '"span-begins"' in line]
    ends = [number for number, line in enumerate(lines) if '"span-ends"' in line]
    if len(begins) != 1 or len(ends) != 1:
        sys.exit("the trace does not show the span")
    main_pid = lines[begins[0]].split()[0]
    calls = [line for line in lines[begins[0] + 1:ends[0]] if re.match(r"\d+ +[a-z]\w*\(", line)]
    return [line for line in calls if not re.match(main_pid + r" +(clock_)?nanosleep\(", line)]


def main():
    library, program = sys.argv[1:]
    problems = []
    for workers in (1, 2, 4):
        calls = calls_in_span(library, program, workers)
        if len(calls) > MOST_CALLS:
            problems.append(f"{workers} workers: {len(calls)} calls within {SPAN_MS} ms in which everything waits")
            problems += calls[:20]
    finish(problems)


main()
