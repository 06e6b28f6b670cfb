#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Runs one real-program test by name; every test runs the program natively and woven with the same checks."""

import argparse
import sys

sys.dont_write_bytecode = True

from case import Case  # noqa: E402
import clients  # noqa: E402,F401
import commands  # noqa: E402,F401
import databases  # noqa: E402,F401
import inspected  # noqa: E402,F401
import languages  # noqa: E402,F401
import mariadb  # noqa: E402,F401
import proxies  # noqa: E402,F401
import threaded  # noqa: E402,F401
import web  # noqa: E402,F401
from rig import mode  # noqa: E402
from rig.cases import CASES, run  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--build', required=True, help='the build directory, with libweft.so, weft and weft_load')
    parser.add_argument('--native-only', action='store_true', help='check the test itself, without weft')
    parser.add_argument('--workers', type=int, default=2, help='WEFT_WORKERS of the woven runs (default 2)')
    parser.add_argument('name', choices=sorted(CASES))
    options = parser.parse_args()
    missing = None if options.native_only else mode.missing(options.build)
    if missing:
        print(f'{missing} is not there: build it, or use --native-only')
        return 2
    print(options.name, flush=True)
    return run(options.name, Case(options.build, options.native_only, options.workers), 'as native')


if __name__ == '__main__':
    sys.exit(main())
