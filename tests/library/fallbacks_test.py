# SPDX-License-Identifier: Apache-2.0
"""What is forced is really done: without FSGSBASE each switch asks the kernel for its fs base, without epoll_pwait2 nobody makes that
call, and on a glibc that is not laid out as expected threads stay native, after one line.

The switches and waits are seen in a trace. The other glibc is played by a library that stands in front of glibc's own word of its
layout (other_layout.c).

usage: fallbacks_test.py LIBRARY PROGRAM OTHER_LAYOUT
"""
import os
import re
import subprocess
import sys
import tempfile

from definitions import finish


def environment_of(stats, preload, variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WEFT_", "LD_"))}
    return {**kept, "LD_PRELOAD": preload, "WEFT_STATS": stats, **variables}


def counters_in(path):
    with open(path, encoding="utf-8") as file:
        return {name: int(value) for name, value in re.findall(r"^(\w+) (\d+)$", file.read(), re.MULTILINE)}


def traced(library, program, **variables):
    """Calls of a woven run by name, and its counters."""
    with tempfile.TemporaryDirectory() as directory:
        trace, stats = os.path.join(directory, "trace"), os.path.join(directory, "stats")
        given = {**environment_of(stats, library, variables)}
        preload = given.pop("LD_PRELOAD")
        subprocess.run(["strace", "-f", "-e", "trace=arch_prctl,epoll_pwait,epoll_pwait2,epoll_wait", "-o", trace,
                        "-E", f"LD_PRELOAD={preload}", program], env=given, check=True, timeout=100, stdout=subprocess.DEVNULL)
        counters = counters_in(stats)
        with open(trace, encoding="utf-8", errors="replace") as file:
            calls = re.findall(r"^\d+ +(\w+)\((\w+)", file.read(), re.MULTILINE)
        names = [name for name, _ in calls]
        return {"fs": calls.count(("arch_prctl", "ARCH_SET_FS")), "pwait2": names.count("epoll_pwait2"),
                "pwait": names.count("epoll_pwait") + names.count("epoll_wait")}, counters


def main():
    library, program, other_layout = sys.argv[1:]
    problems = []

    def demand(what, holds, seen):
        if not holds:
            problems.append(f"{what}: {seen}")

    calls, counters = traced(library, program)
    demand("woven", counters["coroutines_created"] > 0 and counters["fallbacks"] == 0, counters)
    demand("as it is, the timers' waits are exact", calls["pwait2"] > 0, calls)
    has_fsgsbase = calls["fs"] < counters["switches"]
    calls, counters = traced(library, program, WEFT_FSGSBASE="no")
    demand("without FSGSBASE every switch to a coroutine is a call", calls["fs"] >= counters["switches"] > 0, (calls, counters))
    if not has_fsgsbase:
        print("this machine has no FSGSBASE: every run is without it")
    calls, counters = traced(library, program, WEFT_EPOLL_PWAIT2="no")
    demand("without epoll_pwait2 nobody calls it", calls["pwait2"] == 0 < calls["pwait"], calls)
    demand("and it is woven", counters["coroutines_created"] > 0 and counters["fallbacks"] == 0, counters)

    native = subprocess.run([program], env=environment_of("", "", {}), capture_output=True, text=True, timeout=100, check=True)
    with tempfile.TemporaryDirectory() as directory:
        stats = os.path.join(directory, "stats")
        other = subprocess.run([program], env=environment_of(stats, f"{other_layout}:{library}", {}), capture_output=True,
                               text=True, timeout=100, check=True)
        counters = counters_in(stats)
    demand("one line says that the layout is another",
           other.stderr == "weft: threads stay native: glibc's thread control block is not laid out as expected\n", other.stderr)
    demand("and the program does what it does", other.stdout == native.stdout, other.stdout)
    demand("with kernel threads", counters["coroutines_created"] == 0, counters)
    finish(problems)


main()
