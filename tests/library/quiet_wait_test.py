# SPDX-License-Identifier: Apache-2.0
"""No wait ends by polling: threads that wait three times as long make no more system calls for it.

A program parks fifty threads on a pipe, a lock, a condition variable, a semaphore and in a sleep. It is run under strace
with two lengths, both longer than the monitor's own single looks at a waiter (100 ms for a descriptor, 1 s for a lock), and
the numbers of system calls are compared: whatever runs periodically shows as a difference.

usage: quiet_wait_test.py LIBRARY PROGRAM
"""
import os
import subprocess
import sys
import tempfile

from definitions import finish

SHORT_MS, LONG_MS = 1500, 4500
# Three seconds more: a timer of one second would show three times, one of 100 ms thirty times. What remains is chance, such
# as which worker the wake-up found asleep.
TOLERANCE = {"total": 24, "epoll_wait": 8, "epoll_pwait": 8, "epoll_pwait2": 8, "futex": 20, "poll": 2, "ppoll": 2, "nanosleep": 2,
             "clock_nanosleep": 2, "sched_yield": 2, "epoll_ctl": 4, "timerfd_settime": 4, "read": 6, "membarrier": 4}


def counts_of(library, program, workers, milliseconds):
    with tempfile.TemporaryDirectory() as directory:
        table, stats = os.path.join(directory, "table"), os.path.join(directory, "stats")
        command = ["strace", "-f", "-c", "-U", "calls,name", "-o", table, "-E", f"LD_PRELOAD={library}", "-E", f"WEFT_STATS={stats}",
                   "-E", f"WEFT_WORKERS={workers}", program, str(milliseconds)]
        subprocess.run(command, check=True, timeout=60)
        with open(stats, encoding="utf-8") as file:
            if "\ncoroutines_created 50\n" not in file.read():
                sys.exit("the program was not woven")
        counts = {}
        with open(table, encoding="utf-8") as file:
            for line in file:
                words = line.split()
                if len(words) == 2 and words[0].isdigit():
                    counts[words[1]] = int(words[0])
    return counts


def main():
    library, program = sys.argv[1:]
    problems = []
    for workers in (1, 4):
        short, long = (counts_of(library, program, workers, length) for length in (SHORT_MS, LONG_MS))
        for name in sorted(set(short) | set(long)):
            more = long.get(name, 0) - short.get(name, 0)
            if more > TOLERANCE.get(name, 4):
                problems.append(f"{workers} workers: {name}: {short.get(name, 0)} calls in {SHORT_MS} ms, {long.get(name, 0)} in {LONG_MS} ms")
    finish(problems)


main()
