# SPDX-License-Identifier: Apache-2.0
"""Tests by name, one of which a program runs: each collects what is wrong and goes on, so that one run tells all."""

import os
import traceback

from .process import Trouble

SPARE_THREADS = 6  # kernel threads beside the workers: main, the monitor, carriers that wait for work

CASES = {}  # name -> function, as the test is registered under


def case(name):
    def register(function):
        CASES[name] = function
        return function
    return register


class Findings:
    """What is wrong, said when it is found."""

    def __init__(self):
        self.wrong = []

    def note(self, text):
        print(f'  {text}', flush=True)

    def expect(self, good, text):
        if not good:
            self.wrong.append(text)
            print(f'  WRONG: {text}', flush=True)
        return good

    def expect_same(self, got, wanted, what):
        got_text, wanted_text = str(got), str(wanted)
        # Long ones are shown from a little before they part.
        start = max(0, len(os.path.commonprefix([got_text, wanted_text])) - 100)
        return self.expect(got == wanted, f'{what}: {got_text[start:start + 300]!r}, not {wanted_text[start:start + 300]!r}')

    def expect_silent(self, process):
        said = [line for line in process.err().splitlines() if line.startswith('weft: ')]
        self.expect(not said, f'{process.name}: weft spoke on descriptor 2: {said[:3]}')


def run(name, test, right):
    """The test of that name, to its end: the program's exit status. `right`: what is said if nothing is wrong."""
    try:
        CASES[name](test)
    except Trouble as trouble:
        test.expect(False, str(trouble))
    except Exception:  # pylint: disable=broad-except
        test.expect(False, traceback.format_exc())
    print(f'{name}: {len(test.wrong)} wrong' if test.wrong else f'{name}: {right}')
    return 1 if test.wrong else 0
