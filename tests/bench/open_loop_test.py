#!/usr/bin/python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Whole runs of the load generator's open loop: what was due is what is counted, however slow the server is; and what is refused.

usage: open_loop_test.py BUILD_DIRECTORY
"""

import os
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'bench'))

from rig import recipes  # noqa: E402
from rig.load import Load  # noqa: E402
from rig.process import Site, Trouble  # noqa: E402

BUILD = sys.argv.pop(1)
PAUSE = 0.005  # before each answer of the slow server
SECONDS = 0.2
RATE = 1000
DUE = 200  # in so many seconds at that rate


class SlowServer(threading.Thread):
    """Serves one connection: the opening's exchange at once, every other one after a pause."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        with self.listener, self.listener.accept()[0] as connection:
            pause = 0
            try:
                while data := connection.recv(65536):
                    time.sleep(pause)
                    connection.sendall(data)
                    pause = PAUSE
            except ConnectionError:
                pass  # the generator gave up


class OpenLoop(unittest.TestCase):
    def test_what_was_due_is_counted(self):
        with Site() as site:
            server = recipes.announced(site, [f'{BUILD}/echo_epoll'])
            figures = Load(BUILD).run('echo', server.port, 0.5, warm=0.1, connections=20, rate=2000)
        self.assertEqual(figures['errors'], 0, figures)
        self.assertEqual((figures['measured'], figures['unanswered']), (1000, 0), figures)

    def test_requests_that_a_slow_answer_keeps_waiting_are_counted_from_when_they_were_due(self):
        figures = Load(BUILD).run('echo', SlowServer().port, SECONDS, connections=1, rate=RATE)
        self.assertEqual((figures['errors'], figures['measured'], figures['unanswered']), (0, DUE, 0), figures)
        # The last has waited for all the pauses, but was due only after the measured part's length, at most.
        self.assertGreaterEqual(figures['max_us'], (DUE * PAUSE - SECONDS) * 1e6, figures)
        self.assertGreaterEqual(figures['p50_us'], (DUE / 2 * PAUSE - SECONDS) * 1e6, figures)

    def test_what_is_given_up_is_counted_with_its_age(self):
        timeout = 0.5
        figures = Load(BUILD).run('echo', SlowServer().port, SECONDS, connections=1, rate=RATE, timeout=timeout)
        self.assertEqual((figures['errors'], figures['measured'] + figures['unanswered']), (0, DUE), figures)
        self.assertLessEqual(figures['rps'] * figures['seconds'], figures['measured'], figures)
        self.assertGreaterEqual(figures['unanswered'], DUE - (SECONDS + timeout) / PAUSE - 1, figures)
        self.assertGreaterEqual(figures['max_us'], timeout * 1e6, figures)

    def test_what_cannot_be_is_refused(self):
        for options in ({'rate': 100, 'close': True}, {'rate': 100, 'requests': 5}, {'rate': 0}, {'rate': -1}):
            with self.assertRaises(Trouble, msg=str(options)) as raised:
                Load(BUILD).run('echo', 9, **options)
            self.assertIn('usage: ', str(raised.exception))


if __name__ == '__main__':
    unittest.main(verbosity=2)
