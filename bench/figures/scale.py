# SPDX-License-Identifier: Apache-2.0
"""What very many parked threads take, by their number; and what a mutex costs that very many threads want."""

from rig.load import parse
from rig.mode import Native, Woven
from rig.process import Site, Trouble
from rig.report import median

from .micro import pair_of_modes, parked_once

STACK = '64K'


def parked(build, threads, woven=True):
    """The figures of `parked`; natively as far as the kernel gives threads."""
    figures = parked_once(build, Woven(build, STACK=STACK) if woven else Native(), threads, words=('unguarded',))
    figures['kib_each'] = (figures['rss_kb'] + figures['tables_kb']) / threads
    return figures


def contended_once(build, mode, threads, section_ns, milliseconds):
    with Site() as site:
        done = site.run([f'{build}/contended', str(threads), str(section_ns), str(milliseconds)], mode, seconds=60)
        if done.status != 0:
            raise Trouble(f'contended, {mode.name}: status {done.status}: {done.err()[-300:]}')
        return parse(done.out())


def contended(build, threads, section_ns, runs=3, milliseconds=1000):
    """(native, woven) acquisitions a second, on all CPUs."""
    taken = {'native': [], 'woven': []}
    for _ in range(runs):
        for mode in pair_of_modes(build):
            taken[mode.name].append(contended_once(build, mode, threads, section_ns, milliseconds)['rate'])
    return median(taken['native']), median(taken['woven'])
