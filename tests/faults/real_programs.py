# SPDX-License-Identifier: Apache-2.0
"""Real programs whose system calls fail or move only a part, natively and woven: no hang, no wrong byte, no crash that is not native.

Which call of the program is the n-th differs between the two, so what is compared is not one run with one run but how the program
takes a kind of fault: where every native run of it gets right answers, so must every woven one.
"""

import errno
import itertools
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
from dataclasses import replace

from rig import recipes, stats
from rig.mode import Native, Woven
from rig.process import Site, Trouble, seeded_text
from runs import Fault

READS = 'read,recvfrom,recvmsg,readv,preadv2'
WRITES = 'write,sendto,sendmsg,writev,pwritev2'
ACCEPTS = 'accept,accept4'
POLLS = 'poll,ppoll,select,pselect6'
CLIENTS, ROUNDS = 4, 2
ANSWER_SECONDS = 5
LOOKS = 9  # places at which a native run may show what a woven one has shown
LOOKS_AT_CRASHES = 25
ORDER = ('wrong', 'hang', 'error', 'right')

# (calls, errors or bytes of a short transfer, places, the most important one first)
FAULTS = [
    (READS, ('EINTR', 'ECONNRESET', 'EAGAIN', 'ENOMEM'), ((3, 0), (1, 0), (7, 0), (12, 0), (2, 9))),
    (READS, (7, 1), ((2, 5), (1, 1))),
    (WRITES, ('ECONNRESET', 'EINTR', 'EAGAIN', 'ENOMEM'), ((2, 0), (1, 0), (6, 0), (9, 0), (2, 9))),
    (WRITES, (7, 1), ((2, 5), (1, 1))),
    (ACCEPTS, ('EMFILE', 'ECONNABORTED', 'EINTR', 'EAGAIN', 'ENOMEM'), ((2, 0), (1, 0), (3, 2))),
    (POLLS, ('EINTR', 'ENOMEM'), ((2, 0), (1, 0), (2, 7))),
    ('clone3', ('EAGAIN', 'ENOMEM'), ((2, 0), (1, 0), (3, 0), (4, 2))),
    ('mmap,mprotect', ('ENOMEM',), ((2, 0), (1, 0), (3, 0), (5, 0), (8, 3))),
    ('socket', ('EMFILE', 'ENFILE', 'ENOMEM'), ((1, 0), (2, 0), (2, 3))),
    ('connect', ('ECONNREFUSED', 'EINTR'), ((1, 0), (2, 0), (2, 3))),
    ('openat', ('EMFILE', 'ENOENT'), ((1, 0), (2, 0), (2, 3))),
    ('futex', ('EINTR', 'EAGAIN'), ((1, 0), (3, 0), (2, 7))),
]
TRANSFERS = (READS, WRITES)


class Injected:
    """A mode whose programs run under the injector."""

    def __init__(self, inner, tool, fault):
        self.inner, self.tool, self.fault = inner, tool, fault
        self.name, self.woven, self.variables = inner.name, inner.woven, inner.variables

    def command(self, argv, stats_path, readable):
        inside = self.inner.command(argv, stats_path, readable)
        if not self.fault:
            return inside
        tool = shutil.copy2(self.tool, readable) if readable else self.tool
        return [tool, *self.fault.arguments(), '--', *inside]


def received(connection, size):
    data = b''
    while len(data) < size:
        part = connection.recv(65536)
        if not part:
            break
        data += part
    return data


def get(port, target, body):
    """How one request over a connection of its own goes."""
    with socket.create_connection(('127.0.0.1', port), ANSWER_SECONDS) as connection:
        connection.sendall(f'GET {target} HTTP/1.0\r\nHost: localhost\r\n\r\n'.encode())
        head = b''
        while b'\r\n\r\n' not in head:
            part = connection.recv(65536)
            if not part:
                return 'error'
            head += part
        head, _, rest = head.partition(b'\r\n\r\n')
        length = re.search(rb'(?i)content-length: *(\d+)', head)
        if b' 200 ' not in head.split(b'\r\n')[0] or not length:
            return 'error'
        rest += received(connection, int(length[1]) - len(rest))
    return 'right' if rest == body else 'error' if body.startswith(rest) else 'wrong'


def echo(connection, text):
    for at in range(0, len(text), 8000):
        connection.sendall(text[at:at + 8000])
        back = received(connection, len(text[at:at + 8000]))
        if back != text[at:at + 8000]:
            return 'error' if text[at:at + 8000].startswith(back) else 'wrong'
    return 'right'


def plain_echo(port, text):
    with socket.create_connection(('127.0.0.1', port), ANSWER_SECONDS) as connection:
        return echo(connection, text)


def tls_echo(port, text, certificate):
    context = ssl.create_default_context(cafile=certificate)
    with socket.create_connection(('127.0.0.1', port), ANSWER_SECONDS) as connection:
        with context.wrap_socket(connection, server_hostname='localhost') as stream:
            return echo(stream, text)


def outcome(ask):
    try:
        return ask()
    except TimeoutError:
        return 'hang'
    except (OSError, ssl.SSLError):
        return 'error'


# Each starts its server at a site and gives it with what a client asks of it.

def tinyproxy(site, mode):
    origin = recipes.nginx(site)
    server = recipes.tinyproxy(site, mode)
    return server, lambda: get(server.port, f'http://127.0.0.1:{origin.port}/page.txt', seeded_text(4000))


def stunnel(site, mode):
    target = recipes.announced(site, [os.path.join(site.build, 'echo_epoll')])
    server = recipes.stunnel(site, mode, target.port)
    certificate = recipes.certificate(site)[1]
    return server, lambda: tls_echo(server.port, seeded_text(20_000), certificate)


def python_http(site, mode):
    server = recipes.python_http(site, mode)
    return server, lambda: get(server.port, '/page.txt', seeded_text(4000))


def python_echo(site, mode):
    server = recipes.python_echo(site, mode)
    return server, lambda: plain_echo(server.port, seeded_text(20_000))


def iostream(site, mode):
    recipes.web_root(site)
    server = recipes.announced(site, [os.path.join(site.build, 'iostream_server'), site.path('www/page.txt')], mode)
    return server, lambda: get(server.port, '/page', seeded_text(4000))


def iperf(site, mode):
    from rig.process import free_port
    port = free_port()
    server = recipes.listed(site.start(['iperf', '-s', '-B', '127.0.0.1', '-p', str(port)], mode), port)

    # Each from an address of its own: the server frees the sum that it keeps for several of one address while it is in use.
    sources = itertools.count(1)

    def ask():
        source = f'127.1.0.{next(sources) % 250 + 1}'
        try:
            client = subprocess.run(['iperf', '-c', '127.0.0.1', '-B', source, '-p', str(port), '-n', '200K', '-y', 'C'],
                                    capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return 'hang'
        return 'right' if client.returncode == 0 and client.stdout.strip() else 'error'
    return server, ask


SERVERS = {function.__name__: function for function in (tinyproxy, stunnel, python_http, python_echo, iostream, iperf)}


def asked_again(ask):
    """A fault that comes back spoils some questions; a server that goes on answers one of a few."""
    for _ in range(LOOKS):
        answer = outcome(ask)
        if answer != 'error':
            break
    return answer


def serve(start, mode, site):
    """The worst answer while the fault is there, the one after that, and how the server ends."""
    server, ask = start(site, mode)
    answers = []

    def client():
        for _ in range(ROUNDS):
            answers.append(outcome(ask))
    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    last = asked_again(ask) if server.alive() else 'error'
    try:
        status = server.stop(seconds=10)
    except Trouble:
        return min(answers, key=ORDER.index), last, 'hang', None
    # By a signal that nobody sent.
    end = 'crash' if -status in (4, 6, 7, 8, 11) or status in range(132, 140) else 'end'
    return min(answers, key=ORDER.index), last, end, stats.of_name(server) if mode.woven else None


def fetch_client(site, mode):
    origin = recipes.nginx(site)
    client = site.run([os.path.join(site.build, 'fetch'), '12', '2', '127.0.0.1', str(origin.port), '/page.txt',
                       site.path('www/page.txt')], mode, seconds=20)
    return client, 'wrong 0' in client.out()


def siege_client(site, mode):
    origin = recipes.nginx(site)
    config = site.write('siegerc', 'verbose = false\ncolor = off\nquiet = true\nparser = false\nlogging = false\n'
                        'protocol = HTTP/1.1\nconnection = keep-alive\ntimeout = 5\n')
    client = site.run(['siege', '-R', config, '-b', '-c', '12', '-r', '2', f'http://127.0.0.1:{origin.port}/page.txt'],
                      mode, seconds=25)
    return client, client.status == 0


def run_client(run, mode, site):
    try:
        client, right = run(site, mode)
    except Trouble:
        return 'hang', 'right', 'hang', None
    end = 'crash' if -client.status in (4, 6, 7, 8, 11) or client.status in range(132, 140) else 'end'
    return 'right' if right else 'error', 'right', end, stats.of_name(client) if mode.woven else None


CLIENT_PROGRAMS = {'fetch': fetch_client, 'siege': siege_client}


def one_run(injector, name, fault, woven):
    inner = Woven(injector.build, 'preload', WORKERS=injector.workers) if woven else Native()
    with Site() as site:
        site.build = injector.build
        mode = Injected(inner, injector.tool, fault)
        if name in CLIENT_PROGRAMS:
            return run_client(CLIENT_PROGRAMS[name], mode, site)
        try:
            return serve(SERVERS[name], mode, site)
        except Trouble as trouble:
            # It did not come up, or ended before it had been asked.
            return 'error', 'error', 'hang' if 'still waiting' in str(trouble) else 'end', None


def wrong_with(worst, last, end, native):
    """`native`: the results of all native runs of this kind of fault."""
    if worst == 'wrong' or last == 'wrong':
        return 'wrong bytes'
    if 'hang' in (worst, last) and not any('hang' in result[:2] for result in native):
        return 'a client waits for ever'
    if end != 'end' and not any(result[2] == end for result in native):
        return f'the program ends by a {end}'
    if end == 'crash':
        return None  # and answers nobody any more
    if last == 'error' and all(result[1] == 'right' for result in native):
        return 'no more right answers when the fault is over'
    if worst == 'error' and all(result[0] == 'right' for result in native):
        return 'an error where native programs give right answers'
    return None


def compare(test, name, run, plan, after):
    """`run(fault, woven)` gives worst, last, end and counters; `plan` is of FAULTS' form."""
    worst, last, end, block = run(None, True)
    test.expect((worst, last, end) == ('right', 'right', 'end'), f'{name}: {worst}, {last}, {end} without any fault')
    test.expect(block and block['coroutines_created'] > 0 and block['threads_native'] == 0, f'{name}: was not woven')
    runs = better = 0
    for calls, ways, places in plan:
        for way in ways:
            faults = [Fault(calls, 0 if isinstance(way, int) else getattr(errno, way),
                            way if isinstance(way, int) else 0, first, every, after=after, streams=calls in TRANSFERS)
                      for first, every in places]
            native = [run(fault, False)[:3] for fault in faults]
            for fault in faults:
                result = run(fault, True)[:3]
                # Not native at this place, but perhaps at another.
                for first in range(1, LOOKS):
                    if wrong_with(*result, native):
                        native.append(run(replace(fault, first=first), False)[:3])
                # Some crash by themselves, once in a while.
                for _ in range(LOOKS_AT_CRASHES):
                    if result[2] == 'crash' and wrong_with(*result, native):
                        native.append(run(None, False)[:3])
                wrong = wrong_with(*result, native)
                test.expect(not wrong, f'{name}, {fault}: {wrong}: {result}, natively {native}')
                better += result[0] == 'right' and any(other[0] != 'right' for other in native)
                runs += 1
    test.note(f'{name}: {runs} woven runs with faults; {better} gave right answers where native ones did not')


def check(test, injector, name, full):
    client = name in CLIENT_PROGRAMS
    # The loader's own files, and nothing accepts.
    plan = [fault for fault in FAULTS if not (client and fault[0] in ('openat', 'mmap,mprotect', ACCEPTS))]
    if not full:
        plan = [(calls, ways[:2], places[:1]) for calls, ways, places in plan]
    # What is spoilt begins when the server listens; a client's own start-up has no such mark.
    compare(test, name, lambda fault, woven: one_run(injector, name, fault, woven), plan, '' if client else 'listen')
