#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""libstdc++'s thread tests, each run natively and woven: the same verdict, by name.

A test that makes threads natively must have made coroutines woven, with nothing fallen back; and in a run with the library
loaded and disabled that very proof has to fail.
"""
import concurrent.futures
import os
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import bounded_run  # noqa: E402
import suite  # noqa: E402
from bounded_run import stats  # noqa: E402

TIMEOUT = 60
PASS = 'exit status 0'


def parse_arguments():
    parser = bounded_run.argument_parser(__doc__)
    parser.add_argument('--workers', default='1,4', help='comma separated values of WEFT_WORKERS')
    parser.add_argument('--jobs', type=int, default=2, help='tests at once')
    parser.add_argument('names', nargs='*', help='only these tests')
    options = parser.parse_args()
    options.library, options.counter = os.path.abspath(options.library), os.path.abspath(options.counter)
    return options


def chosen(options, root):
    if options.names:
        return options.names
    if options.sample:
        with open(os.path.join(HERE, 'sample.txt'), encoding='ascii') as file:
            return [line.strip() for line in file if line.strip() and not line.startswith('#')]
    return suite.names(root)


def proof(result, threads):
    """What is missing in the counters of a woven run whose program makes so many threads natively."""
    if threads == 0:
        return []
    return stats.judge(result.own_block(), at_least={'coroutines_created': 1})


class Outcome:
    """What became of one test: its native verdict, and what is wrong woven, a line each."""

    def __init__(self, name, verdict, threads=0, wrong=()):
        self.name, self.verdict, self.threads, self.wrong = name, verdict, threads, list(wrong)


def try_test(options, root, name):
    test = suite.Test(root, name)
    if not test.is_run():
        return Outcome(name, None)
    try:
        program = test.compile(options.build)
    except suite.DoesNotCompile as error:
        return Outcome(name, f'does not compile: {error}')
    native = bounded_run.run([program], bounded_run.counting(options.counter), TIMEOUT)
    outcome = Outcome(name, native.ending, native.threads)
    for workers in options.workers.split(','):
        woven = bounded_run.run([program], bounded_run.woven(options.library, workers), TIMEOUT)
        said = [] if woven.ending == native.ending else [f'{woven.ending}, natively {native.ending}: {woven.output[-500:]}']
        said += proof(woven, native.threads) if woven.status == 0 else []
        outcome.wrong += [f'{workers} workers: {text}' for text in said]
    if native.threads:
        disabled = bounded_run.run([program], bounded_run.disabled(options.library), TIMEOUT)
        if not proof(disabled, native.threads):
            outcome.wrong.append('disabled: the counters say woven although nothing was: the proof proves nothing')
    return outcome


def main():
    options = parse_arguments()
    root = suite.unpack(options.build)
    programs = os.path.join(options.build, 'programs')
    os.makedirs(programs, exist_ok=True)
    options.build = programs
    names = chosen(options, root)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        outcomes = list(pool.map(lambda name: try_test(options, root, name), names))
    run = [outcome for outcome in outcomes if outcome.verdict is not None]
    for outcome in run:
        if outcome.verdict != PASS:
            print(f'{outcome.name}: natively {outcome.verdict}')
        for line in outcome.wrong:
            print(f'{outcome.name}: {line}')
    wrong = [outcome.name for outcome in run if outcome.wrong]
    print(f'{len(run)} tests, {sum(outcome.verdict == PASS for outcome in run)} pass natively, '
          f'{sum(outcome.threads > 0 for outcome in run)} make threads; {len(wrong)} differ woven')
    # A sample in which nothing was run or made a thread compares nothing.
    return 1 if wrong or not any(outcome.threads for outcome in run) else 0


if __name__ == '__main__':
    sys.exit(main())
