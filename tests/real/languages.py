# SPDX-License-Identifier: Apache-2.0
"""Threads of other languages: a server and a client on Rust's standard library alone, and scripts of Ruby's and Perl's threads."""

import os
import socket

from case import ordinary
from clients import CROWD, crowd_run
from rig.cases import case
from rig import recipes
from rig.process import Sampler, Site

HERE = os.path.dirname(os.path.abspath(__file__))
RUST_ROUNDS = 3


@case('rust')
def rust(test):
    """Each natively, then both woven."""
    native = {}
    for mode in test.modes():
        with Site() as site:
            server = recipes.announced(site, [test.tool('rust_server')], mode)
            sampler = Sampler(server.pid)
            right = crowd_run(test, site, mode, ['rust_client', str(CROWD), str(RUST_ROUNDS), str(server.port)])
            sampler.stop()
            test.expect_same(right, native.setdefault('right', right), 'answers')
            test.expect_threads(mode, sampler.threads, CROWD)
            with socket.create_connection(('127.0.0.1', server.port), 20) as connection:
                connection.sendall(b'stop\n')
                test.expect_same(server.wait(30), 3, 'exit status of the server')
            said = server.out().splitlines()
            test.expect_same((sorted(said[1:]), server.err()), (['a thousand', 'first'], ''), 'what the server said')
            # A connection's own thread, and those of its questions: 4 + 4 + 1 + 1 each round.
            test.expect_counters(server, **ordinary(CROWD * (1 + 10 * RUST_ROUNDS)))


def same_script(test, interpreter, script, status, lines, coroutines):
    """The script's output and status in both modes must be what they have to be; at least so many of its threads woven."""
    outcomes = {}
    for mode in test.modes():
        with Site() as site:
            done = site.run([interpreter, os.path.join(HERE, script)], mode, seconds=60)
            outcome = (done.status, done.out(), done.err())
            test.expect_same(outcome, outcomes.setdefault('native', outcome), f'{mode.name}: status and output')
            test.expect_same((done.status, len(done.out().splitlines()), done.err()), (status, lines, ''), f'{mode.name}: status, lines')
            # Forked children leave blocks of their own; the first thread of the interpreter may be its own helper.
            test.expect_counters(done, at_least={'coroutines_created': coroutines, 'switches': coroutines})


@case('ruby')
def ruby(test):
    same_script(test, '/usr/bin/ruby', 'threads.rb', 6, 14, 150)


@case('perl')
def perl(test):
    same_script(test, '/usr/bin/perl', 'threads.pl', 7, 9, 100)
