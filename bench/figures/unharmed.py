# SPDX-License-Identifier: Apache-2.0
"""Throughput of programs that are not thread-per-connection: woven to native, and native to native for the noise."""

import os
import re
import time

from rig import recipes
from rig.load import Load
from rig.mode import Native, Woven
from rig.process import Site, Trouble, seeded_text
from rig.report import median

CONNECTIONS = 50
SECONDS = 1.5
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')


def loaded(build, protocol, port, request, body):
    figures = Load(build).run(protocol, port, SECONDS, connections=CONNECTIONS, request=request, body=body, warm=0.3,
                              reset=True)
    if figures['errors'] or not figures['measured']:
        raise Trouble(figures['complaints'] or 'nothing was answered')
    return figures['rps']


def nginx(site, build, mode):
    server = recipes.nginx(site, mode)
    rate = loaded(build, 'http', server.port, recipes.request_file(site, '/page.txt', 'x'), site.path('www/page.txt'))
    server.stop()
    return rate


def node(site, build, mode):
    server = recipes.node_http(site, mode)
    rate = loaded(build, 'http', server.port, recipes.request_file(site, '/page.txt', 'x'), site.path('www/page.txt'))
    server.stop()
    return rate


def stored(site, build, server, store, request, answer):
    """Puts a value into a data server, then reads it again and again."""
    Load(build).run('fixed', server.port, 1, connections=1, requests=1, request=site.write('store', store[0]),
                    body=site.write('stored', store[1]))
    rate = loaded(build, 'fixed', server.port, site.write('get', request), site.write('got', answer))
    server.stop()
    return rate


def redis(site, build, mode):
    value = seeded_text(1000)
    return stored(site, build, recipes.redis(site, mode),
                  (b'*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$1000\r\n%s\r\n' % value, b'+OK\r\n'),
                  b'*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n', b'$1000\r\n%s\r\n' % value)


def memcached(site, build, mode):
    value = seeded_text(1000)
    return stored(site, build, recipes.memcached(site, mode), (b'set key 0 0 1000\r\n%s\r\n' % value, b'STORED\r\n'),
                  b'get key\r\n', b'VALUE key 0 1000\r\n%s\r\nEND\r\n' % value)


def postgres(site, build, mode):
    """The server is under test; the pgbench that loads it is native. The cluster is made once a site."""
    server = recipes.postgres(site, mode)
    tool = f'{recipes.postgres_directory()}/pgbench'
    at = ['-h', '127.0.0.1', '-p', str(server.port), '-U', 'postgres']
    if not getattr(site, 'filled', False):
        site.filled = site.run([tool, *at, '-i', '-q', '-s', '2', 'postgres'], cwd='/').status == 0
    run = site.run([tool, *at, '-n', '-S', '-c', '16', '-j', '2', '-T', '2', 'postgres'], cwd='/')
    server.stop()
    rate = re.search(r'^tps = ([0-9.]+)', run.out(), re.MULTILINE)
    if run.status != 0 or not rate:
        raise Trouble(f'pgbench: {run.err()[-300:]}')
    return float(rate.group(1))


def timed(site, argv, mode, **how):
    """Runs for each second."""
    before = time.monotonic()
    done = site.run(argv, mode, seconds=300, **how)
    if done.status != 0:
        raise Trouble(f'{argv[0]}: status {done.status}: {done.err()[-300:]}')
    return 1 / (time.monotonic() - before)


def python(site, build, mode):
    script = site.write('script.py', 'import json, os\n'
                        'rows = [{"n": i, "text": str(i) * 3} for i in range(60000)]\n'
                        'text = json.dumps(rows); assert json.loads(text) == rows\n'
                        'with open(os.devnull, "wb", 0) as out:\n  for _ in range(100000): out.write(b"weft")\n'
                        'r, w = os.pipe()\nfor _ in range(100000): os.write(w, b"x"); os.read(r, 1)\n'
                        'for _ in range(50):\n  pid = os.fork()\n  if not pid: os._exit(0)\n  os.waitpid(pid, 0)\n')
    return timed(site, [recipes.PYTHON, script], mode)


def bash(site, build, mode):
    # About half of it the shell's own work, half that of short processes, each of which loads the library.
    script = site.write('script.sh', 'for i in {1..200}; do x=$(/bin/echo $i); done; seq 50000 | while read -r n; do '
                        ': $((n * 2)); done\n')
    return timed(site, ['bash', script], mode)


def gcc(site, build, mode):
    """Builds the library itself; configured natively, so that only compiling and linking count."""
    tree = site.path('tree')
    if not os.path.isdir(tree):
        made = site.run(['cmake', '-S', os.path.abspath(SOURCE), '-B', tree, '-DCMAKE_BUILD_TYPE=RelWithDebInfo',
                         '-DWEFT_TESTS=OFF', '-DWEFT_BENCH=OFF'], seconds=120)
        if made.status != 0:
            raise Trouble(f'cmake: {made.err()[-300:]}')
    site.run(['make', '-s', '-C', tree, 'clean'])
    return timed(site, ['make', '-s', '-j2', '-C', tree, 'weft_library'], mode)


PROGRAMS = {'nginx': nginx, 'redis-server': redis, 'memcached': memcached, 'postgres with pgbench': postgres,
            'node': node, 'python': python, 'bash': bash, 'gcc building weft': gcc}


def pairs(build, name, rounds=9):
    """(woven/native, native/native): medians of the ratios of so many rounds, whose order turns."""
    woven_ratios, native_ratios = [], []
    with Site(counters=False) as site:
        for turn in range(rounds):
            rates = {}
            order = [('native', Native()), ('woven', Woven(build)), ('again', Native())]
            for key, mode in order[turn % 3:] + order[:turn % 3]:
                rates[key] = PROGRAMS[name](site, build, mode)
            woven_ratios.append(rates['woven'] / rates['native'])
            native_ratios.append(rates['again'] / rates['native'])
    return median(woven_ratios), median(native_ratios)
