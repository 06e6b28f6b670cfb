# SPDX-License-Identifier: Apache-2.0
"""Actors: a ring, a supervisor, a noisy sender, a chat room with a member who does not read."""

import contextlib
import re
import socket
import threading

from rig.cases import case
from rig.process import Site

MEMBERS = 50
FLOOD = 20_000  # lines of 200 bytes


@case('ring')
def ring(test):
    with Site() as site:
        process = test.run(site, 'ring', 10_000, 1_000_003)
        test.expect_same(process.out(), '10000 actors, 1000003 messages, the last to actor 3\n', 'output')
        test.woven(process, 10_000)


@case('supervisor')
def supervisor(test):
    with Site() as site:
        process = test.run(site, 'supervisor')
        lines = process.out().splitlines()
        failed = 'divider has failed: Numerical argument out of domain'
        test.expect_same([line for line in lines if not line.startswith('hopeless')],
                         ['6 / 3 = 2', failed, '8 / 2 = 4', failed, '9 / 3 = 3', 'divider has ended'], 'the divider')
        test.expect_same([line for line in lines if line.startswith('hopeless')],
                         ['hopeless has failed: No such file or directory'] * 4 + ['hopeless is given up'], 'the hopeless one')
        test.woven(process, 1 + 3 + 4)


@case('fairness')
def fairness(test):
    with Site() as site:
        process = test.run(site, 'fairness', 10_000)
        found = {name: (int(half), int(most)) for name, half, most in
                 re.findall(r'(\w+): half .* at most (\d+) others, all for at most (\d+)', process.out())}
        test.note(process.out().replace('\n', '; '))
        test.expect(found['channel'][1] >= 10_000, 'in the channel nobody had to wait: this measures nothing')
        # Eleven senders take turns; a second round for those that wait for room.
        test.expect(found['mailbox'][0] <= 50, f'in the mailbox half of the messages waited for {found["mailbox"][0]} and more')
        waits = int(re.search(r'(\d+) sends had to wait, at most 10000 of 10000', process.out()).group(1))
        test.expect(waits > 0, 'the overload is not in the figures of the mailbox')
        test.woven(process, 2 * 11 + 1)


class Member:
    def __init__(self, stack, port, name, room=None):
        self.missed = 0
        self.stream = stack.enter_context(socket.socket())
        if room:
            self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.stream.settimeout(60)
        self.stream.connect(('127.0.0.1', port))
        self.file = stack.enter_context(self.stream.makefile('r'))
        self.say(name)

    def say(self, text):
        self.stream.sendall(f'{text}\n'.encode())

    def hear(self):
        return self.file.readline().rstrip('\n')

    def hear_of_gap(self):
        """Reads until it is told how many lines it has missed, or there are no more."""
        for line in self.file:
            if gap := re.fullmatch(r'\* you have missed (\d+) lines\n', line):
                self.missed = int(gap.group(1))
                return


@case('chat')
def chat(test):
    with Site() as site, contextlib.ExitStack() as stack:
        server = test.serve(site, 'chat')
        ann = Member(stack, server.port, 'ann')
        test.expect_same(ann.hear(), '* ann has come', 'to ann')
        bob = Member(stack, server.port, 'bob')
        both = ann, bob

        def expect(line):
            # Both hear every line before the next is said, so that they miss none.
            test.expect_same([member.hear() for member in both], [line, line], 'to both')

        expect('* bob has come')
        many = []
        for i in range(MEMBERS):
            many.append(Member(stack, server.port, f'member{i}'))
            expect(f'* member{i} has come')
        for i in range(20):
            many[0].say(f'line {i}')
        for i in range(20):
            expect(f'member0: line {i}')
        ann.say('to all but me')
        test.expect_same(bob.hear(), 'ann: to all but me', 'to bob')
        for i, member in enumerate(many):
            member.stream.shutdown(socket.SHUT_WR)
            expect(f'* member{i} has left')
            while line := member.hear():
                last = line
            test.expect_same(last, f'* member{i} has left', 'the last that a member is told')

        # One reads nothing while ann says more than its mailbox and the buffers of its socket hold; ann and bob go on.
        test.expect_same(test.lint(server, 'overloaded-mailbox', '--mailbox-full=1ms'), [], 'overloaded mailboxes before')
        deaf = Member(stack, server.port, 'deaf', room=4096)
        expect('* deaf has come')
        for _ in range(FLOOD):
            ann.say('x' * 190)
            test.expect_same(bob.hear(), 'ann: ' + 'x' * 190, 'to bob')
        test.expect_same(test.lint(server, 'overloaded-mailbox', '--mailbox-full=1ms'), ['the mailbox deaf is full and stays full'],
                         'mailboxes that weft lint finds overloaded')
        # Then it reads, and with the next line for which there is room it is told.
        reader = threading.Thread(target=deaf.hear_of_gap, daemon=True)
        reader.start()
        for _ in range(FLOOD):
            if not reader.is_alive():
                break
            ann.say('still there?')
            bob.hear()
        deaf.stream.shutdown(socket.SHUT_RDWR)
        reader.join()
        test.note(f'of {FLOOD} lines and more it missed {deaf.missed}')
        test.expect(deaf.missed > 0, 'the member who did not read missed nothing')
        test.woven_now(server, 2 * (MEMBERS + 3))
