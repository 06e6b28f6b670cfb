#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Runs the test of one example by name."""

import argparse
import sys
import traceback

sys.dont_write_bytecode = True

from example import CASES, Example, Trouble  # noqa: E402
import actors  # noqa: E402,F401
import clients  # noqa: E402,F401
import dns  # noqa: E402,F401
import relays  # noqa: E402,F401
import scripts  # noqa: E402,F401
import web  # noqa: E402,F401
import workers  # noqa: E402,F401


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--build', required=True, help='the build directory')
    parser.add_argument('name', choices=sorted(CASES))
    options = parser.parse_args()
    test = Example(options.build)
    try:
        CASES[options.name](test)
    except Trouble as trouble:
        test.expect(False, str(trouble))
    except Exception:  # pylint: disable=broad-except
        test.expect(False, traceback.format_exc())
    print(f'{options.name}: {len(test.wrong)} wrong' if test.wrong else f'{options.name}: right')
    return 1 if test.wrong else 0


if __name__ == '__main__':
    sys.exit(main())
