# SPDX-License-Identifier: Apache-2.0
"""MariaDB with a thread for each connection, whose system calls fail or move only a part, natively and woven.

Judged as the other real programs are, and by its data: whatever the server has acknowledged is there when a native server
starts on the same directory afterwards, however the one with the fault has ended.
"""

import contextlib
import os
import signal
import subprocess

import real_programs
from rig import recipes, stats
from rig.mode import Native, Woven
from rig.process import Site, Trouble

THREADS, ROUNDS = 8, 4
LATE = 1000  # number of the client that comes when the fault is over
STOP_SECONDS = 40
TABLES = '''
CREATE DATABASE crowd; CREATE USER crowd@'127.0.0.1'; GRANT ALL ON crowd.* TO crowd@'127.0.0.1'; USE crowd;
CREATE TABLE own (k VARCHAR(20) PRIMARY KEY, v MEDIUMTEXT);
CREATE TABLE accounts (id INT PRIMARY KEY, n INT);
CREATE TABLE transfers (thread INT, turn INT, PRIMARY KEY (thread, turn));
INSERT INTO accounts SELECT seq, 0 FROM seq_0_to_999;
'''

# As in real_programs. Not here: io_uring_enter and io_getevents, whose errors the server takes for the end of its disk.
STREAM_PLACES = ((1, 0), (2, 0), (9, 0), (60, 0), (300, 0), (3, 40), (2, 9))
FAULTS = [
    (real_programs.READS, ('EINTR', 'ECONNRESET', 'EAGAIN', 'ENOMEM'), STREAM_PLACES),
    (real_programs.READS, (7, 1), ((2, 5), (1, 1))),
    (real_programs.WRITES, ('ECONNRESET', 'EINTR', 'EAGAIN', 'ENOMEM'), STREAM_PLACES),
    (real_programs.WRITES, (7, 1), ((2, 5), (1, 1))),
    (real_programs.ACCEPTS, ('EMFILE', 'ECONNABORTED', 'EINTR', 'EAGAIN', 'ENOMEM'), ((1, 0), (2, 0), (3, 2))),
    (real_programs.POLLS, ('EINTR', 'ENOMEM'), ((1, 0), (2, 0), (2, 7))),
    ('clone3', ('EAGAIN', 'ENOMEM'), ((1, 0), (2, 0), (5, 0), (2, 3))),
    ('mmap,mprotect,mremap,brk', ('ENOMEM',), ((1, 0), (2, 0), (5, 0), (20, 0), (7, 9))),
    ('munmap,madvise', ('ENOMEM',), ((1, 0), (2, 3))),
    ('openat', ('EMFILE', 'ENOMEM', 'EINTR'), ((1, 0), (3, 0), (9, 0))),
    ('setsockopt,getsockopt,fcntl', ('ENOMEM',), ((1, 0), (4, 0), (2, 5))),
    ('futex', ('EINTR', 'EAGAIN'), ((1, 0), (5, 0), (40, 0), (2, 7))),
    ('fsync,fdatasync', ('EINTR',), ((1, 0), (3, 0))),
    ('pread64,pwrite64,preadv,pwritev', ('EINTR', 'EAGAIN'), ((1, 0), (4, 0))),
    ('rt_sigtimedwait', ('EINTR', 'EAGAIN'), ((1, 0),)),
]
SAMPLE = [
    (real_programs.READS, ('EAGAIN',), ((3, 40),)),
    (real_programs.READS, (7,), ((2, 5),)),
    (real_programs.WRITES, ('ECONNRESET',), ((2, 9),)),
]


def client(site, build, *words):
    """Its status and the numbers it prints, by name."""
    argv = [os.path.join(build, 'mariadb_client'), *(str(word) for word in words)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False, env=site.environment)
    values = done.stdout.split()
    if done.returncode > 1 or done.returncode < 0 or len(values) % 2:
        raise Trouble(f'mariadb_client: {done.returncode} {done.stdout[-300:]} {done.stderr[-300:]}')
    return done.returncode, {name: int(value) for name, value in zip(values[::2], values[1::2])}


def answered(site, injector, server, first, threads, rounds):
    """The worst of what clients are told; FILE gets what they may rely on."""
    _, tally = client(site, injector.build, 'attempts', first, threads, rounds, server.port, site.path('acknowledged'))
    return next((word for word, name in (('wrong', 'wrong'), ('hang', 'late'), ('error', 'error')) if tally[name]), 'right')


def prepared(site):
    """A data directory with the tables, which no load has changed yet."""
    server = recipes.mariadb(site)
    subprocess.run(['mariadb', '--no-defaults', '-h127.0.0.1', f'-P{server.port}', '-uroot', '-e', TABLES], check=True,
                   timeout=60)
    status = server.stop(seconds=STOP_SECONDS)
    if status != 0:
        raise Trouble(f'mariadbd: {server.described()}')
    return recipes.mariadb_data(site)


def data_is_right(site, injector):
    """What was acknowledged is there, no transfer is there by half, and the tables are sound."""
    server = recipes.mariadb(site)
    lost, _ = client(site, injector.build, 'kept', server.port, site.path('acknowledged'))
    checked = subprocess.run(['mariadb-check', '--no-defaults', '-h127.0.0.1', f'-P{server.port}', '-uroot', '--check',
                              '--extended', 'crowd'], capture_output=True, text=True, timeout=60, check=False)
    sound = checked.returncode == 0 and len([line for line in checked.stdout.splitlines() if line.endswith(' OK')]) == 3
    server.stop(seconds=STOP_SECONDS)
    return not lost and sound


def end_of(server):
    """Asked to shut down. `end`: it did so and said so; `stop`: it ended before or otherwise; `crash`: by a signal that nobody sent."""
    try:
        status = server.stop(signal.SIGTERM, STOP_SECONDS)
    except Trouble:
        return 'hang'
    if -status in (4, 6, 7, 8, 11) or status in range(132, 140):
        return 'crash'
    return 'end' if status == 0 and 'Shutdown complete' in server.err() else 'stop'


def one_run(injector, fresh, fault, woven):
    inner = Woven(injector.build, 'preload', WORKERS=injector.workers) if woven else Native()
    with Site() as site:
        with open(site.path('acknowledged'), 'w', encoding='ascii'):
            pass
        block = None
        try:
            server = recipes.mariadb(site, real_programs.Injected(inner, injector.tool, fault), fresh)
        except Trouble as trouble:
            worst = last = 'error'
            end = 'hang' if 'still waiting' in str(trouble) else 'stop'
            for process in site.processes:
                process.kill_tree()
        else:
            worst = answered(site, injector, server, 0, THREADS, ROUNDS)
            last = answered(site, injector, server, LATE, 1, 1) if server.alive() else 'error'
            end = end_of(server)
            if end == 'hang':
                server.kill_tree()
            block = stats.of_name(server) if woven else None
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(site.path('mariadb'), 'pid'))
        if not data_is_right(site, injector):
            worst = 'wrong'
        return worst, last, end, block


def check(test, injector, full):
    with Site() as first:
        fresh = prepared(first)
        real_programs.compare(test, 'mariadb', lambda fault, woven: one_run(injector, fresh, fault, woven),
                              FAULTS if full else SAMPLE, 'listen')
