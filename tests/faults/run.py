#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Runs one test of what weft does when system calls fail; --full runs it at more places."""

import argparse
import sys
import traceback

sys.dont_write_bytecode = True

import allocations  # noqa: E402
import database  # noqa: E402
import own_calls  # noqa: E402
import real_programs  # noqa: E402
from runs import Injector  # noqa: E402


class Test:
    """Collects what is wrong and goes on, so that one run tells all."""

    def __init__(self):
        self.wrong = 0

    def note(self, text):
        print(f'  {text}', flush=True)

    def expect(self, good, text):
        if not good:
            self.wrong += 1
            print(f'  WRONG: {text}', flush=True)
        return good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--build', required=True, help='the build directory, with libweft.so and inject')
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--full', action='store_true')
    parser.add_argument('what', choices=('own_calls', 'allocations', 'real'))
    parser.add_argument('names', nargs='*', help='programs')
    options = parser.parse_args()
    test, injector = Test(), Injector(options.build, options.workers)
    try:
        if options.what == 'own_calls':
            for name in options.names:
                own_calls.check(test, injector, name, options.full)
        elif options.what == 'allocations':
            allocations.check(test, injector, options.full)
        else:
            for name in options.names:
                if name == 'mariadb':
                    database.check(test, injector, options.full)
                else:
                    real_programs.check(test, injector, name, options.full)
    except Exception:  # pylint: disable=broad-except
        test.expect(False, traceback.format_exc())
    print(f'{options.what}: {test.wrong} wrong')
    return 1 if test.wrong else 0


if __name__ == '__main__':
    sys.exit(main())
