# SPDX-License-Identifier: Apache-2.0
"""Thread-per-connection proxies from Debian's packages: tinyproxy and stunnel."""

import ssl
import socket
import urllib.error
import urllib.request

from case import CONNECTIONS, LOAD_SECONDS, per_connection
from rig.cases import case
from rig import recipes
from rig.process import seeded_text


def proxied(proxy_port, url):
    """Status and body of a GET through an HTTP proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({'http': f'http://127.0.0.1:{proxy_port}'}))
    try:
        with opener.open(url, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b''


@case('tinyproxy')
def tinyproxy(test):
    def start(site, mode):
        site.origin = recipes.nginx(site)
        return recipes.tinyproxy(site, mode)

    def drive(site, server, full):
        origin = f'127.0.0.1:{site.origin.port}'
        page = site.path('www/page.txt')
        test.expect_same(proxied(server.port, f'http://{origin}/large.bin'), (200, seeded_text(3_000_000)), '3 MB GET')
        test.expect_same(proxied(server.port, f'http://{origin}/none')[0], 404, 'a page that is not there')
        inside = recipes.request_file(site, '/page.txt', origin)
        outside = recipes.request_file(site, f'http://{origin}/page.txt', origin)
        count = CONNECTIONS if full else 50
        seconds = LOAD_SECONDS if full else 0.3
        kept = test.load.run('http', server.port, seconds, connections=count, tunnel=origin, request=inside, body=page)
        test.expect_load(kept, f'{count} tunnels', count)
        each = test.load.run('http', server.port, seconds, connections=64, request=outside, body=page, close=True)
        test.expect_load(each, 'a connection for each request')

    def hold(site, server, count):
        origin = f'127.0.0.1:{site.origin.port}'
        inside = recipes.request_file(site, '/page.txt', origin)
        return test.load.hold('http', server.port, connections=count, tunnel=origin, request=inside,
                              body=site.path('www/page.txt'))

    per_connection(test, start, drive, hold)


@case('stunnel')
def stunnel(test):
    def start(site, mode):
        site.echo = recipes.announced(site, [test.tool('echo_epoll')])
        return recipes.stunnel(site, mode, site.echo.port)

    def verified_megabyte(site, server):
        """A megabyte there and back over one connection whose certificate is checked."""
        text = seeded_text(1_000_000)
        context = ssl.create_default_context(cafile=recipes.certificate(site)[1])
        back = b''
        with socket.create_connection(('127.0.0.1', server.port), 20) as plain:
            with context.wrap_socket(plain, server_hostname='localhost') as stream:
                for start_at in range(0, len(text), 50_000):
                    piece = text[start_at:start_at + 50_000]
                    stream.sendall(piece)
                    while len(back) < start_at + len(piece):
                        got = stream.recv(65536)
                        if not got:
                            return back
                        back += got
        return back

    def drive(site, server, full):
        test.expect(verified_megabyte(site, server) == seeded_text(1_000_000), '1 MB through TLS differs')
        count = CONNECTIONS if full else 50
        seconds = LOAD_SECONDS if full else 0.3
        kept = test.load.run('echo', server.port, seconds, connections=count, size=1024, tls=True)
        test.expect_load(kept, f'{count} TLS connections', count)
        each = test.load.run('echo', server.port, seconds, connections=16, tls=True, close=True)
        test.expect_load(each, 'a handshake for each exchange')

    def hold(site, server, count):
        return test.load.hold('echo', server.port, connections=count, tls=True)

    # Its housekeeping thread gives itself a scheduling policy of its own, which only a kernel thread has.
    per_connection(test, start, drive, hold, pinned=1)
