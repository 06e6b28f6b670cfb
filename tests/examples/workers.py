# SPDX-License-Identifier: Apache-2.0
"""One process across CPUs, and several processes behind one port."""

import os
import signal
import socket

from rig.cases import case
from rig import stats
from rig.mode import Linked
from rig.process import Site, tree, until

PROCESSES = 3
ENOUGH = 200  # connections until every process has had one


@case('one_process')
def one_process(test):
    with Site() as site:
        process = test.run(site, 'one_process', 2_000_000)
        lines = process.out().splitlines()
        test.expect_same(lines[0], '148933 primes below 2000000', 'output')
        jobs = [int(line.split()[2]) for line in lines[1:]]
        test.note('; '.join(lines[1:]))
        test.expect_same(sum(jobs), 1000, 'jobs')
        test.expect_same(len(jobs) > 1, len(os.sched_getaffinity(0)) > 1, 'whether there was more than one CPU at it')
        test.woven(process, 64)


def ask(port):
    """The process that a connection comes to."""
    with socket.create_connection(('127.0.0.1', port), 30) as stream, stream.makefile('rw') as file:
        for _ in range(2):
            file.write('who?\n')
            file.flush()
            answer = int(file.readline())
        return answer


def all_of(port, count):
    """As many processes as answer."""
    seen = set()
    for _ in range(ENOUGH):
        seen.add(ask(port))
        if len(seen) == count:
            break
    return seen


@case('many_processes')
def many_processes(test):
    with Site() as site:
        server = test.serve(site, 'many_processes', PROCESSES, mode=Linked())
        children = set(tree(server.pid)[1:])
        test.expect_same(len(children), PROCESSES, 'processes')
        test.expect_same(all_of(server.port, PROCESSES), children, 'processes that answer')
        for child in children:
            affinity = os.sched_getaffinity(child)
            test.expect_same(len(affinity), 1, 'CPUs of a process')
        first = min(children)
        os.kill(first, signal.SIGKILL)
        until(lambda: len(set(tree(server.pid)[1:]) - {first}) == PROCESSES, 30, 'a process in the place of the one that died')
        children = set(tree(server.pid)[1:])
        test.expect_same(all_of(server.port, PROCESSES), children, 'processes that answer after one has died')
        for child in children:
            test.woven_now(server, 1, pid=child)
        test.expect_same(server.stop(), 0, 'exit status')
        until(lambda: not any(os.path.exists(f'/proc/{child}') for child in children), 30, 'the end of all processes')


@case('disabled')
def disabled(test):
    """The control of every counter: a run in which nothing may be woven says so, makes no coroutine, and does not pass for one."""
    with Site() as site:
        process = test.run(site, 'ring', 10, 10, status=1, mode=Linked(DISABLE=1))
        test.expect_same((process.out(), process.err()), ('', f'{test.program("ring")}: Function not implemented\n'), 'what it says')
        block = stats.of(process)
        test.expect_same(block and block['coroutines_created'], 0, 'coroutines made')
        counted = len(test.wrong)
        test.woven(process, 1)
        failed = test.wrong[counted:]
        del test.wrong[counted:]
        test.expect(failed, 'a disabled run passes for a woven one')
