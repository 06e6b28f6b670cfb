# SPDX-License-Identifier: Apache-2.0
"""What the library file needs and is: libc alone, one constructor, no text relocations, bound at once, never unloaded.

usage: file_test.py LIBRARY
"""
import re
import sys

from definitions import dynamic_symbols, finish, output_of


def constructors(library):
    """Names of the functions that .init_array points to, by the relocations that fill it."""
    sections = output_of("readelf", "-SW", library)
    section = re.search(r" \.init_array +INIT_ARRAY +([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+)", sections)
    start, size = (int(number, 16) for number in section.groups())
    symbols = {}
    for line in output_of("nm", library).splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[1] in "tT":
            symbols[int(fields[0], 16)] = fields[2]
    found = []
    for line in output_of("readelf", "-rW", library).splitlines():
        relocation = re.match(r"([0-9a-f]+) +[0-9a-f]+ +R_X86_64_RELATIVE +([0-9a-f]+)", line)
        if relocation and start <= int(relocation[1], 16) < start + size:
            found.append(symbols.get(int(relocation[2], 16), relocation[2]))
    return found, size // 8


def main():
    library = sys.argv[1]
    dynamic = output_of("readelf", "-dW", library)
    problems = []
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    if not set(needed) <= {"libc.so.6", "ld-linux-x86-64.so.2"} or "libc.so.6" not in needed:
        problems.append(f"NEEDED is {needed}")
    sonames = re.findall(r"\(SONAME\).*\[(.*)\]", dynamic)
    if sonames != ["libweft.so.0"]:
        problems.append(f"SONAME is {sonames}")
    if "TEXTREL" in dynamic:
        problems.append("it has text relocations")
    if not re.search(r"BIND_NOW|\(FLAGS(_1)?\).*NOW", dynamic):
        problems.append("its symbols are bound late")
    if not re.search(r"\(FLAGS_1\).*NODELETE", dynamic):
        problems.append("it can be unloaded")
    # The compiler's start-up file brings one that does nothing for us.
    found, entries = constructors(library)
    own = [name for name in found if name != "frame_dummy"]
    if entries != len(found) or len(own) != 1:
        problems.append(f"constructors: {found} in {entries} entries")
    headers = output_of("readelf", "-lW", library)
    if not re.search(r"GNU_STACK +\S+ \S+ \S+ \S+ \S+ RW ", headers):
        problems.append("its stack is executable")
    if "GNU_RELRO" not in headers:
        problems.append("its relocations stay writable")
    runtime = [symbol for symbol in dynamic_symbols(library, "--undefined-only")
               if symbol.startswith(("_Z", "__cxa_th", "__cxa_gua", "__gxx", "_Unwind"))]
    if runtime:
        problems.append(f"it calls the C++ runtime: {runtime}")
    finish(problems)


main()
