# SPDX-License-Identifier: Apache-2.0
"""The counters a woven process leaves behind: read from the file that WEFT_STATS named, and judged.

A run in which nothing was woven behaves perfectly, so every woven run is judged by these as well.
"""

import os
import re
from dataclasses import dataclass, field

METRICS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'sched', 'metrics.def')


@dataclass
class Block:
    """The counters of one process."""

    pid: int
    exe: str
    counters: dict = field(default_factory=dict)
    switches: dict = field(default_factory=dict)  # by worker

    def __getitem__(self, name):
        return self.counters[name]


def names():
    """The counters there are, from the one list of them."""
    with open(METRICS, encoding='ascii') as file:
        return re.findall(r'^WEFT_METRIC\((\w+),', file.read(), re.MULTILINE)


def read(path):
    """All blocks of a file, in the order in which the processes ended."""
    blocks = []
    with open(path, encoding='utf-8', errors='replace') as file:
        for line in file:
            words = line.split()
            if line.startswith('weft stats '):
                fields = dict(word.split('=', 1) for word in words[2:] if '=' in word)
                blocks.append(Block(int(fields['pid']), fields['exe']))
            elif words and words[0] == 'worker' and len(words) == 4:
                blocks[-1].switches[int(words[1])] = int(words[3])
            elif len(words) == 2:
                blocks[-1].counters[words[0]] = int(words[1])
    return blocks


def of(process):
    """The block of a started process itself, or None."""
    return next((block for block in read(process.stats_path) if block.pid == process.pid), None)


def of_name(process):
    """The last block of a process with the started program's name: behind a tool, it has another pid."""
    blocks = [block for block in read(process.stats_path) if os.path.basename(block.exe).startswith(process.name)]
    return blocks[-1] if blocks else None


def judge(block, at_least=None, **exactly):
    """What is wrong with a block, a line each. Nothing may have fallen back; `exactly` and `at_least` name counters."""
    if block is None:
        return ['the process left no counters']
    wrong = [f'no counter {name} was written' for name in names() if name not in block.counters]
    if wrong:
        return wrong
    wanted = {'fallbacks': 0, 'threads_native': 0, **exactly}
    wrong += [f'{name} is {block[name]}, not {value}' for name, value in wanted.items()
              if value is not None and block[name] != value]
    wrong += [f'{name} is {block[name]}, less than {value}' for name, value in (at_least or {}).items()
              if block[name] < value]
    return wrong
