# SPDX-License-Identifier: Apache-2.0
"""Event-loop web servers, which weft must leave as they are: nginx and node."""

import json
import os
import signal
import urllib.request

from case import CONNECTIONS, LOAD_SECONDS
from rig.cases import case
from rig import recipes, stats
from rig.process import Site, seeded_text, tree, until


def fetch(port, path):
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/{path}', timeout=20) as answer:
        return answer.read()


def load_page(test, site, server, count=CONNECTIONS):
    figures = test.load.run('http', server.port, LOAD_SECONDS, connections=count, body=site.path('www/page.txt'),
                            request=recipes.request_file(site, '/page.txt', 'localhost'))
    test.expect_load(figures, f'{count} connections', count)


@case('nginx')
def nginx(test):
    """Two worker processes, a reload under way; then with a pool of threads for files."""
    native_status = {}
    for mode in test.modes():
        for pool, number in ((False, signal.SIGTERM), (True, signal.SIGINT)):
            with Site() as site:
                server = recipes.nginx(site, mode, workers=2, thread_pool=pool)
                test.expect(fetch(server.port, 'large.bin') == seeded_text(3_000_000), '3 MB GET differs')
                load_page(test, site, server)
                before = set(tree(server.pid))
                os.kill(server.pid, signal.SIGHUP)
                until(lambda: len(set(tree(server.pid)) - before) >= 2 and len(tree(server.pid)) == 3, 20,
                      'the workers of the new configuration alone')
                test.expect(fetch(server.port, 'large.bin') == seeded_text(3_000_000), 'GET after a reload differs')
                status = server.stop(number)
                native_status.setdefault(number, status)
                test.expect_same(status, native_status[number], f'exit status after {number.name}')
                with open(server.log, encoding='utf-8', errors='replace') as log:
                    bad = [line for line in log if '[emerg]' in line or '[alert]' in line or '[crit]' in line]
                test.expect(not bad, f'error log: {bad[:2]}')
                # Without a pool there is no second thread, so weft must not even have begun.
                idle = {} if pool else {'coroutines_created': 0, 'carriers_created': 0}
                test.expect_quiet_tree(server, **idle)
                if pool and mode.woven:
                    test.expect(any(block['coroutines_created'] > 0 for block in stats.read(server.stats_path)),
                                'the pool of threads was not woven')


WORK = '''
const crypto = require('crypto'), dns = require('dns').promises, fs = require('fs').promises, os = require('os');
const {Worker, isMainThread, parentPort, workerData} = require('worker_threads');
const {execFile} = require('child_process');
const zlib = require('zlib'), {promisify} = require('util');
if (!isMainThread) {
  let sum = 0;
  for (let i = 0; i < 1e6; i++) sum = (sum + i * workerData) % 1000003;
  parentPort.postMessage(sum);
} else {
  const worker = n => new Promise((yes, no) => {
    const w = new Worker(__filename, {workerData: n});
    w.on('message', yes); w.on('error', no);
  });
  (async () => {
    const keys = await Promise.all([...Array(16).keys()].map(i =>
        promisify(crypto.pbkdf2)('word' + i, 'salt', 2000, 16, 'sha256')));
    const sums = await Promise.all([1, 2, 3, 4].map(worker));
    const names = await Promise.all([...Array(20).keys()].map(() => dns.lookup('localhost', {family: 4})));
    const packed = await promisify(zlib.deflate)(Buffer.alloc(1e6, 'weft'));
    const file = process.argv[2];
    await fs.writeFile(file, packed);
    const back = await promisify(zlib.inflate)(await fs.readFile(file));
    const child = await promisify(execFile)('/bin/sh', ['-c', 'echo child; exit 0']);
    const start = Date.now();
    await new Promise(done => setTimeout(done, 50));
    console.log(JSON.stringify({keys: keys.map(k => k.toString('hex')), sums, names: names.map(n => n.address),
        packed: packed.length, same: back.equals(Buffer.alloc(1e6, 'weft')), child: child.stdout,
        slept: Date.now() - start >= 49}));
  })();
}
'''


@case('node')
def node(test):
    """A server under load, and a script that uses the thread pool, workers, names, files, children and timers."""
    native = {}
    for mode in test.modes():
        with Site() as site:
            server = recipes.node_http(site, mode)
            test.expect(fetch(server.port, 'large.bin') == seeded_text(3_000_000), '3 MB GET differs')
            load_page(test, site, server)
            native.setdefault('TERM', server.stop(signal.SIGTERM))
            test.expect_same(server.popen.returncode, native['TERM'], 'exit status after SIGTERM')
            test.expect_counters(server)
            server = recipes.node_http(site, mode)
            native.setdefault('INT', server.stop(signal.SIGINT))
            test.expect_same(server.popen.returncode, native['INT'], 'exit status after SIGINT')
            script = site.run(['node', site.write('work.js', WORK), site.path('packed')], mode)
            native.setdefault('work', (script.status, script.out()))
            test.expect(script.status == 0 and json.loads(script.out() or '{}').get('same'),
                        f'script: {script.status} {script.err()[-300:]}')
            test.expect_same((script.status, script.out()), native['work'], 'what the script printed')
            test.expect_quiet_tree(script)
