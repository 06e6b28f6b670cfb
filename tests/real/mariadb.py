# SPDX-License-Identifier: Apache-2.0
"""MariaDB with a thread for each connection: sysbench, mysqlslap, shutdown, and recovery after a kill; the clients of libmariadb."""

import os
import re
import signal

from case import ordinary
from clients import CROWD, CROWD_ROUNDS, crowd_run
from rig.cases import case
from rig import recipes, stats
from rig.mode import Native
from rig.process import Sampler, Site, Trouble, until

TABLES = 4
ROWS = 10_000  # of each
ACCOUNTS = 1000
COUNTED_ROWS = 256
BEFORE_KILL = 2000  # acknowledged transactions
CONNECT_SCRIPT = '''
function thread_init()
  driver = sysbench.sql.driver()
end
function event()
  local connection = driver:connect()
  assert(connection:query_row('SELECT SUM(seq) FROM seq_1_to_100') == '5050')
  connection:disconnect()
end
'''


class Caller:
    """The text client of the package, as root over the loopback, and the other tools of it."""

    def __init__(self, site, port):
        self.site = site
        self.at = ['--no-defaults', '-h127.0.0.1', f'-P{port}', '-uroot']

    def run(self, *words, seconds=120):
        done = self.site.run([words[0], *self.at, *words[1:]], seconds=seconds)
        if done.status != 0:
            raise Trouble(f'{words}: {done.status} {done.out()[-300:]} {done.err()[-300:]}')
        return done.out()

    def ask(self, text, database='mysql'):
        """Rows as lists of texts."""
        return [line.split('\t') for line in self.run('mariadb', '-N', '-B', '-e', text, database).splitlines()]

    def value(self, text, database='mysql'):
        return self.ask(text, database)[0][0]


class Server:
    """One run of the server on the data directory of a site."""

    def __init__(self, test, site, mode, fresh=None):
        self.test, self.site, self.mode = test, site, mode
        self.process = recipes.mariadb(site, mode, fresh)
        self.port = self.process.port
        self.caller = Caller(site, self.port)
        self.sampler = Sampler(self.process.pid, calls=True)

    def expect_checked(self):
        """Every table of every database, by the package's own tool."""
        lines = self.caller.run('mariadb-check', '--all-databases', '--check', '--extended').splitlines()
        wrong = [line for line in lines if not re.fullmatch(r'[\w.]+ +OK', line)]
        self.test.expect(len(lines) > 20 and not wrong, f'{self.mode.name}: mariadb-check: {wrong[:5]} of {len(lines)} lines')

    def end(self, number=None):
        """A clean shutdown, by mariadb-admin or a signal; the threads and counters of the whole run are judged."""
        self.sampler.stop()
        if number:
            self.process.popen.send_signal(number)
        else:
            self.caller.run('mariadb-admin', 'shutdown')
        self.test.expect_same(self.process.wait(120), 0, f'{self.mode.name}: exit status')
        self.expect_good_log()

    def expect_good_log(self):
        log = self.process.err()
        wrong = [line for line in log.splitlines() if '[ERROR]' in line or 'InnoDB: Assertion' in line]
        self.test.expect(not wrong, f'{self.mode.name}: the log says {wrong[:5]}')
        self.test.expect('Shutdown complete' in log, f'{self.mode.name}: no shutdown in the log: {log[-300:]}')

    def expect_threads(self, streams):
        self.test.note(f'{self.mode.name}: at most {self.sampler.threads} kernel threads, {self.sampler.own} besides those in '
                       'calls of the program')
        if self.mode.woven:
            self.test.expect(self.sampler.own <= self.test.ceiling, f'{self.sampler.own} kernel threads besides those in calls '
                             f'of the program, more than {self.test.ceiling}')
        else:
            self.test.expect(self.sampler.threads > streams, f'only {self.sampler.threads} kernel threads natively')

    def expect_counters(self, streams):
        # The thread that waits for signals is pinned.
        self.test.expect_counters(self.process, **ordinary(streams, pinned=1))
        if self.mode.woven:
            block = stats.of(self.process)
            self.test.note('  '.join(f'{name} {block[name]}' for name in ('coroutines_created', 'regions', 'handoffs', 'steals',
                                                                          'fd_rescues', 'lock_rescues')))


def sysbench(server, script, threads, *words, seconds=300, command='run'):
    """One run of sysbench; returns transactions, queries and how many were told to try again."""
    tables = [f'--tables={TABLES}', f'--table-size={ROWS}'] if script.startswith('oltp_') else []
    argv = ['sysbench', script, '--db-driver=mysql', '--mysql-host=127.0.0.1', f'--mysql-port={server.port}',
            '--mysql-user=root', '--mysql-db=sb', '--rand-seed=7', '--rand-type=uniform', f'--threads={threads}',
            '--percentile=99', *tables, *words, command]
    done = server.site.run(argv, seconds=seconds)
    text = done.out() + done.err()
    server.test.expect(done.status == 0 and 'FATAL' not in text, f'{server.mode.name}: sysbench {script}: {done.status} '
                       f'{text[-500:]}')
    if command != 'run':
        return None
    found = {name: re.search(rf'{name}: +(\d+)', text) for name in ('transactions', 'ignored errors', 'reconnects')}
    if not all(found.values()):
        raise Trouble(f'sysbench {script}: {text[-500:]}')
    rate = re.search(r'transactions: .*\(([\d.]+) per sec', text)
    late = re.search(r'99th percentile: +([\d.]+)', text)
    server.test.note(f'{server.mode.name}: {os.path.basename(script)}, {threads} connections: {rate.group(1)} transactions/s, p99 '
                     f'{late.group(1)} ms, {found["ignored errors"].group(1)} tried again')
    return {name: int(match.group(1)) for name, match in found.items()}


def tables_of_sysbench():
    return [f'sbtest{number + 1}' for number in range(TABLES)]


def checksums(server, database, tables):
    return server.caller.ask(f'CHECKSUM TABLE {", ".join(tables)}', database)


def updates_of_all(server):
    """Every k of sysbench's tables, which its update_index raises by one a transaction."""
    return sum(int(server.caller.value(f'SELECT SUM(k) FROM {table}', 'sb')) for table in tables_of_sysbench())


def expect_whole_tables(server):
    """What a transaction takes out it puts back, so no row may be missing or doubled."""
    for table in tables_of_sysbench():
        server.test.expect_same(server.caller.ask(f'SELECT COUNT(*), COUNT(DISTINCT id), SUM(id) FROM {table}', 'sb'),
                                [[str(ROWS), str(ROWS), str(ROWS * (ROWS + 1) // 2)]], f'rows of {table}')


def sysbench_load(server, connections, seconds, native):
    test = server.test
    server.caller.ask('CREATE DATABASE sb')
    sysbench(server, 'oltp_read_write', 1, command='prepare')
    for table in tables_of_sysbench():  # what sysbench draws depends on its Lua
        server.caller.ask(f'UPDATE {table} SET k = CRC32(id) % {ROWS} + 1, c = REPEAT(MD5(id), 3), pad = MD5(-id)', 'sb')
    sums = checksums(server, 'sb', tables_of_sysbench())
    test.expect_same(sums, native.setdefault('prepared', sums), f'{server.mode.name}: checksums of the tables as made')

    written = sysbench(server, 'oltp_read_write', connections, f'--time={seconds}')
    read = sysbench(server, 'oltp_point_select', connections, f'--time={seconds}')
    for figures, what in ((written, 'oltp_read_write'), (read, 'oltp_point_select')):
        test.expect_same(figures['reconnects'], 0, f'{server.mode.name}: {what}: reconnects')
        test.expect(figures['transactions'] >= connections, f'{server.mode.name}: {what}: {figures["transactions"]} transactions')
    expect_whole_tables(server)

    before = updates_of_all(server)
    events = 10 * connections
    raised = sysbench(server, 'oltp_update_index', connections, f'--events={events}', '--time=0')
    test.expect_same(raised['transactions'], events, f'{server.mode.name}: updates')
    test.expect_same(updates_of_all(server), before + events, f'{server.mode.name}: the sum that every update raises by one')


def connect_disconnect(server, connections, seconds):
    """A new connection, so a new thread, for every query."""
    def made():
        return int(server.caller.ask("SHOW GLOBAL STATUS LIKE 'Connections'")[0][1])

    before = made()
    script = server.site.write('connect.lua', CONNECT_SCRIPT)
    figures = sysbench(server, script, connections, f'--time={seconds}')
    server.test.expect(made() - before >= figures['transactions'] >= connections,
                       f'{server.mode.name}: {made() - before} connections made for {figures["transactions"]} queries')


def slap(server, connections, native):
    """mysqlslap: queries it makes itself, then ours, whose sums do not depend on their order."""
    test, queries = server.test, 4 * connections
    common = [f'--concurrency={connections}', f'--number-of-queries={queries}', '--silent']

    def silent(*words):
        test.expect_same(server.caller.run('mysqlslap', *common, *words, seconds=300), '', f'{server.mode.name}: mysqlslap')

    silent('--auto-generate-sql', '--auto-generate-sql-load-type=mixed', '--auto-generate-sql-guid-primary',
           '--create-schema=slapped')
    server.caller.ask('CREATE DATABASE slap; CREATE TABLE slap.made (id INT PRIMARY KEY AUTO_INCREMENT, v INT); '
                      'CREATE TABLE slap.counted (id INT PRIMARY KEY, n INT); INSERT INTO slap.counted SELECT seq, 0 FROM '
                      f'slap.seq_0_to_{COUNTED_ROWS - 1}')
    own_row = f'WHERE id = CONNECTION_ID() % {COUNTED_ROWS}'
    script = ';'.join(['INSERT INTO made (v) VALUES (7)', f'UPDATE counted SET n = n + 1 {own_row}',
                       'SELECT COUNT(*) FROM counted', f'UPDATE counted SET n = n + 3 {own_row}'])
    silent('--create-schema=slap', '--delimiter=;', f'--query={script}', '--no-drop')
    sums = checksums(server, 'slap', ['made'])
    test.expect_same(sums, native.setdefault('slap', sums), f'{server.mode.name}: checksum of what mysqlslap made')
    turns = queries // 4 // connections * connections
    test.expect_same(server.caller.ask('SELECT (SELECT COUNT(*) FROM made), SUM(n) FROM counted', 'slap'),
                     [[str(turns), str(4 * turns)]], f'{server.mode.name}: rows and sums of mysqlslap')


def mariadb(test, mode, fresh, connections, seconds, more, native):
    with Site() as site:
        server = Server(test, site, mode, fresh)
        sysbench_load(server, connections, seconds, native)
        slap(server, connections, native)
        if more:
            connect_disconnect(server, connections, seconds)
        server.expect_checked()
        server.end()
        server.expect_threads(connections)
        server.expect_counters(connections)


def mariadb_modes(test, connections, seconds, more):
    native = {}
    with Site() as first:
        fresh = recipes.mariadb_data(first)
        for mode in test.modes():
            mariadb(test, mode, fresh, connections, seconds, more, native)


for count, seconds_each, everything in ((16, 5, True), (256, 2, False), (2000, 5, True)):
    def register(connections=count, seconds=seconds_each, more=everything):
        case(f'mariadb_{connections}')(lambda test: mariadb_modes(test, connections, seconds, more))
    register()


def acknowledged(path):
    """How many transactions of each thread the server has said yes to."""
    turns = {}
    with open(path, encoding='ascii') as file:
        for line in file:
            if line.endswith('\n'):
                thread, turn = line.split()
                turns[int(thread)] = int(turn) + 1
    return turns


@case('mariadb_crash')
def mariadb_crash(test):
    """Killed among transfers; what it had acknowledged is there after the recovery, and no transfer is there by half."""
    for mode in test.modes():
        with Site() as site:
            server = Server(test, site, mode)
            server.caller.ask("CREATE DATABASE crowd; CREATE USER crowd@'127.0.0.1'; GRANT ALL ON crowd.* TO crowd@'127.0.0.1'; "
                              'CREATE TABLE crowd.accounts (id INT PRIMARY KEY, n INT); '
                              'CREATE TABLE crowd.transfers (thread INT, turn INT, PRIMARY KEY (thread, turn)); '
                              f'INSERT INTO crowd.accounts SELECT seq, 0 FROM crowd.seq_0_to_{ACCOUNTS - 1}')
            kept = site.path('acknowledged')
            client = site.start([test.tool('mariadb_client'), 'transfers', str(CROWD), str(server.port), kept])
            until(lambda: os.path.exists(kept) and sum(acknowledged(kept).values()) >= BEFORE_KILL, 60, 'transfers')
            server.sampler.stop()
            test.expect_same(server.process.stop(signal.SIGKILL), -signal.SIGKILL, 'the kill')
            test.expect_same(client.wait(60), 0, f'the client of the killed server: {client.described()}')
            server.expect_threads(CROWD)

            promised = acknowledged(kept)
            again = Server(test, site, mode)
            log = again.process.err()
            test.expect('Starting crash recovery' in log, f'{mode.name}: no recovery in the log: {log[-300:]}')
            found = {int(thread): (int(count), int(last) + 1) for thread, count, last in again.caller.ask(
                'SELECT thread, COUNT(*), MAX(turn) FROM transfers GROUP BY thread', 'crowd')}
            lost = [(thread, turns, found.get(thread)) for thread, turns in promised.items()
                    if thread not in found or found[thread][0] != found[thread][1]
                    or found[thread][0] not in (turns, turns + 1)]
            test.expect(not lost, f'{mode.name}: committed transfers lost or out of turn: {lost[:5]}')
            test.expect_same(again.caller.value('SELECT SUM(n) FROM accounts', 'crowd'), '0', f'{mode.name}: the sum of all accounts')
            test.note(f'{mode.name}: killed after {sum(promised.values())} transfers, found {sum(n for n, _ in found.values())}')
            again.expect_checked()
            crowd = site.run([test.tool('mariadb_client'), 'crowd', str(CROWD), '1', str(again.port)], seconds=120)
            test.expect_same(crowd.status, 0, f'{mode.name}: a crowd after the recovery: {crowd.described()}')
            again.end(signal.SIGTERM)
            again.expect_counters(CROWD)


@case('libmariadb')
def libmariadb(test):
    """The client native and woven against a native server; then both woven."""
    pairs = [(mode, Native()) for mode in test.modes()] + ([] if test.native_only else [(test.woven(), test.woven())])
    native = {}
    with Site() as first:
        fresh = recipes.mariadb_data(first)
        for mode, server_mode in pairs:
            with Site() as site:
                server = Server(test, site, server_mode, fresh)
                server.caller.ask("CREATE DATABASE crowd; CREATE USER crowd@'127.0.0.1'; GRANT ALL ON crowd.* TO crowd@'127.0.0.1'")
                right = crowd_run(test, site, mode, ['mariadb_client', 'crowd', str(CROWD), str(CROWD_ROUNDS), str(server.port)])
                test.expect_same(right, native.setdefault('right', right), 'answers')
                server.end()
                if server_mode.woven:
                    server.expect_counters(CROWD)
