# SPDX-License-Identifier: Apache-2.0
"""The echo figures: the same thread-per-connection program natively and woven, and epoll written by hand.

The server has one CPU and the load another. System calls are counted in runs of their own, with strace attached while
every connection is open and warm, so that a count holds nothing of start-up and a rate nothing of strace.
"""

import glob
import signal
import subprocess

from rig import pinned, recipes
from rig.load import Load
from rig.mode import Native, Woven
from rig.process import Site, Trouble, status, until
from rig.report import median

KINDS = ('native', 'woven', 'epoll')
STYLES = ('poll', 'select')  # other ways in which a thread for each connection may wait
MESSAGE = 64
COUNTED_EACH = 20  # requests of a connection, at least
COUNTED_REQUESTS = 20_000


def start(site, build, kind, prefix, *words, **variables):
    """One of the three servers behind `prefix`."""
    program = f'{build}/echo_epoll' if kind == 'epoll' else f'{build}/echo_threads'
    mode = Woven(build, **variables) if kind == 'woven' else Native()
    return recipes.announced(site, [program, *words], mode, prefix=prefix)


def once(build, kind, connections, seconds, *words, close=False):
    """The figures of one run; `words` are the server's. `close`: a new connection for each request."""
    with Site() as site:
        server = start(site, build, kind, pinned.on(pinned.SERVER_CPU, True), *words)
        figures = Load(build, pinned.on(pinned.LOAD_CPU, True)).run(
            'echo', server.port, seconds, connections=connections, size=MESSAGE, warm=0.5, opening=256,
            reset=not close, close=close, many_sources=close or connections > 8000, server_pid=server.pid, timeout=60)
        if figures['errors'] or (figures['open'] != connections and not close):
            raise Trouble(f'{kind}, {connections} connections: {figures["complaints"] or figures}')
        return figures


def medians(build, connections, runs, seconds, kinds=KINDS, style=(), close=False):
    """By kind, the medians of so many runs, which take turns."""
    taken = {kind: [] for kind in kinds}
    for _ in range(runs):
        for kind in kinds:
            taken[kind].append(once(build, kind, connections, seconds, *style, close=close))
    return {kind: {key: median([figures[key] for figures in taken[kind]])
                   for key in ('rps', 'p50_us', 'p99_us', 'cpu_us')} for kind in kinds}


def counts(path):
    """Calls by name, from the table that strace -c writes."""
    found = {}
    with open(path, encoding='ascii') as lines:
        for line in lines:
            fields = line.split()
            if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != 'total':
                found[fields[-1]] = int(fields[3])
    return found


def memory(build, kind, connections, style=()):
    """Megabytes of a server that holds so many connections, each served once: resident and page tables."""
    with Site() as site:
        server = start(site, build, kind, pinned.on(pinned.SERVER_CPU), *style)
        held = Load(build, pinned.on(pinned.LOAD_CPU)).hold(
            'echo', server.port, connections=connections, size=MESSAGE, requests=connections, seconds=60, opening=256,
            reset=True, many_sources=connections > 8000)
        values = status(server.pid)
        held.go()
        return (values['VmRSS'] + values['VmPTE']) / 1024


def system_calls(build, kind, connections, requests=None, style=()):
    """(calls for each request, epoll_ctl calls in all) once every connection has been served."""
    requests = requests or max(COUNTED_REQUESTS, COUNTED_EACH * connections)
    with Site() as site:
        server = start(site, build, kind, pinned.on(pinned.SERVER_CPU), *style)
        held = Load(build, pinned.on(pinned.LOAD_CPU)).hold(
            'echo', server.port, connections=connections, size=MESSAGE, requests=requests, seconds=120, opening=256,
            reset=True, many_sources=connections > 8000)
        report = site.path('strace')
        with open(site.path('strace.err'), 'w', encoding='ascii') as err:
            strace = subprocess.Popen(['strace', '-c', '-f', '-q', '-o', report, '-p', str(server.pid)],
                                      stdin=subprocess.DEVNULL, stdout=err, stderr=err)
            try:
                until(lambda: traced(server.pid), 60, 'strace to attach')
                figures = held.go()
            finally:
                strace.send_signal(signal.SIGINT)
                strace.wait(60)
        if figures['errors'] or not figures['measured']:
            raise Trouble(f'{kind} under strace: {figures["complaints"]}')
        calls = counts(report)
        if not calls:
            with open(site.path('strace.err'), encoding='ascii') as err:
                raise Trouble(f'strace counted nothing: {err.read()}')
        return sum(calls.values()) / figures['measured'], calls.get('epoll_ctl', 0)


def traced(pid):
    """Whether every thread of the process has its tracer."""
    tracers = []
    for path in glob.glob(f'/proc/{pid}/task/*/status'):
        with open(path, encoding='ascii', errors='replace') as lines:
            tracers += [int(line.split()[1]) for line in lines if line.startswith('TracerPid:')]
    return tracers and all(tracers)
