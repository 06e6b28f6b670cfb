# SPDX-License-Identifier: Apache-2.0
"""Clients with a thread for each connection, woven: our own, siege, pgbench -j, and users of the libraries that people use."""

import json
import re
import socket

from case import REGIONS, ordinary
from rig.cases import case
from rig import recipes
from rig.process import Sampler, Site

FETCH_THREADS = 500
FETCH_ROUNDS = 4
SIEGE_USERS = 400
SIEGE_ROUNDS = 10
PGBENCH_CLIENTS = 64
PGBENCH_TRANSACTIONS = 100
CROWD = 200  # threads of the programs that use a library
CROWD_ROUNDS = 4


def client_run(test, site, mode, argv, threads, regions, **how):
    """Runs a client to its end, its kernel threads watched; returns it."""
    process = site.start(argv, mode, **how)
    sampler = Sampler(process.pid)
    process.status = process.wait(120)
    sampler.stop()
    test.expect_same(process.status, 0, f'exit status of {process.name}: {(process.out() + process.err())[-300:]!r}')
    test.expect_threads(mode, sampler.threads, threads, extra=regions)
    return process


@case('fetch')
def fetch(test):
    """Resolving may take a kernel thread for each region, and no more; everything else none at all."""
    for mode in test.modes(MAX_REGIONS=REGIONS):
        with Site() as site:
            origin = recipes.nginx(site)
            argv = [test.tool('fetch'), str(FETCH_THREADS), str(FETCH_ROUNDS), 'localhost', str(origin.port),
                    '/page.txt', site.path('www/page.txt')]
            process = client_run(test, site, mode, argv, FETCH_THREADS, REGIONS)
            test.expect_same(process.out(), f'resolved\nfetched {FETCH_THREADS * FETCH_ROUNDS} wrong 0\n', 'output')
            wanted = ordinary(FETCH_THREADS)
            wanted['at_least']['regions_resolver'] = FETCH_THREADS
            test.expect_counters(process, **wanted)


@case('siege')
def siege(test):
    for mode in test.modes(MAX_REGIONS=REGIONS):
        with Site() as site:
            origin = recipes.nginx(site)
            config = site.write('siegerc', 'verbose = false\ncolor = off\nquiet = true\njson_output = true\nparser = false\n'
                                           f'limit = {SIEGE_USERS}\nlogging = false\nprotocol = HTTP/1.1\n'
                                           'connection = keep-alive\nchunked = true\ncache = false\n')
            argv = ['siege', '-R', config, '-b', '-c', str(SIEGE_USERS), '-r', str(SIEGE_ROUNDS),
                    f'http://localhost:{origin.port}/page.txt']
            process = client_run(test, site, mode, argv, SIEGE_USERS, REGIONS)
            text = process.out()
            result = json.loads(text[text.index('{'):])
            total = SIEGE_USERS * SIEGE_ROUNDS
            test.expect_same((result['transactions'], result['failed_transactions'], result['successful_transactions']),
                             (total, 0, total), 'transactions')
            test.expect(abs(result['data_transferred'] - total * 4000 / 1048576) < 0.1,
                        f'{result["data_transferred"]} MB of data')
            # Its threads are cancelled at the end, wherever they wait.
            test.expect_counters(process, at_least={'coroutines_created': SIEGE_USERS})


@case('pgbench')
def pgbench(test):
    """A thread for each client of the benchmark, which waits in poll; the server is native."""
    for mode in test.modes(MAX_REGIONS=REGIONS):
        with Site() as site:
            server = recipes.postgres(site)
            tool = f'{recipes.postgres_directory()}/pgbench'
            at = ['-h', '127.0.0.1', '-p', str(server.port), '-U', 'postgres']
            made = site.run([tool, *at, '-i', '-q', '-s', '2', 'postgres'], cwd='/')
            test.expect_same(made.status, 0, f'pgbench -i: {made.err()[-300:]}')
            argv = [tool, *at, '-n', '-c', str(PGBENCH_CLIENTS), '-j', str(PGBENCH_CLIENTS), '-t',
                    str(PGBENCH_TRANSACTIONS), 'postgres']
            # The first of its threads is main itself.
            process = client_run(test, site, mode, argv, PGBENCH_CLIENTS - 1, REGIONS, cwd='/')
            total = PGBENCH_CLIENTS * PGBENCH_TRANSACTIONS
            done = re.search(r'actually processed: (\d+)/(\d+)', process.out())
            failed = re.search(r'failed transactions: (\d+)', process.out())
            test.expect_same(done and done.groups(), (str(total), str(total)), 'transactions')
            test.expect_same(failed and failed.group(1), '0', 'failed transactions')
            sums = site.run(['psql', *at, '-AtXc', 'select (select sum(abalance) from pgbench_accounts) = '
                             '(select sum(delta) from pgbench_history), (select count(*) from pgbench_history)',
                             'postgres'], cwd='/')
            test.expect_same(sums.out().strip(), f't|{total}', 'balances and history')
            test.expect_counters(process, **ordinary(PGBENCH_CLIENTS - 1))
            server.stop()


def crowd_run(test, site, mode, argv):
    """Runs a program of crowd.h; every one of its answers must have been right."""
    # Natively some have ended before the sampler looks, when the last begin.
    process = client_run(test, site, mode, [test.tool(argv[0]), *argv[1:]], CROWD * 3 // 4, REGIONS)
    right = re.fullmatch(r'right (\d+) wrong 0\n', process.out())
    test.expect(right and int(right.group(1)) >= CROWD * CROWD_ROUNDS, f'{argv[0]}: {process.out()!r} {process.err()[-500:]}')
    test.expect_counters(process, **ordinary(CROWD))
    return right and right.group(1)


def crowd_case(test, start, argv):
    """start(site) gives the server, native; argv(site, server) the client's command, whose answers are counted alike in both modes."""
    native = {}
    for mode in test.modes(MAX_REGIONS=REGIONS):
        with Site() as site:
            right = crowd_run(test, site, mode, argv(site, start(site)))
            test.expect_same(right, native.setdefault('right', right), 'answers')


@case('libpq')
def libpq(test):
    crowd_case(test, recipes.postgres, lambda site, server: ['postgres_client', str(CROWD), str(CROWD_ROUNDS), str(server.port)])


@case('hiredis')
def hiredis(test):
    crowd_case(test, recipes.redis, lambda site, server: ['redis_client', str(CROWD), str(CROWD_ROUNDS), str(server.port)])


@case('libcurl')
def libcurl(test):
    """By name, so that each thread has its own resolver thread; nginx native, then a threaded server of ours woven as well."""
    def argv(site, server):
        site.silent = socket.create_server(('127.0.0.1', 0), backlog=CROWD)
        return ['curl_client', str(CROWD), str(CROWD_ROUNDS), f'http://localhost:{server.port}', site.path('www/page.txt'),
                site.path('www/large.bin'), str(site.silent.getsockname()[1])]

    crowd_case(test, recipes.nginx, argv)
    if test.native_only:
        return
    with Site() as site:
        recipes.web_root(site)
        pages = [site.path('www/page.txt'), site.path('www/large.bin')]
        server = recipes.announced(site, [test.tool('microhttpd_server'), *pages], test.woven())
        crowd_run(test, site, test.woven(MAX_REGIONS=REGIONS), argv(site, server))
        test.expect_same(server.stop(), 0, 'exit status of the server')
        test.expect_counters(server, **ordinary(CROWD))
