# SPDX-License-Identifier: Apache-2.0
"""How each real program is set up and started on a free port: its configuration, its command line, when it is ready.

Every function takes a Site and a mode and returns the Process with `port` set, already listening.
"""

import glob
import os
import signal
import subprocess

from .process import Trouble, free_port, until

PYTHON = '/usr/bin/python3'


def listed(process, port):
    process.port = port
    return process.listens(port)


def web_root(site):
    """A directory with a page of 4,000 bytes and a file of 3 MB, made once a site."""
    from .process import seeded_text
    root = site.path('www')
    if not os.path.isdir(root):
        os.mkdir(root, 0o755)
        site.write('www/page.txt', seeded_text(4000))
        site.write('www/large.bin', seeded_text(3_000_000))
    return root


def request_file(site, target, host):
    name = 'request.' + ''.join(character if character.isalnum() else '_' for character in target)
    return site.write(name, f'GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: weft_load\r\n\r\n')


def nginx(site, mode=None, workers=1, thread_pool=False, slow_seconds=None):
    """`slow_seconds`: /slow is the page of 4,000 bytes, at a rate at which it takes about so long."""
    root, port = web_root(site), free_port()
    name = f'nginx.{port}'
    slow = f'location /slow {{ alias {root}/page.txt; limit_rate {4000 // slow_seconds}; }}' if slow_seconds else ''
    temporary = ''.join(f'{kind}_temp_path {site.directory}/{name}.{kind};\n'
                        for kind in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
    config = site.write(f'{name}.conf', f'''
worker_processes {workers}; daemon off; user root; pid {site.directory}/{name}.pid;
error_log {site.directory}/{name}.log; worker_rlimit_nofile 20000;
events {{ worker_connections 9000; }}
http {{
  access_log off; sendfile on; keepalive_requests 100000000; {temporary}
  server {{ listen 127.0.0.1:{port} backlog=4096; root {root}; {"aio threads;" if thread_pool else ""} {slow} }}
}}
''')
    process = listed(site.start(['nginx', '-c', config], mode), port)
    process.log = site.path(f'{name}.log')
    return process


def tinyproxy(site, mode=None):
    port = free_port()
    config = site.write(f'tinyproxy.{port}.conf', f'''
Port {port}
Listen 127.0.0.1
Allow 127.0.0.0/8
Timeout 60
MaxClients 20000
DisableViaHeader Yes
LogLevel Error
LogFile "{site.directory}/tinyproxy.{port}.log"
PidFile "{site.directory}/tinyproxy.{port}.pid"
''')
    return listed(site.start(['tinyproxy', '-d', '-c', config], mode), port)


def certificate(site):
    """A key and a self-signed certificate; elliptic, so that a thousand handshakes are soon done."""
    key, crt = site.path('tls.key'), site.path('tls.crt')
    if not os.path.exists(crt):
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
                        '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
                        '-keyout', key, '-out', crt], check=True, capture_output=True)
    return key, crt


def stunnel(site, mode, target):
    key, crt = certificate(site)
    port = free_port()
    config = site.write(f'stunnel.{port}.conf', f'''
foreground = yes
pid = {site.directory}/stunnel.{port}.pid
debug = warning
syslog = no
[service]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{target}
cert = {crt}
key = {key}
''')
    return listed(site.start(['stunnel4', config], mode), port)


def redis(site, mode=None):
    port = free_port()
    os.mkdir(site.path(f'redis.{port}'))
    return listed(site.start(['redis-server', '--port', str(port), '--bind', '127.0.0.1', '--dir',
                              site.path(f'redis.{port}'), '--save', '', '--appendonly', 'yes', '--appendfsync',
                              'everysec', '--maxclients', '10000', '--tcp-backlog', '4096'], mode), port)


def memcached(site, mode=None, threads=4):
    port = free_port()
    return listed(site.start(['memcached', '-u', 'root', '-l', '127.0.0.1', '-p', str(port), '-U', '0', '-t',
                              str(threads), '-c', '5000', '-b', '4096', '-m', '64'], mode), port)


def postgres_directory():
    found = sorted(glob.glob('/usr/lib/postgresql/*/bin/postgres'))
    if not found:
        raise Trouble('postgres is not installed')
    return os.path.dirname(found[-1])


def postgres_data(site):
    """A fresh cluster, owned by the user postgres, since the server refuses root."""
    data = site.path('pgdata')
    if not os.path.isdir(data):
        os.mkdir(data, 0o700)
        subprocess.run(['chown', 'postgres:postgres', data], check=True)
        made = site.run([f'{postgres_directory()}/initdb', '-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8',
                         '--no-sync', '--locale=C'], user='postgres', seconds=120, cwd='/')
        if made.status != 0:
            raise Trouble(f'initdb: {made.err()}')
    return data


def postgres(site, mode=None):
    data, port = postgres_data(site), free_port()
    process = site.start([f'{postgres_directory()}/postgres', '-D', data, '-p', str(port), '-c',
                          'listen_addresses=127.0.0.1', '-c', f'unix_socket_directories={data}', '-c',
                          'max_connections=300', '-c', 'fsync=off', '-c', 'autovacuum=off'], mode, user='postgres',
                         cwd='/')
    listed(process, port)
    process.ready(lambda: 'ready to accept connections' in process.err(), 'accepting connections')
    return process


def mariadb_data(site):
    """A fresh data directory as the package's own tool makes it, owned by the user mysql."""
    data = site.path('mariadb')
    if not os.path.isdir(data):
        os.mkdir(data, 0o700)
        subprocess.run(['chown', 'mysql:mysql', data], check=True)
        made = site.run(['mariadb-install-db', '--no-defaults', '--user=mysql', f'--datadir={data}', '--skip-test-db',
                         '--auth-root-authentication-method=normal'], seconds=120, cwd='/')
        if made.status != 0:
            raise Trouble(f'mariadb-install-db: {made.out()[-500:]} {made.err()[-500:]}')
    return data


def mariadb(site, mode=None, fresh=None, threads='one-thread-per-connection', more=''):
    """As the package's unit starts it, by the same configuration but for places, how many may connect, how `threads` serve them
    and the lines of `more`. `fresh`: a data directory no server has run on yet, to begin with a copy of."""
    if fresh and not os.path.isdir(site.path('mariadb')):
        subprocess.run(['cp', '-a', '--sparse=always', fresh, site.path('mariadb')], check=True)
    data, port = mariadb_data(site), free_port()
    config = site.write('mariadb.cnf', f'''
[mariadbd]
basedir = /usr
bind-address = 127.0.0.1
expire_logs_days = 10
character-set-server = utf8mb4
collation-server = utf8mb4_general_ci
datadir = {data}
socket = {data}/socket
pid-file = {data}/pid
port = {port}
thread_handling = {threads}
max_connections = 2400
back_log = 4096
max_prepared_stmt_count = 1000000
{more}
''')
    process = listed(site.start(['/usr/sbin/mariadbd', f'--defaults-file={config}'], mode, user='mysql', cwd='/'), port)
    process.ready(lambda: 'ready for connections' in process.err(), 'accepting connections')
    return process


def python_http(site, mode=None):
    root, port = web_root(site), free_port()
    return listed(site.start([PYTHON, '-u', '-m', 'http.server', '-p', 'HTTP/1.1', '-b', '127.0.0.1', '-d', root,
                              str(port)], mode), port)


PYTHON_ECHO = '''
import socketserver, threading
class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 4096
    daemon_threads = True
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)
with Server(('127.0.0.1', 0), Handler) as server:
    print('port', server.server_address[1], flush=True)
    server.serve_forever()
'''

# http.server's command line listens with a backlog of 5, and its answers of two pieces wait for a delayed acknowledgement.
PYTHON_PAGES = '''
import functools, http.server, sys
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 4096
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    def log_message(self, *words): pass
with Server(('127.0.0.1', 0), functools.partial(Handler, directory=sys.argv[1])) as server:
    print('port', server.server_address[1], flush=True)
    server.serve_forever()
'''


def python_echo(site, mode=None):
    """socketserver.ThreadingTCPServer."""
    return announced(site, [PYTHON, '-u', site.write('echo.py', PYTHON_ECHO)], mode)


def python_pages(site, mode=None):
    """http.server.ThreadingHTTPServer, for thousands who come at once and want their answer soon."""
    return announced(site, [PYTHON, '-u', site.write('pages.py', PYTHON_PAGES), web_root(site)], mode)


def announced(site, argv, mode=None, **how):
    """A server of the project's own: it picks a port and prints it."""
    process = site.start(argv, mode, **how)
    process.port = int(process.says('port'))
    return process


def node_http(site, mode=None):
    root = web_root(site)
    script = site.write('server.js', '''
const fs = require('fs'), http = require('http'), path = require('path');
const root = process.argv[2];
const page = fs.readFileSync(path.join(root, 'page.txt'));
const server = http.createServer((request, response) => {
  if (request.url === '/page.txt') {
    response.writeHead(200, {'Content-Length': page.length});
    response.end(page);
    return;
  }
  fs.readFile(path.join(root, path.basename(request.url)), (error, data) => {
    response.writeHead(error ? 404 : 200, {'Content-Length': error ? 0 : data.length});
    response.end(error ? undefined : data);
  });
});
server.keepAliveTimeout = 60000;
server.maxRequestsPerSocket = 0;
server.listen(0, '127.0.0.1', 4096, () => console.log('port ' + server.address().port));
process.on('SIGTERM', () => { server.close(); server.closeAllConnections(); });
''')
    return announced(site, ['node', script, root], mode)


def stop_all(*processes):
    for process in processes:
        process.stop(signal.SIGTERM)


def redis_idle(process):
    """Waits until a background save of redis is over."""
    def idle():
        info = subprocess.run(['redis-cli', '-p', str(process.port), 'info', 'persistence'], capture_output=True,
                              text=True, check=True, timeout=20).stdout
        return 'rdb_bgsave_in_progress:0' in info and 'aof_rewrite_in_progress:0' in info and info
    return until(idle, 30, 'the background save')
