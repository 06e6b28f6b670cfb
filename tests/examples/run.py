#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Runs the test of one example by name."""

import argparse
import sys

sys.dont_write_bytecode = True

from example import Example  # noqa: E402
import actors  # noqa: E402,F401
import clients  # noqa: E402,F401
import dns  # noqa: E402,F401
import relays  # noqa: E402,F401
import scripts  # noqa: E402,F401
import web  # noqa: E402,F401
import workers  # noqa: E402,F401
from rig.cases import CASES, run  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--build', required=True, help='the build directory')
    parser.add_argument('name', choices=sorted(CASES))
    options = parser.parse_args()
    return run(options.name, Example(options.build), 'right')


if __name__ == '__main__':
    sys.exit(main())
