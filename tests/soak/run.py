#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Runs the soak program woven and judges what it held after the warm-up and at the end, and whether weft's counters add up.

--disable loads the library and weaves nothing: then the judgement has to find something wrong.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'bench'))

from rig import stats  # noqa: E402

CREATIONS = 1_000_000
# What may be more at the end than after the warm-up. A stack or a table that grew once is none of these per round.
MORE_MAPPINGS = 20
# glibc keeps the stacks of kernel threads that have ended, two mappings each, up to 40 megabytes of them. A hand-off may leave one.
MAPPINGS_A_STACK = 2
MOST_STACKS_KEPT = 40 * 1024 // 264
MORE_RESIDENT_KB = 4096
# Threads at once: the load's, a batch of 50 for each of two churns, clients' connections.
MOST_SLOTS = 1000
SPARE_TASKS = 6


def judge(text, block, workers, creations):
    """What is wrong, a line each."""
    measured = {line.split()[0]: {name: int(value) for name, value in re.findall(r'(\w+) (\d+)', line)}
                for line in text.splitlines()}
    warm, end, did = (measured.get(name) for name in ('warm', 'end', 'did'))
    if not (warm and end and did):
        return ['the program did not come to its end']
    if block is None:
        return ['it left no counters']
    wrong = []

    def expect(good, what):
        if not good:
            wrong.append(what)

    expect(did['wrong'] == 0, f'{did["wrong"]} wrong answers')
    expect(end['descriptors'] == warm['descriptors'], f'descriptors: {warm["descriptors"]}, then {end["descriptors"]}')
    kept = min(block['handoffs'], MOST_STACKS_KEPT)
    most = warm['mappings'] + MORE_MAPPINGS + MAPPINGS_A_STACK * kept
    expect(end['mappings'] <= most, f'mappings: {warm["mappings"]}, then {end["mappings"]}, more than {most}')
    expect(end['resident_kb'] <= warm['resident_kb'] * 1.1 + MORE_RESIDENT_KB,
           f'resident: {warm["resident_kb"]} kB, then {end["resident_kb"]}')
    expect(end['tasks'] <= workers + SPARE_TASKS, f'{end["tasks"]} kernel threads')
    for name in ('cancelled', 'forks', 'killed', 'served', 'exchanged', 'signalled', 'timed_out'):
        expect(did[name] > 0, f'nothing was {name}')
    expect(block['coroutines_created'] >= creations, f'{block["coroutines_created"]} coroutines created')
    expect(block['coroutines_created'] == did['created'], f'{block["coroutines_created"]} coroutines for {did["created"]} threads')
    expect(block['coroutine_slots'] <= MOST_SLOTS, f'{block["coroutine_slots"]} places in the table')
    expect(block['coroutines_alive'] == did['left'], f'{block["coroutines_alive"]} coroutines alive, not {did["left"]}')
    for whole, parts in (('coroutines_created', ('coroutines_finished', 'coroutines_alive')),
                         ('parks', ('wakes', 'coroutines_waiting'))):
        total = sum(block[part] for part in parts)
        expect(block[whole] == total, f'{whole} is {block[whole]}, but {" + ".join(parts)} is {total}')
    for name in ('threads_native', 'fallbacks', 'pinned', 'fd_rescues', 'lock_rescues'):
        expect(block[name] == 0, f'{name} is {block[name]}')
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--library', required=True)
    parser.add_argument('--seconds', type=int, default=60)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--creations', type=int, default=CREATIONS, help='coroutines it has to make')
    parser.add_argument('--disable', action='store_true')
    parser.add_argument('program')
    options = parser.parse_args()
    options.program = os.path.abspath(options.program)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(('WEFT_', 'LD_'))}
    with tempfile.TemporaryDirectory(prefix='weft-soak-') as directory:
        table = os.path.join(directory, 'stats')
        environment |= {'LD_PRELOAD': os.path.abspath(options.library), 'WEFT_WORKERS': str(options.workers),
                        'WEFT_STATS': table, 'WEFT_CHILDREN': 'no'}
        if options.disable:
            environment['WEFT_DISABLE'] = '1'
        with subprocess.Popen([options.program, str(options.seconds)], env=environment, cwd=directory, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                out, err = process.communicate(timeout=options.seconds * 2 + 60)
            except subprocess.TimeoutExpired:
                subprocess.run(['gdb', '-nx', '-batch', '-p', str(process.pid), '-ex', 'thread apply all bt 12'],
                               stdin=subprocess.DEVNULL, timeout=60, check=False)
                process.kill()
                out, err = process.communicate()
        block = None
        if os.path.exists(table):
            block = next((block for block in stats.read(table) if block.pid == process.pid), None)
    print(out + err, end='')
    wrong = judge(out, block, options.workers, options.creations)
    if process.returncode or err:
        wrong.append(f'exit status {process.returncode}, {len(err)} bytes of messages')
    for line in wrong:
        print(f'WRONG: {line}')
    if block:
        print(' '.join(f'{name} {block[name]}' for name in
                       ('coroutines_created', 'coroutines_finished', 'coroutines_alive', 'parks', 'wakes', 'coroutines_waiting',
                        'coroutine_slots', 'switches', 'steals', 'handoffs', 'blocks_buried')))
    if options.disable:
        return 0 if wrong and process.returncode == 0 else 1
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
