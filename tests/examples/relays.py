# SPDX-License-Identifier: Apache-2.0
"""The proxy, with half-closed connections and peers that reset; the TLS server, against OpenSSL's and Python's clients."""

import contextlib
import os
import socket
import ssl
import subprocess
import threading

from rig.cases import case
from rig import recipes
from rig.load import Load
from rig.process import Sampler, Site, until

CONNECTIONS = 500
TLS_CONNECTIONS = 200


def receive_all(stream):
    got = b''
    while piece := stream.recv(65536):
        got += piece
    return got


class HalfCloser(threading.Thread):
    """A server that reads a connection to its end, and only then answers: how many bytes there were, and the last of them."""

    def __init__(self, connections):
        super().__init__(daemon=True)
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=1000)
        self.port = self.listener.getsockname()[1]
        self.connections = connections
        self.start()

    def run(self):
        for _ in range(self.connections):
            stream, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(stream,), daemon=True).start()

    @staticmethod
    def serve(stream):
        with stream, contextlib.suppress(OSError):
            got = receive_all(stream)
            stream.sendall(f'{len(got)} '.encode() + got[-10:] + b'!' * 100_000)


@case('tcp_proxy')
def tcp_proxy(test):
    with Site() as site:
        behind = HalfCloser(21)
        proxy = test.serve(site, 'tcp_proxy', behind.port)
        streams = [socket.create_connection(('127.0.0.1', proxy.port), 30) for _ in range(20)]
        for number, stream in enumerate(streams):
            stream.sendall(b'a' * 10_000 * number + b'%010d' % number)
            stream.shutdown(socket.SHUT_WR)
        for number, stream in enumerate(streams):
            wanted = f'{10_000 * number + 10} '.encode() + b'%010d' % number + b'!' * 100_000
            test.expect(receive_all(stream) == wanted, f'connection {number}: not what was sent behind its end')
            stream.close()
        # An error of one direction ends the other, which still waits to read.
        stream = socket.create_connection(('127.0.0.1', proxy.port), 30)
        stream.sendall(b'begun')
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        stream.close()
        until(lambda: descriptors(proxy.pid) <= DESCRIPTORS_AT_REST, 30, 'the end of a connection that was reset')
        test.woven_now(proxy, 3 * 21)
    with Site() as site:
        echo = recipes.announced(site, [os.path.join(test.build, 'echo_epoll')])
        proxy = test.serve(site, 'tcp_proxy', echo.port)
        sampler = Sampler(proxy.pid)
        figures = Load(test.build).run('echo', proxy.port, 1, connections=CONNECTIONS, size=5000, opening=64)
        test.expect_same((figures['errors'], figures['open']), (0, CONNECTIONS), 'errors, open connections')
        test.few_threads(proxy, sampler)
        test.woven_now(proxy, 3 * CONNECTIONS)
    with Site() as site:
        nobody = socket.socket()
        nobody.bind(('127.0.0.1', 0))
        proxy = test.serve(site, 'tcp_proxy', nobody.getsockname()[1])
        with socket.create_connection(('127.0.0.1', proxy.port), 30) as stream:
            test.expect_same(stream.recv(10), b'', 'with nobody behind it')
        nobody.close()


DESCRIPTORS_AT_REST = 16


def descriptors(pid):
    return len(os.listdir(f'/proc/{pid}/fd'))


@case('tls_server')
def tls_server(test):
    with Site() as site:
        key, certificate = recipes.certificate(site)
        server = test.serve(site, 'tls_server', certificate, key)
        sampler = Sampler(server.pid)
        context = ssl.create_default_context(cafile=certificate)
        with contextlib.ExitStack() as stack:
            # One who never begins his handshake holds up nobody.
            stack.enter_context(socket.create_connection(('127.0.0.1', server.port), 30))
            streams = [stack.enter_context(context.wrap_socket(socket.create_connection(('127.0.0.1', server.port), 30),
                                                               server_hostname='localhost')) for _ in range(TLS_CONNECTIONS)]
            for number, stream in enumerate(streams):
                stream.sendall(f'connection {number}\n'.encode())
            for number, stream in enumerate(streams):
                test.expect_same(stream.recv(100), f'CONNECTION {number}\n'.encode(), f'answer {number}')
            large = b'abc' * 50_000
            streams[0].sendall(large)
            got = b''
            while len(got) < len(large):
                got += streams[0].recv(65536)
            test.expect(got == large.upper(), 'a large answer is not right')
            streams[0].unwrap()  # fails unless the other side says its farewell too
        test.few_threads(server, sampler)
        with socket.create_connection(('127.0.0.1', server.port), 30) as plain:
            plain.sendall(b'GET / HTTP/1.1\r\n\r\n')
            with contextlib.suppress(ConnectionResetError):
                receive_all(plain)  # it ends
        words = ['openssl', 's_client', '-quiet', '-CAfile', certificate, '-verify_return_error', '-connect', f'127.0.0.1:{server.port}']
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
            client.stdin.write(b'from openssl\n')
            client.stdin.flush()
            test.expect_same(client.stdout.readline(), b'FROM OPENSSL\n', 'to s_client')
            client.kill()
        test.woven_now(server, TLS_CONNECTIONS)
