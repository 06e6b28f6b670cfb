# SPDX-License-Identifier: Apache-2.0
"""Thread-per-connection servers: iperf, CPython's two, and a C++ one of our own; and the test of the counters' check."""

import concurrent.futures
import csv
import io
import socket
import subprocess
import urllib.error
import urllib.request

from case import CONNECTIONS, LOAD_SECONDS, ordinary, per_connection
from rig.cases import case
from rig import recipes, stats
from rig.process import Site, Trouble, all_read, free_port, seeded_text

IPERF_STREAMS = 300  # the server fails natively with many more
IPERF_TURNS = 20  # times that every stream sends a block while all are open
MICROHTTPD_CONNECTIONS = 500  # it waits in select, and knows no more than 1,000 descriptors
IPERF_UNCOUNTED = 4  # bytes that the server reads as the format of what follows


@case('iperf')
def iperf(test):
    def start(site, mode):
        port = free_port()
        server = site.start(['iperf', '-s', '-B', '127.0.0.1', '-p', str(port), '-y', 'C'], mode)
        return recipes.listed(server, port)

    def rows(text):
        """Bytes of each stream, by its two ports, from lines of iperf's CSV; the sum of several streams has no port."""
        found = {}
        for row in csv.reader(io.StringIO(text)):
            if len(row) >= 8 and row[1] and int(row[7]) > 0 and row[2] and int(row[2]) > 0:
                found[frozenset((int(row[2]), int(row[4])))] = int(row[7])
        return found

    def reported(server, keys):
        server.ready(lambda: keys <= rows(server.out()).keys(), 'the report of every stream')
        return rows(server.out())

    def own_streams(server, count):
        """Streams opened here: iperf's own client opens all at once, which overflows the server's short backlog, so that so
        many are never open together. A stream that begins with zeros is of iperf's oldest, plainest format."""
        sent = {}
        streams = []
        for _ in range(count):
            stream = socket.create_connection(('127.0.0.1', server.port), 30)
            stream.sendall(bytes(32768))
            streams.append(stream)
        for turn in range(IPERF_TURNS):
            for stream in streams:
                stream.sendall(bytes(32768 + turn))
        total = 32768 + sum(32768 + turn for turn in range(IPERF_TURNS)) - IPERF_UNCOUNTED
        server.ready(lambda: all_read(server.port, count), 'reading all streams')
        server.sampler.look()
        # One after the other, each once the one before is reported: natively the server corrupts its heap now and then
        # when several streams end together.
        for stream in streams:
            key = frozenset((stream.getsockname()[1], server.port))
            sent[key] = total
            with stream:
                stream.shutdown(socket.SHUT_WR)
                while stream.recv(4096):
                    pass
            reported(server, {key})
        return sent

    def client(server, streams, *more):
        return subprocess.run(['iperf', '-c', '127.0.0.1', '-p', str(server.port), '-P', str(streams), '-l', '32K', '-y',
                               'C', '-t', '1', *more], capture_output=True, text=True, timeout=60, check=False)

    def drive(_, server, full):
        sent = own_streams(server, IPERF_STREAMS if full else 20)
        done = client(server, 2)
        test.expect(done.returncode == 0 and not done.stderr, f'client: {done.returncode} {done.stderr[:300]}')
        sent.update(rows(done.stdout))
        received = reported(server, sent.keys())
        differing = [key for key in sent if sent[key] != received.get(key)]
        test.expect(not differing, f'{len(differing)} of {len(sent)} streams differ in their bytes')
        back = client(server, 2, '-R')
        test.expect_same((back.returncode, len(rows(back.stdout))), (0, 2), 'streams the other way')

    per_connection(test, start, drive, None, streams=IPERF_STREAMS)


@case('python_http')
def python_http(test):
    def drive(site, server, full):
        url = f'http://127.0.0.1:{server.port}'
        with urllib.request.urlopen(f'{url}/large.bin', timeout=20) as answer:
            test.expect(answer.read() == seeded_text(3_000_000), '3 MB GET differs')
        try:
            urllib.request.urlopen(f'{url}/none', timeout=20)
            test.expect(False, 'a page that is not there was found')
        except urllib.error.HTTPError as error:
            test.expect_same(error.code, 404, 'a page that is not there')
        count = CONNECTIONS if full else 50
        # Its listen backlog is 5.
        kept = test.load.run('http', server.port, LOAD_SECONDS if full else 0.3, connections=count, opening=4,
                             request=recipes.request_file(site, '/page.txt', 'localhost'),
                             body=site.path('www/page.txt'))
        test.expect_load(kept, f'{count} connections', count)

    def hold(site, server, count):
        return test.load.hold('http', server.port, connections=count, opening=4, body=site.path('www/page.txt'),
                              request=recipes.request_file(site, '/page.txt', 'localhost'))

    per_connection(test, recipes.python_http, drive, hold)


ECHO_SCRIPT = '''
import socketserver, threading
class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 1024
    daemon_threads = True
seen = 0
changed = threading.Condition()
own = threading.local()
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        global seen
        own.address = self.client_address
        while data := self.request.recv(65536):
            with changed:
                seen += 1
                changed.notify_all()
            if own.address != self.client_address:
                raise RuntimeError('a thread-local value of another connection')
            self.request.sendall(data)
def watch():
    with changed:
        changed.wait_for(lambda: seen >= 1000)
    print('a thousand', flush=True)
threading.Thread(target=watch, daemon=True).start()
with Server(('127.0.0.1', 0), Handler) as server:
    print('port', server.server_address[1], flush=True)
    server.serve_forever()
'''


@case('python_echo')
def python_echo(test):
    def start(site, mode):
        return recipes.announced(site, [recipes.PYTHON, '-u', site.write('echo.py', ECHO_SCRIPT)], mode)

    def drive(_, server, full):
        count = CONNECTIONS if full else 50
        kept = test.load.run('echo', server.port, LOAD_SECONDS if full else 0.5, connections=count, size=512)
        test.expect_load(kept, f'{count} connections', count)
        server.says('a thousand')
        test.expect('Traceback' not in server.err(), f'an exception: {server.err()[-300:]}')

    def hold(_, server, count):
        return test.load.hold('echo', server.port, connections=count)

    per_connection(test, start, drive, hold)


def start_iostream(test, site, mode):
    recipes.web_root(site)
    return recipes.announced(site, [test.tool('iostream_server'), site.path('www/page.txt')], mode)


def drive_iostream(test, site, server, full):
    count = CONNECTIONS if full else 50
    seconds = LOAD_SECONDS if full else 0.3
    page = test.load.run('http', server.port, seconds, connections=count, body=site.path('www/page.txt'),
                         request=recipes.request_file(site, '/page', 'localhost'))
    test.expect_load(page, f'{count} connections', count)
    upper = test.load.run('http', server.port, seconds, connections=64, close=True,
                          request=recipes.request_file(site, '/upper/warp-and-weft', 'localhost'),
                          body=site.write('upper', 'WARP-AND-WEFT'))
    test.expect_load(upper, 'a connection for each request')
    with urllib.request.urlopen(f'http://127.0.0.1:{server.port}/total', timeout=20) as answer:
        test.expect_same(int(answer.read()), page['exchanged'] + upper['exchanged'], 'requests the server counted')


@case('iostream')
def iostream(test):
    def hold(site, server, count):
        return test.load.hold('http', server.port, connections=count, body=site.path('www/page.txt'),
                              request=recipes.request_file(site, '/page', 'localhost'))

    per_connection(test, lambda site, mode: start_iostream(test, site, mode),
                   lambda site, server, full: drive_iostream(test, site, server, full), hold)


def slow_together(server, count):
    """So many requests that each wait in the server, at once; their bodies."""
    def one(_):
        with urllib.request.urlopen(f'http://127.0.0.1:{server.port}/later', timeout=30) as answer:
            return answer.read()

    with concurrent.futures.ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


@case('microhttpd')
def microhttpd(test):
    def start(site, mode):
        recipes.web_root(site)
        return recipes.announced(site, [test.tool('microhttpd_server'), site.path('www/page.txt'), site.path('www/large.bin')], mode)

    def drive(site, server, full):
        url = f'http://127.0.0.1:{server.port}'
        with urllib.request.urlopen(f'{url}/large.bin', timeout=20) as answer:
            test.expect(answer.read() == seeded_text(3_000_000), '3 MB GET differs')
        with urllib.request.urlopen(f'{url}/upper', seeded_text(200_000), timeout=20) as answer:
            test.expect(answer.read() == seeded_text(200_000).upper(), '200 KB POST differs')
        page = site.path('www/page.txt')
        request = recipes.request_file(site, '/page.txt', 'localhost')
        count = MICROHTTPD_CONNECTIONS if full else 50
        seconds = LOAD_SECONDS if full else 0.3
        kept = test.load.run('http', server.port, seconds, connections=count, request=request, body=page)
        test.expect_load(kept, f'{count} connections', count)
        each = test.load.run('http', server.port, seconds, connections=64, close=True, request=request, body=page)
        test.expect_load(each, 'a connection for each request')
        with open(page, 'rb') as file:
            test.expect(set(slow_together(server, 50)) == {file.read()}, 'a page given later differs')

    def hold(site, server, count):
        return test.load.hold('http', server.port, connections=count, body=site.path('www/page.txt'),
                              request=recipes.request_file(site, '/page.txt', 'localhost'))

    per_connection(test, start, drive, hold, streams=MICROHTTPD_CONNECTIONS)


@case('counters_of_a_disabled_run')
def counters_of_a_disabled_run(test):
    """The test of the tests: a run in which weft wove nothing is right in every answer, and must still fail."""
    if test.native_only:
        raise Trouble('this test is about a woven run')
    with Site() as site:
        server = start_iostream(test, site, test.woven(DISABLE=1))
        figures = test.load.run('http', server.port, 0.3, connections=50, body=site.path('www/page.txt'),
                                request=recipes.request_file(site, '/page', 'localhost'))
        test.expect_load(figures, 'woven in name only', 50)
        server.stop()
        found = stats.judge(stats.of(server), **ordinary(50))
        test.note(f'found: {found}')
        test.expect(found, 'the check of the counters passed a run in which nothing was woven')
