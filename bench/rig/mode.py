# SPDX-License-Identifier: Apache-2.0
"""How a program is started: natively, or woven through the launcher or plainly by LD_PRELOAD."""

import os
import shutil


class Native:
    """The program as it is."""

    name = 'native'
    woven = False
    variables = {}

    def command(self, argv, stats, readable):
        return list(argv)


class Woven:
    """The program under weft. `by` is 'launcher' or 'preload'; `variables` are WEFT_* options."""

    name = 'woven'
    woven = True

    def __init__(self, build, by='launcher', **variables):
        self.library = os.path.abspath(os.path.join(build, 'libweft.so'))
        self.launcher = os.path.abspath(os.path.join(build, 'weft'))
        self.by = by
        self.variables = {f'WEFT_{key}': str(value) for key, value in variables.items()}

    def command(self, argv, stats, readable):
        """`stats`: the file for the counters; `readable`: a directory to copy the library to, for another user's program."""
        library, launcher = self.library, self.launcher
        if readable:
            library = shutil.copy2(library, readable)
            launcher = shutil.copy2(launcher, readable)
        variables = dict(self.variables)
        if stats:
            variables['WEFT_STATS'] = stats
        if self.by == 'preload':
            variables['LD_PRELOAD'] = library
        words = ['env'] + [f'{key}={value}' for key, value in variables.items()]
        return words + ([] if self.by == 'preload' else [launcher, '--']) + list(argv)


class Linked:
    """A program that links libweft.so itself: nothing is preloaded. `variables` are WEFT_* options."""

    name = 'linked'
    woven = True

    def __init__(self, **variables):
        self.variables = {f'WEFT_{key}': str(value) for key, value in variables.items()}

    def command(self, argv, stats, readable):
        variables = {**self.variables, **({'WEFT_STATS': stats} if stats else {})}
        return ['env'] + [f'{key}={value}' for key, value in variables.items()] + list(argv)


def missing(build):
    """What a woven run needs and does not find, or None."""
    for name in ('libweft.so', 'weft'):
        if not os.path.exists(os.path.join(build, name)):
            return os.path.join(build, name)
    return None
