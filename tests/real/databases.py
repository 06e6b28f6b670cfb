# SPDX-License-Identifier: Apache-2.0
"""Data servers of event loops or processes, which weft must leave as they are: redis, memcached and postgres."""

import contextlib
import hashlib
import re
import signal
import socket
import subprocess

from rig.cases import case
from rig import recipes
from rig.process import Site, seeded_text, until


class Redis:
    """As much of its protocol as the checks need."""

    def __init__(self, port):
        self.socket = socket.create_connection(('127.0.0.1', port), 30)
        self.file = self.socket.makefile('rb')

    def send(self, *words):
        encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b'*%d\r\n' % len(encoded) + b''.join(b'$%d\r\n%s\r\n' % (len(w), w) for w in encoded))

    def answer(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b'$':
            return self.file.read(int(rest) + 2)[:-2] if int(rest) >= 0 else None
        if kind == b'*':
            return [self.answer() for _ in range(int(rest))]
        return int(rest) if kind == b':' else rest.decode()

    def __call__(self, *words):
        self.send(*words)
        return self.answer()

    def close(self):
        self.file.close()
        self.socket.close()


def redis_answers(server):
    """What a fixed conversation brings back."""
    seen = []
    with contextlib.closing(Redis(server.port)) as one, contextlib.closing(Redis(server.port)) as other:
        value = seeded_text(1_000_000)
        seen.append(one('set', 'large', value))
        seen.append(one('get', 'large') == value)
        for number in range(1, 501):
            one.send('incrby', 'sum', number)
        seen.append([one.answer() for _ in range(500)][-1])
        # A client that waits in the server, woken by another.
        other.send('blpop', 'queue', 20)
        until(lambda: b'blocked_clients:1\r' in one('info', 'clients'), 20, 'a blocked client')
        seen.append(one('rpush', 'queue', 'thread'))
        seen.append(other.answer())
        seen.append(one('eval', 'local s = 0 for i = 1, 1000 do s = s + i end return s', 0))
        seen.append(one('config', 'set', 'lazyfree-lazy-user-del', 'yes'))
        seen.append(one('del', 'large'))
        # A fork, and the background threads that sync and free.
        seen.append(one('bgsave'))
        info = recipes.redis_idle(server)
        seen.append('rdb_last_bgsave_status:ok' in info)
        seen.append(one('bgrewriteaof'))
        info = recipes.redis_idle(server)
        seen.append('aof_last_bgrewrite_status:ok' in info)
        seen.append(one('dbsize'))
    return seen


@case('redis')
def redis(test):
    native = {}
    for mode in test.modes():
        for number in (signal.SIGTERM, signal.SIGINT):
            with Site() as site:
                server = recipes.redis(site, mode)
                answers = redis_answers(server)
                test.expect_same(answers, native.setdefault('answers', answers), 'answers')
                if number == signal.SIGTERM:
                    run = subprocess.run(['redis-benchmark', '-h', '127.0.0.1', '-p', str(server.port), '-c', '500', '-n',
                                          '40000', '-t', 'set,get', '--csv'], capture_output=True, text=True, timeout=60,
                                         check=False)
                    test.expect(run.returncode == 0 and 'rror' not in run.stdout + run.stderr,
                                f'redis-benchmark: {run.returncode} {run.stderr[-200:]}')
                status = server.stop(number)
                test.expect_same(status, native.setdefault(number, status), f'exit status after {number.name}')
                test.expect_quiet_tree(server)


def memcached_answers(server):
    """Many connections, so that each of its threads has some; every value must come back."""
    seen = []
    files = []
    for index in range(64):
        stream = socket.create_connection(('127.0.0.1', server.port), 20)
        files.append((stream, stream.makefile('rb'), seeded_text(500 + index * 500)))
    for index, (stream, file, value) in enumerate(files):
        stream.sendall(b'set key%d 0 0 %d\r\n%s\r\n' % (index, len(value), value))
        seen.append(file.readline())
    for stream, file, value in files:
        for index in (0, 17, 63):
            stream.sendall(b'get key%d\r\n' % index)
            size = int(file.readline().split()[3])
            seen.append(file.read(size + 2)[:-2] == files[index][2] and file.readline() == b'END\r\n')
    files[0][0].sendall(b'set n 0 0 1\r\n0\r\n')
    seen.append(files[0][1].readline())
    for stream, file, _ in files:
        stream.sendall(b'incr n 5\r\n')
        seen.append(file.readline())
    for stream, file, _ in files:
        file.close()
        stream.close()
    return seen


@case('memcached')
def memcached(test):
    native = {}
    for mode in test.modes():
        for number in (signal.SIGTERM, signal.SIGINT):
            with Site() as site:
                server = recipes.memcached(site, mode)
                answers = memcached_answers(server)
                test.expect_same(answers, native.setdefault('answers', answers), 'answers')
                status = server.stop(number)
                test.expect_same(status, native.setdefault(number, status), f'exit status after {number.name}')
                # Its four workers wait in an event loop of their own, so each keeps a kernel thread.
                test.expect_counters(server, at_least={'coroutines_created': 4, 'pinned': 4})


@case('postgres')
def postgres(test):
    """The server woven: a process for each connection, latches, shared memory; loaded by a native pgbench."""
    native = {}
    numbers = ','.join(str(number) for number in range(1, 100001))
    for mode in test.modes():
        for number in (signal.SIGTERM, signal.SIGINT):
            with Site() as site:
                server = recipes.postgres(site, mode)
                tools = recipes.postgres_directory()
                at = ['-h', '127.0.0.1', '-p', str(server.port), '-U', 'postgres']
                asked = site.run(['psql', *at, '-AtXc', "select md5(string_agg(g::text, ',')) from "
                                  'generate_series(1, 100000) g', 'postgres'], cwd='/')
                test.expect_same(asked.out().strip(), hashlib.md5(numbers.encode()).hexdigest(), 'md5 of 100,000 numbers')
                if number == signal.SIGTERM:
                    made = site.run([f'{tools}/pgbench', *at, '-i', '-q', '-s', '2', 'postgres'], cwd='/')
                    test.expect_same(made.status, 0, f'pgbench -i: {made.err()[-300:]}')
                    run = site.run([f'{tools}/pgbench', *at, '-n', '-c', '32', '-j', '2', '-t', '60', 'postgres'], cwd='/')
                    done = re.search(r'actually processed: (\d+/\d+)', run.out())
                    test.expect_same((run.status, done and done.group(1)), (0, '1920/1920'), 'transactions')
                    sums = site.run(['psql', *at, '-AtXc', 'select (select sum(abalance) from pgbench_accounts) = (select '
                                     'sum(delta) from pgbench_history)', 'postgres'], cwd='/')
                    test.expect_same(sums.out().strip(), 't', 'balances')
                status = server.stop(number)
                test.expect_same(status, native.setdefault(number, status), f'exit status after {number.name}')
                test.expect_quiet_tree(server, coroutines_created=0, carriers_created=0)
