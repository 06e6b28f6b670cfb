# SPDX-License-Identifier: Apache-2.0
"""Runs one module of CPython's test suite in this process and writes down each test's verdict as it ends.

usage: recorder.py RECORD main|thread MODULE [PATTERN...]

The tests are called by the main thread or by one of its own. Of the ids those that contain a PATTERN are run, or all, and
none that contains one written !PATTERN.

RECORD gets one JSON line [id, verdict] a test, and as the last [null, module verdict]; a process that dies in the middle
leaves what it had, the id it died in included. The network resource is off, except for a module that means loopback by it.
"""
import faulthandler
import json
import sys
import threading
import unittest
from test import support

RESOURCES = ['cpu', 'subprocess', 'walltime']
LOOPBACK_ONLY = ('test_socketserver', 'test_timeout')
WORST = ('ok', 'expected failure', 'skipped', 'unexpected success', 'failure', 'error')


class Recorder(unittest.TestResult):
    """A test's verdict is the worst of what was said of it and its subtests."""

    def __init__(self, file):
        super().__init__()
        self.file = file
        self.verdicts = {}

    def write(self, name, verdict):
        self.file.write(json.dumps([name, verdict]) + '\n')
        self.file.flush()

    def add(self, test, verdict, details=None):
        name = test.id()
        self.verdicts[name] = max(self.verdicts.get(name, 'ok'), verdict, key=WORST.index)
        if details:
            print(f'{verdict}: {test}: {details}', file=sys.stderr, flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.write(test.id(), 'begun')

    def stopTest(self, test):
        super().stopTest(test)
        self.write(test.id(), self.verdicts.get(test.id(), 'ok'))

    def addSuccess(self, test):
        self.add(test, 'ok')

    def addFailure(self, test, err):
        self.add(test, 'failure', self._exc_info_to_string(err, test))
        self.close_fixture(test, 'failure')

    def addError(self, test, err):
        self.add(test, 'error', self._exc_info_to_string(err, test))
        self.close_fixture(test, 'error')

    def addSkip(self, test, reason):
        self.add(test, 'skipped')
        self.close_fixture(test, 'skipped')

    def addExpectedFailure(self, test, err):
        self.add(test, 'expected failure')

    def addUnexpectedSuccess(self, test):
        self.add(test, 'unexpected success')

    def addSubTest(self, test, subtest, err):
        if err is not None:
            verdict = 'failure' if issubclass(err[0], test.failureException) else 'error'
            self.add(test, verdict, f'{subtest}: ' + self._exc_info_to_string(err, test))

    def close_fixture(self, test, verdict):
        """setUpClass and setUpModule are no tests: nothing starts or stops them."""
        if not isinstance(test, unittest.TestCase):
            self.write(test.id(), verdict)


def chosen(suite, patterns):
    """The tests of a suite that the patterns want."""
    wanted = [pattern for pattern in patterns if not pattern.startswith('!')]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith('!')]
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from chosen(test, patterns)
        elif (not wanted or any(word in test.id() for word in wanted)) and not any(word in test.id() for word in unwanted):
            yield test


def run_module(module, patterns, recorder):
    """Runs the tests of a module; what to say of the module itself."""
    try:
        loader = unittest.TestLoader()
        suite = loader.loadTestsFromName('test.' + module)
        for error in loader.errors:
            print(error, file=sys.stderr)
        if patterns:
            suite = unittest.TestSuite(chosen(suite, patterns))
        suite.run(recorder)
    except unittest.SkipTest:
        return 'skipped'
    support.gc_collect()
    support.reap_children()
    if support.environment_altered:
        return 'environment changed'
    return 'not loaded' if loader.errors else 'run'


def main():
    record, place, module, patterns = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    faulthandler.enable(all_threads=True)
    support.use_resources = RESOURCES + (['network'] if module in LOOPBACK_ONLY else [])
    with open(record, 'a', encoding='utf-8') as file:
        recorder = Recorder(file)

        def run():
            recorder.write(None, run_module(module, patterns, recorder))

        if place == 'thread':
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
        else:
            run()


if __name__ == '__main__':
    main()
