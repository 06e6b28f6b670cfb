# SPDX-License-Identifier: Apache-2.0
"""HTTP: the first program, the server of files against clients of every kind, and the connector against both it and nginx."""

import contextlib
import http.client
import resource
import signal
import socket

from rig.cases import case
from rig import recipes
from rig.load import Load, parse
from rig.mode import Linked
from rig.process import ESTABLISHED_STATE, Sampler, Site, until

CONNECTIONS = 1000
MANY = 19_000
OPENING_SECONDS = 200  # at most, on a machine that has much else to do


def send_all(port, request):
    """What a server answers to some bytes until it closes."""
    with socket.create_connection(('127.0.0.1', port), 30) as stream:
        stream.sendall(request)
        answer = b''
        # Bytes that it did not want to read make its end a reset.
        with contextlib.suppress(ConnectionResetError):
            while piece := stream.recv(65536):
                answer += piece
        return answer


@case('hello')
def hello(test):
    with Site() as site:
        server = test.serve(site, 'hello_server')
        request = site.write('request', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
        body = site.write('body', 'hello\n')
        sampler = Sampler(server.pid)
        figures = Load(test.build).run('http', server.port, 1, connections=CONNECTIONS, request=request, body=body, opening=64)
        test.expect_same((figures['errors'], figures['open']), (0, CONNECTIONS), 'errors, open connections')
        test.expect(figures['least'] >= 1, 'a connection was never answered')
        # The kernel may need some more for sockets whose peers go at once.
        test.few_threads(server, sampler)
        test.woven_now(server, CONNECTIONS)


@case('http_server')
def http_server(test):
    with Site() as site:
        root = recipes.web_root(site)
        site.write('www/index.html', 'the first page\n')
        site.write('secret', 'not for you')
        server = test.serve(site, 'http_server', root)
        page = open(site.path('www/page.txt'), 'rb').read()
        large = open(site.path('www/large.bin'), 'rb').read()

        client = http.client.HTTPConnection('127.0.0.1', server.port, timeout=30)
        for path, status, body in (('/page.txt', 200, page), ('/large.bin', 200, large), ('/', 200, b'the first page\n'),
                                   ('/none', 404, b''), ('/../secret', 404, b''), ('/page.txt', 200, page)):
            client.request('GET', path)
            answer = client.getresponse()
            test.expect_same((answer.status, answer.read()), (status, body), f'GET {path}')
        client.request('HEAD', '/page.txt')
        answer = client.getresponse()
        test.expect_same((answer.status, answer.getheader('Content-Length'), answer.read()), (200, str(len(page)), b''), 'HEAD')
        kept = client.sock
        test.expect(kept is not None, 'the connection was not kept')
        client.request('POST', '/page.txt', body=b'')
        answer = client.getresponse()
        test.expect_same((answer.status, answer.read()), (405, b''), 'POST')
        client.close()

        pipelined = b'GET / HTTP/1.1\r\n\r\n' * 3 + b'GET /none HTTP/1.1\r\nConnection: close\r\n\r\n'
        ok = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nthe first page\n'
        test.expect_same(send_all(server.port, pipelined), ok * 3 + b'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
                  'pipelined requests')
        for request, status in ((b'nonsense\r\n\r\n', b'400'), (b'GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n', b'501'),
                                (b'GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n', b'413'), (b'GET /\0 HTTP/1.1\r\n\r\n', b'400')):
            test.expect_same(send_all(server.port, request)[9:12], status, f'status of {request}')
        test.expect_same(send_all(server.port, b'GET / HTTP/1.1\r\nX: ' + b'x' * 4096)[:4], b'', 'answer to a head without end')

        load = Load(test.build)
        words = {'request': recipes.request_file(site, '/page.txt', 'localhost'), 'body': site.path('www/page.txt'), 'opening': 64}
        sampler = Sampler(server.pid)
        figures = load.run('http', server.port, 1, connections=CONNECTIONS, **words)
        test.expect_same((figures['errors'], figures['open']), (0, CONNECTIONS), 'errors, open connections')
        test.few_threads(server, sampler)
        # An end in good order, with connections that wait for nothing and one in the middle of its request.
        held = load.hold('http', server.port, connections=20, **words)
        half = socket.create_connection(('127.0.0.1', server.port), 30)
        half.sendall(b'GET / HT')
        test.expect_same(server.stop(signal.SIGTERM), 0, 'exit status after SIGTERM')
        with contextlib.suppress(ConnectionResetError):
            test.expect_same(half.recv(100), b'', 'what half a request got')
        half.close()
        held.release()
        test.woven(server, CONNECTIONS)


def sources(port):
    """The addresses from which a port's connections come."""
    local = f':{port:04X}'
    with open('/proc/net/tcp', encoding='ascii') as table:
        fields = [line.split() for line in table]
    return {line[2].split(':')[0] for line in fields if line[1].endswith(local) and line[3] == ESTABLISHED_STATE}


@case('connector')
def connector(test):
    """19,000 connections, or as many as this user may have descriptors, held and asked again; then driven; then an answer that is wrong."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = min(MANY, most - 500)
    with Site() as site:
        site.write('index.html', 'the first page\n')
        server = test.serve(site, 'http_server', site.directory)
        read, write = socket.socketpair()
        held = site.start([test.program('connector'), str(server.port), '--connections', str(connections), '--hold'], Linked(WORKERS=2),
                          stdin=read)
        held.sampler = Sampler(held.pid)
        until(lambda: held.out().endswith('\n') or not held.alive(), OPENING_SECONDS, 'so many connections')
        test.note(held.out().strip())
        test.expect_same(held.says('open').split()[0], str(connections), 'connections open')
        test.expect_same(len(sources(server.port)), 4, 'source addresses')
        test.few_threads(held, held.sampler)
        write.close()
        test.expect_same(held.wait(120), 0, f'exit status: {held.err()[-300:]}')
        figures = parse(held.out().splitlines()[-1])
        test.expect_same((figures['answers'], figures['errors']), (connections, 0), 'answers, errors of those held')
        test.woven(held, connections)
        read.close()

        driven = test.run(site, 'connector', server.port, '--connections', CONNECTIONS, '--seconds', 1)
        figures = parse(driven.out().splitlines()[-1])
        test.note(driven.out().splitlines()[-1])
        test.expect(figures['answers'] >= CONNECTIONS and figures['errors'] == 0, f'driven: {driven.out()}')
        test.woven(driven, CONNECTIONS)
        test.expect_same(server.stop(), 0, 'exit status of the server')
        test.woven(server, connections + CONNECTIONS)

        wrong = test.run(site, 'connector', server.port, '--connections', 3, status=1)
        test.expect('a connection failed' in wrong.err(), f'without a server it said {wrong.err()!r}')
    with Site() as site:
        origin = recipes.nginx(site)
        driven = test.run(site, 'connector', origin.port, '--connections', CONNECTIONS, '--target', '/page.txt', '--seconds', 1)
        figures = parse(driven.out().splitlines()[-1])
        test.expect(figures['answers'] >= CONNECTIONS and figures['errors'] == 0, f'nginx driven: {driven.out()}')
        test.run(site, 'connector', origin.port, '--connections', 3, '--target', '/none', status=1)
