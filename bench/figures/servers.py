# SPDX-License-Identifier: Apache-2.0
"""Real thread-per-connection servers, natively and woven in turn: requests/s and the lateness of the slowest, with connections that
stay and with one for each request. Server and load share all CPUs, and weft has as many workers as it takes by default."""

import os

from rig import recipes
from rig.load import Load
from rig.mode import Native, Woven
from rig.process import Site, Trouble
from rig.report import median

MESSAGE = 512
LINE = b'x' * 64


def tool(build, name):
    path = os.path.abspath(os.path.join(build, name))
    if not os.path.exists(path):
        raise Trouble(f'{name} is not built: tests/install-packages test, then configure and build again')
    return path


def page(site, target='/page.txt', host='localhost'):
    """What the load is told, for a server of web_root's pages."""
    return 'http', {'request': recipes.request_file(site, target, host), 'body': site.path('www/page.txt')}


def microhttpd(site, build, mode):
    recipes.web_root(site)
    words = [tool(build, 'microhttpd_server'), site.path('www/page.txt'), site.path('www/large.bin'), 'poll']
    return recipes.announced(site, words, mode), *page(site)


def python_echo(site, build, mode):
    return recipes.python_echo(site, mode), 'echo', {'size': MESSAGE}


def python_pages(site, build, mode):
    return recipes.python_pages(site, mode), *page(site)


def stunnel(site, build, mode):
    behind = recipes.announced(site, [tool(build, 'echo_epoll')])
    return recipes.stunnel(site, mode, behind.port), 'echo', {'size': MESSAGE, 'tls': True}


def tinyproxy(site, build, mode):
    origin = recipes.nginx(site)
    return recipes.tinyproxy(site, mode), *page(site, f'http://127.0.0.1:{origin.port}/page.txt', f'127.0.0.1:{origin.port}')


def tinyproxy_tunnels(site, build, mode):
    host = f'127.0.0.1:{recipes.nginx(site).port}'
    protocol, words = page(site, host=host)
    return recipes.tinyproxy(site, mode), protocol, {**words, 'tunnel': host}


def rust(site, build, mode):
    words = {'request': site.write('line', b'echo ' + LINE + b'\n'), 'body': site.write('answer', LINE + b'\n')}
    return recipes.announced(site, [tool(build, 'rust_server')], mode), 'fixed', words


# By name: how it is started, for connections that stay and for one a request.
SERVERS = {
    'libmicrohttpd': (microhttpd, microhttpd),
    'ThreadingTCPServer': (python_echo, python_echo),
    'ThreadingHTTPServer': (python_pages, python_pages),
    'stunnel4': (stunnel, stunnel),
    'tinyproxy': (tinyproxy_tunnels, tinyproxy),  # it closes whatever is not a tunnel
    'Rust std': (rust, rust),
}


def once(build, name, mode, connections, keep, seconds):
    """The figures of one run."""
    with Site() as site:
        # To a reset Python's servers say a page of complaints for each.
        server, protocol, words = SERVERS[name][0 if keep else 1](site, build, mode)
        figures = Load(build).run(protocol, server.port, seconds, connections=connections, warm=1, opening=64, reset=keep,
                                  close=not keep, many_sources=not keep, server_pid=server.pid, timeout=60, **words)
        if figures['errors']:
            raise Trouble(f'{name}, {mode.name}, {connections} connections: {figures["complaints"] or figures}')
        return figures


def medians(build, name, connections, keep, runs, seconds):
    """By mode, the medians of so many runs, which take turns."""
    taken = {'native': [], 'woven': []}
    for _ in range(runs):
        for mode in (Native(), Woven(build)):
            taken[mode.name].append(once(build, name, mode, connections, keep, seconds))
    return {kind: {key: median([figures[key] for figures in runs_of]) for key in ('rps', 'p50_us', 'p99_us', 'cpu_us')}
            for kind, runs_of in taken.items()}
