# SPDX-License-Identifier: Apache-2.0
"""Processes of a run: started, watched over their whole tree, and stopped. Only what a Site started is ever stopped.

Nothing here sleeps to synchronise: a state of /proc is asked for again until it holds or a bound is reached.
"""

import contextlib
import os
import random
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from .mode import Native

READY_SECONDS = 30
STOP_SECONDS = 30
LISTEN_STATE = '0A'  # of /proc/net/tcp
ESTABLISHED_STATE = '01'


class Trouble(Exception):
    """The run cannot go on; the text says why."""


def until(condition, seconds, what):
    """Asks until `condition` gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Trouble(f'after {seconds} s still waiting for {what}')
        time.sleep(0.01)


def free_port():
    """A port below the range the kernel gives to outgoing connections, so that none of those can take it meanwhile."""
    for _ in range(200):
        port = random.randrange(10000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(('127.0.0.1', port))
                return port
            except OSError:
                continue
    raise Trouble('no free port')


def listening(port):
    """Whether somebody listens on a TCP port; found without connecting, since a probe is a client to the server."""
    wanted = f':{port:04X}'
    for table in ('/proc/net/tcp', '/proc/net/tcp6'):
        with open(table, encoding='ascii') as lines:
            for line in lines:
                fields = line.split()
                if fields[3] == LISTEN_STATE and fields[1].endswith(wanted):
                    return True
    return False


def all_read(port, count):
    """Whether a server has accepted `count` connections on its port and read all that they sent so far."""
    suffix = f':{port:04X}'
    drained = 0
    with open('/proc/net/tcp', encoding='ascii') as table:
        for line in table:
            fields = line.split()
            if fields[1].endswith(suffix) and fields[3] == ESTABLISHED_STATE:
                drained += fields[4].endswith(':00000000')
    return drained >= count


def stat_fields(pid):
    """The fields of /proc/PID/stat behind the name (state first), or None when there is no such process."""
    try:
        with open(f'/proc/{pid}/stat', encoding='latin-1') as file:
            return file.read().rpartition(')')[2].split()
    except OSError:
        return None


def tree(root):
    """The process and all its descendants, by pid."""
    children = {}
    for name in os.listdir('/proc'):
        if name.isdigit():
            fields = stat_fields(name)
            if fields:
                children.setdefault(int(fields[1]), []).append(int(name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def status(pid):
    """The numbers of /proc/PID/status, or an empty dictionary."""
    values = {}
    try:
        with open(f'/proc/{pid}/status', encoding='latin-1') as file:
            for line in file:
                key, _, value = line.partition(':')
                words = value.split()
                if words and words[0].isdigit():
                    values[key] = int(words[0])
    except OSError:
        return {}
    return values


# futex, epoll_wait, epoll_pwait, epoll_pwait2 (x86-64): where the runtime's own kernel threads wait.
WAITS_OF_THE_RUNTIME = {'202', '232', '281', '441'}


def threads_outside_calls(pid):
    """Those of a process that run, or wait where the runtime's own wait; the others are in calls of the program. So are the kernel's
    workers of io_uring, whose file shows a call of the thread that they were made by."""
    found = set()
    with contextlib.suppress(OSError):
        for name in os.listdir(f'/proc/{pid}/task'):
            with contextlib.suppress(OSError):
                with open(f'/proc/{pid}/task/{name}/syscall', encoding='ascii') as file:
                    word = file.read().split()[0]
                with open(f'/proc/{pid}/task/{name}/comm', encoding='utf-8', errors='replace') as file:
                    if file.read().startswith('iou-wrk-'):
                        continue
                if word == 'running' or word in WAITS_OF_THE_RUNTIME or int(name) == pid:
                    found.add(name)
    return found


class Sampler(threading.Thread):
    """Looks at a process tree every few hundredths of a second and keeps the highest it saw."""

    def __init__(self, root, calls=False):
        """`calls`: also `own`, the most threads that the root had besides those in calls of the program."""
        super().__init__(daemon=True)
        self.root = root
        self.calls = calls
        self.own = 0
        self.threads = 0
        self.memory_kb = 0  # VmRSS and VmPTE together
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.start()

    def run(self):
        # Of this thread alone: among hundreds of busy threads it would get no turn to look. Refused to all but root.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -15)
        self.look()
        while not self.stopping.wait(0.04):
            self.look()

    def look(self):
        """One look; for a moment that must not be missed, any thread may ask for it."""
        threads = memory = 0
        for pid in tree(self.root):
            values = status(pid)
            threads += values.get('Threads', 0)
            memory += values.get('VmRSS', 0) + values.get('VmPTE', 0)
        # Twice, since one that is on its way into a call, or out of it, is in it.
        own = len(threads_outside_calls(self.root) & threads_outside_calls(self.root)) if self.calls else 0
        with self.lock:
            self.own = max(self.own, own)
            self.threads = max(self.threads, threads)
            self.memory_kb = max(self.memory_kb, memory)

    def stop(self):
        self.stopping.set()
        self.join()


class Process:
    """One started program. Its output goes to files, so that no pipe can fill up."""

    def __init__(self, site, argv, mode, user, stdin, cwd, prefix):
        self.site = site
        self.mode = mode
        self.stats_path = None
        readable = None
        number = len(site.processes)
        if mode.woven and site.counters:
            self.stats_path = site.path(f'stats.{number}')
            with open(self.stats_path, 'w', encoding='ascii'):
                pass
            os.chmod(self.stats_path, 0o666)
        if user:
            readable = site.path(f'weft.{number}')
            os.mkdir(readable, 0o755)
        command = ['setpriv', '--pdeathsig', 'KILL']
        if user:
            command += ['--reuid', user, '--regid', user, '--clear-groups']
        command += ['--', *prefix] + mode.command(argv, self.stats_path, readable)
        self.out_path = site.path(f'out.{number}')
        self.err_path = site.path(f'err.{number}')
        self.name = os.path.basename(argv[0])
        with open(self.out_path, 'wb') as out, open(self.err_path, 'wb') as err:
            self.popen = subprocess.Popen(command, stdin=stdin or subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd,
                                          env=site.environment)
        self.pid = self.popen.pid

    def out(self):
        with open(self.out_path, encoding='utf-8', errors='replace') as file:
            return file.read()

    def err(self):
        with open(self.err_path, encoding='utf-8', errors='replace') as file:
            return file.read()

    def alive(self):
        return self.popen.poll() is None

    def described(self):
        """Its state and last words, for a message about what went wrong."""
        state = 'runs' if self.alive() else f'has ended with {self.popen.returncode}'
        return f'{state}; its last words: {(self.out() + self.err())[-300:]!r}'

    def ready(self, condition, what):
        """Waits for a condition that only a living process can bring about."""
        def look():
            if not self.alive():
                raise Trouble(f'before {what}, {self.name} {self.described()}')
            return condition()
        return until(look, READY_SECONDS, f'{self.name}: {what}')

    def listens(self, port):
        self.ready(lambda: listening(port), f'listening on {port}')
        return self

    def says(self, word):
        """Waits for a line on its output that begins with `word`; returns the rest of that line."""
        def line():
            for text in self.out().split('\n')[:-1]:
                if text.startswith(word):
                    return text[len(word):].strip() or ' '
            return None
        return self.ready(line, f'the line "{word}"')

    def stop(self, number=signal.SIGTERM, seconds=STOP_SECONDS):
        """Sends a signal and waits for the end. Returns the exit status; a negative one names the signal it died of."""
        if self.alive():
            self.popen.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds):
        # Popen.wait with a timeout looks every 50 ms, which would be in every time that is taken.
        with contextlib.suppress(ProcessLookupError):
            ended = os.pidfd_open(self.pid)
            try:
                select.select([ended], [], [], seconds)
            finally:
                os.close(ended)
        try:
            return self.popen.wait(0)
        except subprocess.TimeoutExpired:
            raise Trouble(f'after {seconds} s {self.name} {self.described()}') from None

    def kill_tree(self):
        """For what is left at the end of a run, whatever happened."""
        if not self.alive():
            return
        members = [(pid, (stat_fields(pid) or [None] * 20)[19]) for pid in tree(self.pid)]
        self.popen.kill()
        self.popen.wait()
        for pid, born in members:
            fields = stat_fields(pid)
            if pid != self.pid and fields and fields[19] == born:
                os.kill(pid, signal.SIGKILL)


class Site:
    """A directory and the processes of one run; everything is gone when it closes."""

    def __init__(self, counters=True):
        """`counters`: woven programs write theirs to a file at their end. Not for what is made of hundreds of short processes and timed."""
        self.counters = counters
        self.directory = tempfile.mkdtemp(prefix='weft-run.')
        os.chmod(self.directory, 0o755)
        self.processes = []
        self.environment = {key: value for key, value in os.environ.items()
                            if not key.startswith('WEFT_') and key != 'LD_PRELOAD'}
        self.environment.update(HOME=self.directory, LC_ALL='C.UTF-8', PATH='/usr/sbin:/usr/bin:/sbin:/bin')
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # A child of a shell's background job would inherit SIGINT ignored; a handler of our own is reset by exec.
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.kill_tree()
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, content):
        path = self.path(name)
        with open(path, 'wb' if isinstance(content, bytes) else 'w') as file:
            file.write(content)
        return path

    def start(self, argv, mode=None, user=None, stdin=None, cwd=None, prefix=()):
        """`prefix` is a command such as taskset in front of the program, never woven itself."""
        process = Process(self, argv, mode or Native(), user, stdin, cwd, prefix)
        self.processes.append(process)
        return process

    def run(self, argv, mode=None, seconds=60, **how):
        """Runs a program to its end and returns it; `status` holds how it ended."""
        process = self.start(argv, mode, **how)
        process.status = process.wait(seconds)
        return process


def seeded_text(size):
    """Text that is the same in every run and repeats nowhere."""
    return ''.join(random.Random(size).choices('abcdefghijklmnopqrstuvwxyz0123456789 \n', k=size)).encode()
