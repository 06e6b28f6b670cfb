# SPDX-License-Identifier: Apache-2.0
"""Each of weft's allocations fails, one after the other; and every place in the sources is met.

What is expected of allocations.c: it ends as it does natively. A refusal that it sees, it takes for an EAGAIN or ENOMEM of the call.
"""

import errno
import glob
import os
import re
import subprocess

from runs import Fault

CALLS = 'mmap,mremap'
NEVER = 1 << 40
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')


def places_in_sources():
    """File and line of every call that gets memory from the kernel, from the sources themselves."""
    found = set()
    for folder in ('sched', 'hook'):
        for path in glob.glob(os.path.join(SOURCE, folder, '*.cc')):
            with open(path, encoding='utf-8') as file:
                for number, line in enumerate(file, 1):
                    for _ in re.findall(r'sys::mmap\(|SYS_mremap', line):
                        found.add((os.path.basename(path), number))
    return found


def places_of(library, offsets):
    """File and line of each place of the library, inlined calls included."""
    if not offsets:
        return set()
    text = subprocess.run(['addr2line', '-i', '-e', library, *offsets], capture_output=True, text=True, check=True).stdout
    return {(os.path.basename(path), int(line)) for path, line in re.findall(r'(\S+):(\d+)', text)}


def met(place, seen):
    """A call spans lines: what is met lies within a few of its first."""
    return any(path == place[0] and 0 <= line - place[1] <= 3 for path, line in seen)


def check(test, injector, full):
    argv = [os.path.join(injector.build, 'tests', 'faults', 'allocations')]
    native = injector.run(argv, woven=False, seconds=60)
    counted = injector.run(argv, Fault(CALLS, errno.ENOMEM, first=NEVER, within='libweft.so'), seconds=60)
    test.expect((counted.status, counted.out) == (native.status, native.out) == (0, 'done\n'), 'differs without any fault')
    test.expect(counted.counters and counted.counters['coroutines_created'] > 2000, 'nothing was woven')
    count = counted.report.matching
    seen, runs, refusals = set(), 0, 0
    faults = [Fault(CALLS, errno.ENOMEM, first=first, within='libweft.so') for first in range(1, count + 3)]
    # Which call is the tenth, say, differs from run to run; that a place is met does not.
    faults += [Fault(CALLS, errno.ENOMEM, within='libweft.so', at=place) for place in counted.report.met]
    if full:
        faults += [Fault(CALLS, errno.ENOMEM, first=first, every=every, within='libweft.so')
                   for first in range(1, count + 1) for every in (2, 3)]
    for fault in faults:
        run = injector.run(argv, fault, seconds=60)
        runs += 1
        seen |= places_of(injector.library, run.report.sites)
        test.expect(not run.hung, f'{fault}: hangs\n{run.err[-12000:]}')
        test.expect(run.hung or fault.every or (run.status, run.out) == (0, 'done\n'),
                    f'{fault}: status {run.status}\n{run.out[-500:]}{run.err[-500:]}')
        test.expect(run.status >= 0, f'{fault}: dies of signal {-run.status}')
        refusals += ': EAGAIN' in run.err or ': ENOMEM' in run.err
    wanted = places_in_sources()
    never = sorted(place for place in wanted if not met(place, seen))
    test.expect(not never, f'these allocations have never failed: {never}')
    test.note(f'{runs} runs, {len(wanted) - len(never)} of {len(wanted)} places in the sources; '
              f'{refusals} runs in which the program was refused something')
