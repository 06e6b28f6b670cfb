# SPDX-License-Identifier: Apache-2.0
"""The inspector on real servers, idle and under load: what it says of each connection is what the kernel says, the frames are the
server's own, no warning is made up, and the server's answers stay right meanwhile."""

import json
import os
import re
import resource
import subprocess
import xml.etree.ElementTree

try:
    import jsonschema
except ImportError:
    jsonschema = None

from case import ordinary
from rig.cases import case
from rig import recipes
from rig.process import Site, Trouble, until

SCHEMAS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools', 'inspect')
PATIENCE = 120
COARSE = 500_000_000  # the runtime's own clock is late when it gets no CPU
ROUNDS = 2  # that every command is run under load
WITH_FINDINGS = ('lint', 'top')


class Inspector:
    """Commands on one server. Each must end well, and what is JSON must be as the schema says."""

    def __init__(self, test, server):
        self.test = test
        self.server = server
        self.pid = server.pid
        self.command = test.tool('weft-inspect')
        if jsonschema is None:
            raise Trouble('python3-jsonschema is not installed')
        self.schemas = {}
        for name in ('schema.json', 'schema_findings.json'):
            with open(os.path.join(SCHEMAS, name), encoding='utf-8') as file:
                self.schemas[name] = json.load(file)

    def text(self, command, *words, target=None):
        done = subprocess.run([self.command, command, str(target or self.pid), *words], capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
        self.test.expect(done.returncode == 0 and not done.stderr,
                         f'weft {command} {" ".join(words)}: {done.returncode} {(done.stderr + done.stdout)[:1500]}')
        return done.stdout

    def json(self, command, *words, target=None):
        answer = json.loads(self.text(command, *words, '--json', target=target))
        jsonschema.validate(answer, self.schemas['schema.json'])
        if command in WITH_FINDINGS:
            jsonschema.validate(answer, self.schemas['schema_findings.json'])
        return answer


def sockets_of(pid):
    """What ss says of a process: fd -> (local, peer) of its established connections."""
    done = subprocess.run(['ss', '-Htnp', 'state', 'established'], capture_output=True, text=True, timeout=PATIENCE, check=True)
    found = {}
    for line in done.stdout.splitlines():
        words = line.split()
        for fd in re.findall(rf'pid={pid},fd=(\d+)\)', line):
            found[int(fd)] = (words[2], words[3])
    return found


def own_ports(pid):
    return {local for local, _ in sockets_of(pid).values()}


class Server:
    """One woven server with its clients. `path`: a pattern for its own file; `at_rest`: the kind of wait of a connection that waits for
    its client; `top`: a pattern for the newest frame of its own then."""

    def __init__(self, test, process, count, path, top, at_rest):
        self.test, self.process, self.count = test, process, count
        self.path, self.top, self.at_rest = re.compile(path), re.compile(top), at_rest
        self.inspector = Inspector(test, process)
        self.ids = set()

    def connections(self, answer):
        """Of an answer, those coroutines that have a client. Their connections stay open, and they are known from the time at rest."""
        return [one for one in answer['coroutines'] if one['id'] in self.ids]

    def clients_of(self, one):
        """Peers of the descriptors it waits for that came in at the server's port."""
        fds = (one['wait'] or {}).get('fds', [])
        return [fd['peer'] for fd in fds if fd['local'] == f'127.0.0.1:{self.process.port}']

    def expect_right_peers(self, connections):
        """Every socket that is waited for, by its number. They stay open, so that the kernel says the same before and after."""
        known = sockets_of(self.process.pid)
        compared, wrong = 0, []
        for one in connections:
            for fd in (one['wait'] or {}).get('fds', []):
                if not fd['kind'].startswith('tcp'):
                    continue
                compared += 1
                if known.get(fd['fd']) != (fd['local'], fd['peer']):
                    wrong.append((one['id'], fd, known.get(fd['fd'])))
        self.test.expect(not wrong, f'{len(wrong)} of {compared} sockets differ from those of ss: {wrong[:3]}')
        return compared

    def expect_possible_times(self, answer):
        wrong = [one for one in answer['coroutines']
                 if one['longestRun'] > one['runTime'] or one['runTime'] > one['age'] + COARSE
                 or (one['wait'] and one['wait']['since'] is not None and one['wait']['since'] > one['age'] + COARSE)]
        self.test.expect(not wrong, f'times of {len(wrong)} that cannot be: {wrong[:2]}')

    def expect_own_frames(self, answer, what):
        """The first frame of each that the user sees as its top is of the server's file, and every stack is whole."""
        stacks = {stack['id']: stack for stack in answer['stacks']}
        wrong = []
        for one in self.connections(answer):
            stack = stacks.get(one['stack'])
            if one['state'] == 'finished':
                continue
            own = [frame for frame in stack['frames'] if self.path.search(frame['module'] or '')] if stack else []
            if not own or one['ending'] != 'complete' or not (own[0]['function'] or '').startswith(named(one['top'])):
                wrong.append((one, stack))
        self.test.expect(not wrong, f'{what}: stacks of {len(wrong)} connections: {wrong[:1]}')

    def look_at_rest(self, clients):
        """All connections are open and have been answered: what each does is known."""
        def at_rest():
            answer = self.inspector.json('ps')
            self.ids = {one['id'] for one in answer['coroutines'] if self.clients_of(one)}
            return answer if len(self.ids) == self.count else None

        answer = until(at_rest, PATIENCE, f'{self.process.name}: all {self.count} connections at rest')
        connections = self.connections(answer)
        self.test.expect_same({(one['state'], one['wait']['kind']) for one in connections}, {('parked', self.at_rest)}, 'what they do')
        peers = [peer for one in connections for peer in self.clients_of(one)]
        self.test.expect_same(len(peers), self.count, 'connections whose client is told')
        self.test.expect_same(set(peers), own_ports(clients), 'the clients\' own addresses')
        self.expect_right_peers(connections)
        unknown = [one for one in connections if one['wait']['since'] is None]
        self.test.expect(not unknown, f'since when {len(unknown)} wait is not known')
        others = [one['top'] for one in connections if not self.top.search(one['top'])]
        self.test.expect(not others, f'the top frames of {len(others)}: {set(others)}')
        self.expect_own_frames(self.inspector.json('bt'), 'at rest')
        some = peers[len(peers) // 2]
        found = self.inspector.json('ps', '--where', f"peer~'{some}$'" if self.at_rest == 'read' else f"peer~'{some}'")
        self.test.expect(some in [peer for one in found['coroutines'] for peer in self.clients_of(one)], f'{some} is not found by its peer')

    def look_under_load(self):
        """Every command, while all connections are busy."""
        inspector, test = self.inspector, self.test
        compared = 0
        for _ in range(ROUNDS):
            answer = inspector.json('ps')
            connections = self.connections(answer)
            test.expect_same(len(connections), self.count, 'connections under load')
            self.expect_possible_times(answer)
            compared += self.expect_right_peers(connections)
            self.expect_own_frames(inspector.json('bt'), 'under load')
            test.expect_same(inspector.json('lint')['findings'], [], 'lint under load')
        test.expect(compared > 0, 'nobody was seen to wait for a socket')
        self.look_at_figures()
        self.look_at_pictures()

    def look_at_figures(self):
        inspector, test = self.inspector, self.test
        test.expect('nothing found in' in inspector.text('lint'), 'lint in words')
        top = inspector.json('top', '--once', '--interval', '500ms', '-n', '5')
        test.expect_same((len(top['workers']), len(top['coroutines']), top['warnings']), (test.workers, 5, []), 'top')
        test.expect(top['switchesPerSecond'] > 0, 'no switches in top')
        text = inspector.text('top', '--once', '--interval', '200ms')
        for pattern in (r'(?m)^process \d+: [\d,]+ coroutines', r'(?m)^[\d,]+ switches/s', r'(?m)^worker 1 ', r'(?m)^ID +STATE +WAITS'):
            test.expect(re.search(pattern, text), f'top says nothing like {pattern}: {text[:400]}')
        counters = inspector.json('stat')['counters']
        test.expect(counters['coroutines_alive'] >= self.count and counters['fallbacks'] == 0 and counters['threads_native'] == 0,
                    f'counters: {counters}')
        lines = inspector.text('stat', '--prom').splitlines()
        odd = [line for line in lines if not re.fullmatch(r'(# (HELP|TYPE) \w+ .+|\w+(\{worker="\d+"\})? \d+)', line)]
        test.expect(not odd and any(line.startswith('weft_switches_total') for line in lines), f'stat --prom: {odd[:3]} of {len(lines)}')

    def look_at_pictures(self):
        inspector, test, site = self.inspector, self.test, self.process.site
        folded = inspector.text('flame', '--format', 'folded').splitlines()
        sums = sum(int(line.rsplit(' ', 1)[1]) for line in folded)
        test.expect(sums >= self.count, f'{sums} coroutines in the flame graph')
        root = xml.etree.ElementTree.fromstring(inspector.text('flame'))
        test.expect(root.tag.endswith('svg') and len(root.findall('.//{*}rect')) > 3, f'the flame graph: {root.tag}')
        snapshot, timeline = site.path('snapshot'), site.path('timeline')
        inspector.text('snap', '-o', snapshot)
        then = inspector.json('ps', target=snapshot)
        test.expect_same(len(self.connections(then)), self.count, 'connections in the snapshot')
        inspector.text('trace', '-d', '100ms', '-o', timeline)
        with open(timeline, encoding='utf-8') as file:
            events = json.load(file)['traceEvents']
        test.expect(sum(event['ph'] == 'X' for event in events) > 0, f'{len(events)} events, and nobody ran')


def named(top):
    """What a frame's function begins with: nothing where the file has no name for it."""
    return '' if re.search(r'\+0x[0-9a-f]+$', top) else top


def end(test, process, **wanted):
    test.expect_same(process.stop(), 0, 'exit status')
    test.expect_counters(process, **wanted)


def driven(test, server, held):
    """With the load generator: idle, then busy until all has been looked at; every answer right."""
    server.look_at_rest(held.popen.pid)
    held.begin()
    server.look_under_load()
    figures = held.end()
    test.expect_load(figures, f'{server.count} connections that are looked at', server.count)


def at_once(count):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 3 * count:
        raise Trouble(f'{count} connections and a limit of {hard} descriptors')
    return count


@case('inspected_stunnel')
def stunnel(test):
    with Site() as site:
        echo = recipes.announced(site, [test.tool('echo_epoll')])
        process = recipes.stunnel(site, test.woven(), echo.port)
        held = test.load.hold('echo', process.port, connections=at_once(200), size=1024, tls=True, seconds=600)
        driven(test, Server(test, process, 200, r'/stunnel4?$', r'^stunnel4?(\+|$)', 'poll'), held)
        end(test, process, **ordinary(200, pinned=1))


@case('inspected_python')
def python(test):
    with Site() as site:
        process = recipes.python_echo(site, test.woven())
        held = test.load.hold('echo', process.port, connections=at_once(300), size=512, seconds=600)
        driven(test, Server(test, process, 300, r'/python3[\d.]*$', r'^(python3[\d.]*\+|_?Py)', 'read'), held)
        process.popen.terminate()
        process.wait(PATIENCE)
        test.expect_counters(process, **ordinary(300))


def mariadb(test, count):
    with Site() as site:
        process = recipes.mariadb(site, test.woven())
        made = site.run(['mariadb', '--no-defaults', '-h127.0.0.1', f'-P{process.port}', '-uroot', '-e',
                         "CREATE DATABASE crowd; CREATE USER crowd@'127.0.0.1'; GRANT ALL ON crowd.* TO crowd@'127.0.0.1'"])
        test.expect_same(made.status, 0, f'the database: {made.err()[-300:]}')
        gate, ours = os.pipe()
        with os.fdopen(ours, 'wb', buffering=0) as spoken:
            clients = site.start([test.tool('mariadb_client'), 'steady', str(count), str(process.port)], stdin=gate)
            os.close(gate)
            clients.says('ready')
            server = Server(test, process, count, r'/mariadbd$', r'^vio_', 'poll')
            server.look_at_rest(clients.pid)
            spoken.write(b'\n')
            server.look_under_load()
        test.expect_same(clients.wait(PATIENCE), 0, f'the clients: {clients.described()}')
        right = int(re.search(r'right (\d+) wrong 0', clients.out()).group(1))
        test.note(f'{count} connections, {right} answers right')
        test.expect(right > 2 * count, f'only {right} answers')
        end(test, process, **ordinary(count, pinned=1))


for number in (200, 2000):
    def register(count=number):
        case(f'inspected_mariadb_{count}')(lambda test: mariadb(test, at_once(count)))
    register()
