# SPDX-License-Identifier: Apache-2.0
"""Every thread function that a program can link is called by one of the programs that are run natively and woven.

Asked are the headers for what they declare, the libc for what of it it exports, and the built programs for what they import. An older
version of a symbol counts as a function of its own where its code differs from the newest.

usage: thread_functions_test.py COMPILER DIRECTORY_OF_PROGRAMS
"""
import os
import re
import subprocess
import sys

from definitions import dynamic_symbols, finish, output_of

HEADERS = ("pthread.h", "semaphore.h", "threads.h")
# <signal.h> declares the rest of the pthread functions.
NAMES = re.compile(r"pthread_\w+|sem_\w+|(thrd|mtx|cnd|tss)_\w+|call_once")


def declared_names(compiler):
    """What the headers declare: the symbol's name, where it differs from the function's."""
    source = "".join(f"#include <{header}>\n" for header in HEADERS + ("signal.h",))
    text = subprocess.run([compiler, "-E", "-D_GNU_SOURCE", "-xc", "-"], input=source, check=True, capture_output=True,
                          text=True).stdout
    names = set()
    file, statement = "", ""
    for line in text.splitlines():
        marker = re.match(r'# \d+ "([^"]+)"', line)
        if marker:
            file = os.path.basename(marker[1])
            continue
        statement += " " + line
        if not line.rstrip().endswith((";", "}")):
            continue
        found = re.search(r"\bextern\b[^();{]*?\b(\w+)\s*\(", statement)
        if found and (file in HEADERS or NAMES.fullmatch(found[1])):
            renamed = re.search(r'__asm__\s*\(\s*((?:"\w*"\s*)+)\)', statement)
            names.add("".join(re.findall(r'"(\w*)"', renamed[1])) if renamed else found[1])
        statement = ""
    return names


def linkable_symbols(libc, names):
    """Those of the names that libc exports, each with a version, and older versions with code of their own."""
    address_of = {}
    for line in output_of("nm", "-D", "--with-symbol-versions", "--defined-only", libc).splitlines():
        address, _, symbol = line.split()
        name, _, version = symbol.partition("@")
        if name in names and version.lstrip("@") != "GLIBC_PRIVATE":
            address_of[name, version] = address
    symbols = set()
    for (name, version), address in address_of.items():
        newest = [other for other in address_of if other[0] == name and other[1].startswith("@")]
        if not newest:
            continue  # of old programs only: no linker finds it
        if (name, version) in newest or address_of[newest[0]] != address:
            symbols.add(f"{name}@{version.lstrip('@')}")
    return symbols


def main():
    compiler, directory = sys.argv[1:]
    imported = set()
    libc = None
    for entry in sorted(os.scandir(directory), key=lambda found: found.name):
        if not entry.is_file():
            continue
        imported.update(dynamic_symbols(entry.path, "--undefined-only"))
        if libc is None:
            libc = re.search(r"libc\.so\.6 => (\S+)", output_of("ldd", entry.path))[1]
    wanted = linkable_symbols(libc, declared_names(compiler))
    if len(wanted) < 150:
        sys.exit(f"only {len(wanted)} thread functions were found")
    finish([f"no program calls {symbol}" for symbol in sorted(wanted - imported)])


main()
