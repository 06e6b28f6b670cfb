# SPDX-License-Identifier: Apache-2.0
"""MariaDB under sysbench: a thread for each connection natively and under weft, and the server's own pool of threads. All three
servers stand side by side, each with the same tables, and are loaded in turn; weft has as many workers as it takes by default."""

import re

from rig import recipes
from rig.mode import Native, Woven
from rig.process import Sampler, Site, Trouble
from rig.report import median

KINDS = ('native', 'pool', 'woven')
WORKLOADS = ('oltp_point_select', 'oltp_read_write')
TABLES = 4
# A commit is written at once and synced once a second, so that the disk of the machine is not what is measured.
MORE = 'skip-name-resolve\ninnodb_flush_log_at_trx_commit = 2\ntable_open_cache = 4000'


def words(port, threads, rows):
    return ['--db-driver=mysql', '--mysql-host=127.0.0.1', f'--mysql-port={port}', '--mysql-user=root', '--mysql-db=sb',
            f'--tables={TABLES}', f'--table-size={rows}', f'--threads={threads}', '--percentile=99', '--rand-seed=7']


class Servers:
    """The three of them, running and filled."""

    def __init__(self, build, stack, rows):
        """`stack`: the ExitStack that ends them; `rows`: of each of the tables."""
        self.build = build
        self.rows = rows
        self.sites = {}
        self.servers = {}
        fresh = recipes.mariadb_data(stack.enter_context(Site()))
        for kind in KINDS:
            site = self.sites[kind] = stack.enter_context(Site())
            mode = Woven(build) if kind == 'woven' else Native()
            threads = 'pool-of-threads' if kind == 'pool' else 'one-thread-per-connection'
            server = self.servers[kind] = recipes.mariadb(site, mode, fresh, threads, MORE)
            made = site.run(['mariadb', '--no-defaults', '-h127.0.0.1', f'-P{server.port}', '-uroot', '-e', 'CREATE DATABASE sb'])
            filled = site.run(['sysbench', 'oltp_read_write', *words(server.port, TABLES, rows), 'prepare'], seconds=600)
            if made.status or filled.status:
                raise Trouble(f'{kind}: no tables: {made.err()[-300:]} {filled.out()[-300:]}')

    def once(self, kind, workload, connections, seconds, woven_client=False):
        """One run of sysbench: transactions/s, p99 in ms, and the most kernel threads of the server."""
        site, server = self.sites[kind], self.servers[kind]
        sampler = Sampler(server.pid)
        done = site.run(['sysbench', workload, *words(server.port, connections, self.rows), f'--time={seconds}', 'run'],
                        Woven(self.build) if woven_client else None, seconds=seconds + 120)
        sampler.stop()
        text = done.out() + done.err()
        rate = re.search(r'transactions: .*\(([\d.]+) per sec', text)
        late = re.search(r'99th percentile: +([\d.]+)', text)
        reconnects = re.search(r'reconnects: +(\d+)', text)
        if done.status or 'FATAL' in text or not (rate and late and reconnects) or int(reconnects.group(1)):
            raise Trouble(f'{kind}, {workload}, {connections}: {done.status} {text[-500:]}')
        return {'rate': float(rate.group(1)), 'p99_ms': float(late.group(1)), 'threads': sampler.threads}

    def medians(self, workload, connections, runs, seconds, woven_client=False):
        """By kind, the medians of so many runs, which take turns."""
        taken = {kind: [] for kind in KINDS}
        for _ in range(runs):
            for kind in KINDS:
                taken[kind].append(self.once(kind, workload, connections, seconds, woven_client))
        return {kind: {key: median([figures[key] for figures in taken[kind]]) for key in ('rate', 'p99_ms', 'threads')}
                for kind in KINDS}
