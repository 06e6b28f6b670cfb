# SPDX-License-Identifier: Apache-2.0
"""The server whose connections are Lua scripts: conversations told by many at once, each with its own state."""

import contextlib
import os
import socket

from rig.cases import case
from rig.process import Sampler, Site

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools', 'examples', 'lua', 'conversation.lua')
CONNECTIONS = 300


class Talk:
    def __init__(self, stack, port, number):
        self.number = number
        self.stream = stack.enter_context(socket.create_connection(('127.0.0.1', port), 60))
        self.file = stack.enter_context(self.stream.makefile('r'))

    def say(self, text):
        self.stream.sendall(f'{text}\n'.encode())

    def hear(self):
        return self.file.readline().rstrip('\n')


def steps(number):
    """What connection `number` says, and is told after it."""
    count = number % 4 + 1
    yield f'client {number}', f'hello client {number}, how many numbers?'
    yield 'many', f'a whole number, please; hello client {number}, how many numbers?'
    yield count, f'number 1 of {count}?'
    for i in range(1, count):
        yield number + i, f'number {i + 1} of {count}?'
    yield number, f'their sum is {number * count + sum(range(count))}; how many numbers?'
    yield 0, f'goodbye client {number}'


@case('lua')
def lua(test):
    with Site() as site, contextlib.ExitStack() as stack:
        server = test.serve(site, 'lua_server', SCRIPT)
        sampler = Sampler(server.pid)
        talks = [Talk(stack, server.port, number) for number in range(CONNECTIONS)]
        for talk in talks:
            test.expect_same(talk.hear(), 'who are you?', 'the first line')
        # All are in the middle of their scripts at once, at different places.
        left = {talk: steps(talk.number) for talk in talks}
        while left:
            said = [(talk, step) for talk, step in ((talk, next(left[talk], None)) for talk in list(left))]
            for talk, step in said:
                if step is None:
                    test.expect_same(talk.hear(), '', 'behind the last line')
                    del left[talk]
                else:
                    talk.say(step[0])
            for talk, step in said:
                if step is not None:
                    test.expect_same(talk.hear(), step[1], f'connection {talk.number}, told {step[0]}')
        test.few_threads(server, sampler)
        test.woven_now(server, CONNECTIONS)
        # One that goes in the middle harms nobody.
        gone = Talk(stack, server.port, 0)
        gone.hear()
        gone.say('somebody')
        gone.stream.shutdown(socket.SHUT_RDWR)
        after = Talk(stack, server.port, 1)
        test.expect_same(after.hear(), 'who are you?', 'the next connection')


@case('lua_threads')
def lua_threads(test):
    """The control of the benchmark: the same script behind threads, which stay threads in a program that links weft."""
    with Site() as site, contextlib.ExitStack() as stack:
        server = test.serve(site, 'lua_server', SCRIPT, '--threads')
        talks = [Talk(stack, server.port, number) for number in range(50)]
        for talk in talks:
            talk.hear()
        threads = len(os.listdir(f'/proc/{server.pid}/task'))  # each waits for its client's first line
        test.expect(threads >= len(talks), f'only {threads} kernel threads')
        for talk in talks:
            for said, told in steps(talk.number):
                talk.say(said)
                test.expect_same(talk.hear(), told, f'connection {talk.number}, told {said}')
