# SPDX-License-Identifier: Apache-2.0
"""What README.md tells its reader to type, and what it says comes of it.

A command stands in an indented block behind "$ ", with its output below it; one that feeds a file from a here-document goes on to the
document's end. In the text a command is what stands in backquotes and begins with a word that runs something. In output a number stands
for any number, and a line of three dots for any lines.
"""
import dataclasses
import os
import re

PROMPT = "    $ "
PROGRAMS = {"apt-get", "cc", "cmake", "cpack", "ctest", "curl", "dpkg", "gdb", "kill", "man", "pkg-config", "python3", "weft", "weft-inspect"}
PLACES = ("tools/", "tests/", "bench/", "build/release/")
ELIDED = "..."

NUMBER = re.compile(r"0x[0-9a-f]+|\d+(?:[.,:]\d+)*(?:(?:ns|us|ms|s|KiB|MiB|GiB|K|M|G|x)\b|%)?|\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b")


@dataclasses.dataclass
class Command:
    text: str
    part: str
    line: int
    output: list
    shown: bool  # in a block; in the text it has no output

    @property
    def background(self):
        return self.text.endswith(" &")


def first_program(text):
    """What a piece of text would run; None if it is no command."""
    words = text.split()
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    if not words:
        return None
    return words[0] if words[0] in PROGRAMS or words[0].startswith((*PLACES, "./")) else None


def is_command(text, root):
    """A program's bare name is a name; a path is a command if it can be executed, or will be when it is built."""
    program = first_program(text)
    if program is None or text in PROGRAMS:
        return False
    if program.startswith(PLACES) and not program.startswith("build/"):
        return os.path.isfile(f"{root}/{program}") and os.access(f"{root}/{program}", os.X_OK)
    return True


def blocks(lines):
    """(number of the first line, lines) of each run of lines that are indented, or are not; empty lines go with what is around them."""
    start, indented = 0, False
    for number, line in enumerate(lines):
        if line.strip() and line.startswith("    ") != indented:
            if number > start:
                yield start + 1, lines[start:number], indented
            start, indented = number, not indented
    yield start + 1, lines[start:], indented


def commands_of_block(part, first, lines):
    found = []
    end = None
    for number, line in enumerate(lines, first):
        if end is not None:
            found[-1].text += "\n" + line[4:]
            end = None if line.strip() == end else end
        elif line.startswith(PROMPT):
            found.append(Command(line[len(PROMPT):], part, number, [], True))
            here = re.search(r"<<'(\w+)'$", line)
            end = here and here[1]
        elif found:
            found[-1].output.append(line[4:])
    for each in found:
        while each.output and not each.output[-1].strip():
            each.output.pop()
    return found


def read(text, root):
    """All commands in order, and the indented lines that look like commands and have no "$ "."""
    commands, strays, part = [], [], ""
    for first, lines, indented in blocks(text.split("\n")):
        if indented:
            found = commands_of_block(part, first, lines)
            commands += found
            if not found:
                strays += [line.strip() for line in lines if is_command(line.strip(), root)]
            continue
        for number, line in enumerate(lines, first):
            if line.startswith("## "):
                part = line[3:]
            commands += [Command(piece, part, number, [], False) for piece in re.findall(r"`([^`]+)`", line) if is_command(piece, root)]
    return commands, strays


def pattern(lines):
    """What matches output that is as these lines are, but for numbers, dates and widths of columns."""
    parts = []
    for line in lines:
        if line.strip() == ELIDED:
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append("#".join(map(re.escape, plain(line).split("#"))) + "\n")
    return re.compile("".join(parts) + r"\Z")


def plain(line):
    line = re.sub(r"-{2,}", "--", NUMBER.sub("#", line))
    return re.sub(r"\s+", " ", line).strip()


def fits(shown, output):
    """Whether output is as README shows it; nothing shown is nothing said."""
    lines = output.rstrip("\n").split("\n")
    return not shown or pattern(shown).match("".join(plain(line) + "\n" for line in lines)) is not None


def fits_begin(shown, output):
    """The same of output that goes on."""
    lines = output.split("\n")
    return any(fits(shown, "\n".join(lines[:count])) for count in range(1, len(lines) + 1))
