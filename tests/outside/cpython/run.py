#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CPython's own tests of threads, sockets, signals and processes, natively and woven: the same verdict for each id.

Each module runs in a process of its own, natively (with --twice a second time) and woven. Ids whose verdict differs between
the two native runs are named as flaky and not compared. Where a module makes threads natively, the woven counters must show
coroutines and nothing fallen back; and of a sample a run with the library loaded and disabled has to fail that proof.
"""
import concurrent.futures
import json
import os
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import bounded_run  # noqa: E402
import modules  # noqa: E402
from bounded_run import stats  # noqa: E402

INTERPRETER = '/usr/bin/python3.11'
PACKAGE = 'libpython3.11-testsuite'
RECORDER = os.path.join(HERE, 'recorder.py')
TIMEOUT = 900


def parse_arguments():
    parser = bounded_run.argument_parser(__doc__)
    parser.add_argument('--twice', action='store_true', help='a second native run, to know what is flaky')
    parser.add_argument('--in-thread', action='store_true', help='a thread calls the tests, not the main one')
    parser.add_argument('--workers', default='2,1', help='comma separated values of WEFT_WORKERS')
    parser.add_argument('--jobs', type=int, default=2, help='modules at once')
    parser.add_argument('names', nargs='*', metavar='MODULE[:PATTERN]', help='only these, or ids that contain the pattern')
    options = parser.parse_args()
    options.library, options.counter = os.path.abspath(options.library), os.path.abspath(options.counter)
    return options


def chosen(options):
    """Pairs of a module and the patterns for its ids."""
    if options.names:
        return [(module, (pattern,) if pattern else ()) for module, _, pattern in (n.partition(':') for n in options.names)]
    if options.sample:
        return list((modules.SAMPLE_IN_THREAD if options.in_thread else modules.SAMPLE).items())
    return [(module, ()) for module in modules.MODULES if not options.in_thread or module not in modules.OF_MAIN]


class Run:
    """One run of one module: the verdict of each id, and how the process ended."""

    def __init__(self, options, label, module, patterns, variables):
        self.label = label
        with tempfile.NamedTemporaryFile(prefix='weft-record-', mode='r', encoding='utf-8') as record:
            command = [INTERPRETER, RECORDER, record.name, 'thread' if options.in_thread else 'main', module, *patterns]
            if module in modules.LEFT_OUT:
                command.append('!' + modules.LEFT_OUT[module][0])
            start = time.monotonic()
            self.result = bounded_run.run(command, variables, TIMEOUT)
            self.seconds = time.monotonic() - start
            self.verdicts = {}
            for line in record:
                name, verdict = json.loads(line)
                self.verdicts[name or 'the module'] = verdict
        self.verdicts['the process'] = self.result.ending
        name = f'{module}.{label.replace(" ", "-")}{".in-thread" * options.in_thread}.log'
        with open(os.path.join(options.build, name), 'w', encoding='utf-8') as log:
            log.write(self.result.output)

    def unproven(self, threads):
        """What is missing in the counters of a woven run whose module makes so many threads natively."""
        if threads == 0:
            return []
        wrong = [f'{block.exe}, process {block.pid}: {line}' for block in self.result.blocks for line in stats.judge(block)]
        if not any(block.counters.get('coroutines_created') for block in self.result.blocks):
            wrong.append('no process made a coroutine')
        return wrong


class Outcome:
    """What became of one module: native verdicts, what is flaky natively, and what is wrong woven, a line each."""

    def __init__(self, module):
        self.module, self.verdicts, self.threads, self.flaky, self.wrong, self.seconds = module, {}, 0, [], [], {}


def compare(native, woven, flaky):
    for name in sorted(set(native) | set(woven)):
        before, after = native.get(name, 'absent'), woven.get(name, 'absent')
        if before != after and name not in flaky:
            yield f'{name}: {after}, natively {before}'


def try_module(options, module, patterns):
    def run(label, variables):
        done = Run(options, label, module, patterns, variables)
        outcome.seconds[label] = done.seconds
        return done

    outcome = Outcome(module)
    native = run('native', bounded_run.counting(options.counter))
    outcome.verdicts, outcome.threads = native.verdicts, native.result.threads
    if options.twice:
        again = run('native again', bounded_run.NATIVE)
        outcome.flaky = [line.split(': ')[0] for line in compare(native.verdicts, again.verdicts, ())]
    for workers in options.workers.split(','):
        label = f'{workers} workers'
        woven = run(label, bounded_run.woven(options.library, workers))
        said = list(compare(native.verdicts, woven.verdicts, outcome.flaky)) + woven.unproven(outcome.threads)
        outcome.wrong += [f'{label}: {line}' for line in said]
    if options.sample and outcome.threads:
        if not run('disabled', bounded_run.disabled(options.library)).unproven(outcome.threads):
            outcome.wrong.append('disabled: the counters say woven although nothing was: the proof proves nothing')
    print(f'{module}: {len(outcome.verdicts) - 2} tests, {outcome.threads} threads, '
          + ', '.join(f'{label} {seconds:.0f} s' for label, seconds in outcome.seconds.items()), flush=True)
    for name in outcome.flaky:
        print(f'  flaky natively: {name}', flush=True)
    for line in outcome.wrong:
        print(f'  WRONG: {line}', flush=True)
    return outcome


def main():
    options = parse_arguments()
    if not os.path.exists(INTERPRETER) or not os.path.isdir('/usr/lib/python3.11/test/test_asyncio'):
        raise SystemExit(f'{INTERPRETER} or the package {PACKAGE} is not installed: tests/install-packages test')
    os.makedirs(options.build, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        outcomes = list(pool.map(lambda pair: try_module(options, *pair), chosen(options)))
    for module, (pattern, reason) in modules.LEFT_OUT.items():
        if any(outcome.module == module for outcome in outcomes):
            print(f'left out: {module}, ids with {pattern}: {reason}')
    if options.in_thread:
        print(f'left out: {", ".join(modules.OF_MAIN)}: they are about the main thread')
    passing = sum(list(outcome.verdicts.values()).count('ok') for outcome in outcomes)
    wrong = sum(len(outcome.wrong) for outcome in outcomes)
    print(f'{len(outcomes)} modules, {passing} tests pass natively, {sum(len(o.flaky) for o in outcomes)} flaky natively; '
          f'{wrong} differences')
    # A run in which nothing passed or made a thread compares nothing.
    return 1 if wrong or not passing or not any(outcome.threads for outcome in outcomes) else 0


if __name__ == '__main__':
    sys.exit(main())
