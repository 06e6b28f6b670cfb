#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""glibc's own thread, signal, socket and timer tests, each run natively and woven: the same verdict, by name.

They are built from Debian's package glibc-source against the installed libc, with glibc's support library, and kept in the
build directory. The verdict is what glibc's test driver says by its exit status.

A test that makes threads natively must have made coroutines woven, with nothing fallen back and no waiter rescued; and in
a run with the library loaded and disabled that very proof has to fail. A process that is killed or becomes another program
leaves no counters: for it the log has to show that the runtime was started.

expected.txt names the tests whose verdicts differ for good reason; one that no longer differs is an error as well.
"""
import collections
import concurrent.futures
import os
import shutil
import signal
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import bounded_run  # noqa: E402
import build  # noqa: E402
import plan  # noqa: E402

# glibc's driver has a limit of its own for each test, from 20 s on; others share this machine.
TIMEOUT_FACTOR = 5
TIMEOUT = 900
TRIES = 3
CONTROL_BELOW = 2.0  # seconds a test may take natively to be run disabled as well
VERDICTS = {0: 'PASS', 77: 'UNSUPPORTED'}
STARTED = ' workers, guards by '  # in the log, once a process that makes a thread


def parse_arguments():
    parser = bounded_run.argument_parser(__doc__)
    parser.add_argument('--workers', default='1,4', help='comma separated values of WEFT_WORKERS')
    parser.add_argument('--jobs', type=int, default=3, help='tests at once; most of them sleep')
    parser.add_argument('names', nargs='*', metavar='TEST', help='only these tests, e.g. nptl/tst-cond1')
    options = parser.parse_args()
    for name in ('library', 'counter', 'build'):
        setattr(options, name, os.path.abspath(getattr(options, name)))
    return options


def read_list(name):
    """Lines `test` or `test: reason`, by test; # begins a comment."""
    entries = {}
    with open(os.path.join(HERE, name), encoding='ascii') as file:
        for line in file:
            test, _, reason = line.partition('#')[0].strip().partition(':')
            if test:
                entries[test] = reason.strip()
    return entries


class Test:
    """A built test, and what its last runs came to."""

    def __init__(self, options, item, program, expected):
        self.options, self.item, self.program = options, item, program
        self.factor = 1 if expected else TIMEOUT_FACTOR  # those mostly wait for their limit
        self.expected = expected  # to differ
        self.tries = 0
        self.verdicts = {}  # by the words for the kind of run
        self.wrong = []     # of the proofs
        self.threads = 0    # made natively
        self.by_log = False

    @property
    def name(self):
        return self.item.label

    @property
    def differs(self):
        return len(set(self.verdicts.values())) > 1

    @property
    def suspect(self):
        return bool(self.wrong) or self.differs != self.expected

    def prepare(self, directory, values):
        shutil.copy(self.item.makefile, directory)  # some tests open it
        values['TMPDIR'] = directory
        # Both preload something; the installed debugging malloc has its version in its name.
        further = [os.path.basename(path) + '.0' for path in self.item.environment.get('LD_PRELOAD', '').split(':') if path]
        values['LD_PRELOAD'] = ':'.join([values['LD_PRELOAD']] + further)

    def run_once(self, variables):
        arguments = [word.replace('@program@', self.program) for word in self.item.arguments]
        environment = dict(self.item.environment, TIMEOUTFACTOR=str(self.factor))
        return bounded_run.run([self.program] + arguments, variables, TIMEOUT, environment, self.prepare)

    def runtime_was_started(self, variables):
        with tempfile.NamedTemporaryFile(prefix='weft-log-') as log:
            os.chmod(log.name, 0o666)
            self.run_once(dict(variables, WEFT_LOG='info:' + log.name))
            return STARTED in log.read().decode(errors='replace')

    def unproven(self, variables, result):
        """What is missing in the proof of a woven run."""
        if not made_coroutines(result):
            return [] if self.runtime_was_started(variables) else ['no coroutine was made']
        return [f'{name} is {block[name]}' for block in result.blocks
                for name in ('fallbacks', 'fd_rescues', 'lock_rescues') if block.counters.get(name)]

    def run(self):
        """Natively, woven, and disabled if that takes no time."""
        self.verdicts, self.wrong, self.said = {}, [], ''
        self.tries += 1
        begin = time.monotonic()
        native = self.run_once(bounded_run.counting(self.options.counter))
        seconds = time.monotonic() - begin
        self.threads = native.threads
        self.verdicts['natively'] = verdict(native)
        if self.verdicts['natively'] != 'PASS':
            self.said = native.output
        for workers in self.options.workers.split(','):
            variables = bounded_run.woven(self.options.library, workers)
            woven = self.run_once(variables)
            words = f'{workers} workers'
            self.verdicts[words] = verdict(woven)
            if self.verdicts[words] != self.verdicts['natively']:
                self.said = woven.output
            elif self.threads:
                self.by_log = not made_coroutines(woven)
                self.wrong += [f'{words}: {text}' for text in self.unproven(variables, woven)]
        if self.threads and seconds < CONTROL_BELOW:
            variables = bounded_run.disabled(self.options.library)
            if not self.unproven(variables, self.run_once(variables)):
                self.wrong.append('disabled: it looks woven although nothing was: the proof proves nothing')
        if self.suspect:
            print(f'differs at first: {self.name}: {self.verdicts} {self.wrong}', flush=True)


def made_coroutines(result):
    return any(block.counters.get('coroutines_created') for block in result.blocks)


def verdict(result):
    return 'NO END' if result.status is None else VERDICTS.get(result.status, 'FAIL')


def build_all(options, pool, builder, items, expected):
    """The tests that could be built, and why others could not, by name."""
    builder.build_support(pool)
    reasons, todo = {}, []
    for item in items:
        if item.kind == 'static':
            reasons[item.label] = 'linked statically, so nothing can be preloaded'
        elif item.source is None:
            reasons[item.label] = 'its source is made by the build of glibc'
        else:
            todo.append(item)
    for item, error in zip(todo, pool.map(build.build_test, [builder.test_commands(item) for item in todo])):
        if error:
            reasons[item.label] = ('needs private headers of glibc: ' if item.kind == 'internal' else '') + error
    return [Test(options, item, builder.program_of(item), item.label in expected)
            for item in todo if item.label not in reasons], reasons


def run_all(pool, tests):
    """All beside each other, then those with something to say again, alone: what differs each time is a difference."""
    list(pool.map(Test.run, tests))
    for _ in range(TRIES - 1):
        for test in filter(lambda test: test.suspect, tests):
            test.run()


def report(tests, reasons, expected):
    """Prints what there is to say; the number of errors."""
    errors = 0
    for name, reason in sorted(reasons.items()):
        print(f'not built: {name}: {reason}')
    for test in tests:
        verdicts = ', '.join(f'{words} {verdict}' for words, verdict in test.verdicts.items())
        if test.differs and test.expected:
            print(f'differs as expected: {test.name}: {expected[test.name]}')
        elif test.differs or test.wrong:
            errors += 1
            print(f'WRONG: {test.name}: {verdicts}; {"; ".join(test.wrong)}\n{test.said[-1000:]}')
        elif test.expected:
            errors += 1
            print(f'WRONG: {test.name} is in expected.txt and does not differ')
        elif test.verdicts['natively'] != 'PASS':
            print(f'the same woven, but not a pass: {test.name}: {verdicts}')
        elif test.tries > 1:
            print(f'unsteady: {test.name}: differed beside others, and not alone')
    counts = collections.Counter(test.verdicts['natively'] for test in tests)
    threaded = [test for test in tests if test.threads]
    print(f'{len(tests)} tests, natively ' + ', '.join(f'{count} {verdict}' for verdict, count in sorted(counts.items())) +
          f'; {len(threaded)} make threads, of which {sum(test.by_log for test in threaded)} leave no counters; '
          f'{sum(test.differs for test in tests)} differ woven, {sum(test.differs and test.expected for test in tests)} '
          f'as expected; {errors} wrong')
    return errors


def main():
    options = parse_arguments()
    # What a shell or nohup made this process ignore would be ignored by the tests as well.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.makedirs(options.build, exist_ok=True)
    try:
        source = plan.unpack(options.build)
        items, modules = plan.read(source, options.build)
        names = options.names or (read_list('sample.txt') if options.sample else items)
        unknown = set(names) - set(items)
        if unknown:
            raise plan.Trouble('glibc has no test ' + ', '.join(sorted(unknown)))
    except plan.Trouble as trouble:
        print(trouble)
        return 1
    expected = read_list('expected.txt')
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        builder = build.Builder(source, options.build, modules)
        tests, reasons = build_all(options, pool, builder, [items[name] for name in names], expected)
        run_all(pool, tests)
    errors = report(tests, reasons, expected)
    if options.sample and reasons:
        errors += 1  # all of the sample can be built
    return 1 if errors or not any(test.threads for test in tests) else 0


if __name__ == '__main__':
    sys.exit(main())
