# SPDX-License-Identifier: Apache-2.0
"""The examples measured: look-ups three ways, scripts behind coroutines and behind threads, very many connections, queries of blocking clients."""

import os
import re
import sys

from rig import pinned, recipes
from rig.load import parse
from rig.mode import Linked, Native
from rig.process import Sampler, Site, Trouble, until
from rig.report import median

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, '..', '..')
EXAMPLES = os.path.join(ROOT, 'tools', 'examples')
DNS_SERVER = os.path.join(ROOT, 'tests', 'examples', 'dns_server.py')
WAYS = ('synchronous', 'asynchronous', 'coroutines')
DELAY_MS = 20
LONG = 300  # seconds


def example(build, name):
    path = os.path.join(build, 'examples', name)
    if not os.path.exists(path):
        raise Trouble(f'{name} is not built: tests/install-packages build test, then configure and build again')
    return path


def lines_of_code(path):
    """Without comments and blank lines."""
    with open(path, encoding='utf-8') as file:
        text = re.sub(r'/\*.*?\*/', '', file.read(), flags=re.DOTALL)
    return sum(1 for line in text.splitlines() if line.strip())


def finished(process, seconds=LONG):
    status = process.wait(seconds)
    if status != 0:
        raise Trouble(f'{process.name}: status {status}: {process.err()[-300:]}')
    return process


def look_ups(build):
    """By way: (lines of code, seconds of 1,000 look-ups); all must have the same answers."""
    found, answers = {}, set()
    for way in WAYS:
        with Site(counters=False) as site:
            server = site.start([sys.executable, '-B', DNS_SERVER, str(DELAY_MS)])
            process = finished(site.start([example(build, f'dns_{way}'), server.says('port')], Linked() if way == 'coroutines' else Native()))
            answers.add(process.out())
            found[way] = (lines_of_code(os.path.join(EXAMPLES, 'dns', f'{way}.c')),
                          float(re.search(r'in ([\d.]+) s', process.err()).group(1)))
    if len(answers) != 1:
        raise Trouble('the three programs had different answers')
    return found


def scripts_once(build, threads, connections, seconds):
    """Server and load have a CPU each: among thousands of threads the load would get few turns."""
    with Site(counters=False) as site:
        words = [example(build, 'lua_server'), os.path.join(EXAMPLES, 'lua', 'conversation.lua')] + (['--threads'] if threads else [])
        server = recipes.announced(site, words, Linked(), prefix=pinned.on(pinned.SERVER_CPU, True))
        sampler = Sampler(server.pid)
        load = finished(site.start([os.path.join(build, 'conversations'), str(server.port), str(connections), str(seconds)], Linked(),
                                   prefix=pinned.on(pinned.LOAD_CPU, True)))
        sampler.stop()
        return {**parse(load.out()), 'threads': sampler.threads, 'mib': sampler.memory_kb / 1024}


def scripts(build, connections, runs, seconds):
    """By 'coroutines' and 'threads': medians of requests/s, kernel threads, MiB."""
    taken = {'coroutines': [], 'threads': []}
    for _ in range(runs):
        for kind, rows in taken.items():
            figures = scripts_once(build, kind == 'threads', connections, seconds)
            rows.append((figures['rps'], figures['threads'], figures['mib']))
    return {kind: tuple(median(column) for column in zip(*rows)) for kind, rows in taken.items()}


def connections(build, count, seconds):
    """The server of files under the connector: figures of the connector, seconds to open all, memory and threads of both."""
    with Site(counters=False) as site:
        site.write('index.html', 'the first page\n')
        server = recipes.announced(site, [example(build, 'http_server'), site.directory], Linked())
        samplers = [Sampler(server.pid)]
        driver = site.start([example(build, 'connector'), str(server.port), '--connections', str(count), '--seconds', str(seconds)], Linked())
        samplers.append(Sampler(driver.pid))
        until(lambda: driver.out().endswith('\n') or not driver.alive(), LONG, 'so many connections')
        finished(driver)
        for sampler in samplers:
            sampler.stop()
        opened, figures = driver.out().splitlines()
        return {**parse(figures), 'opening': float(opened.split()[3]), 'mib': [sampler.memory_kb / 1024 for sampler in samplers],
                'threads': [sampler.threads for sampler in samplers]}


def queries(build, each, seconds):
    """Blocking clients on two carriers: (queries, the most in flight at once, seconds in all, kernel threads)."""
    with Site(counters=False) as site:
        servers = {'mariadb': recipes.mariadb(site), 'postgres': recipes.postgres(site), 'redis': recipes.redis(site),
                   'http': recipes.nginx(site, slow_seconds=seconds)}
        process = site.start([example(build, 'blocking_clients'), str(each), str(seconds)]
                             + [f'{name}={server.port}' for name, server in servers.items()], Linked(WORKERS=2))
        sampler = Sampler(process.pid)
        finished(process)
        sampler.stop()
        most = re.search(r'(\d+) queries .* at most (\d+) in flight', process.out())
        return int(most.group(1)), int(most.group(2)), float(process.err().split()[0]), sampler.threads
