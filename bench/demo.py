# SPDX-License-Identifier: Apache-2.0
"""The demonstration: tinyproxy with keep-alive connections through it to nginx, natively and woven, side by side."""

import argparse
import os
import sys

from rig import mode, recipes, stats
from rig.load import Load
from rig.mode import Native, Woven
from rig.process import Sampler, Site, Trouble
from rig.report import number, table


def measure(build, how, connections, seconds):
    """One run: the figures of the load, the peak of threads and memory, the counters."""
    with Site() as site:
        origin = recipes.nginx(site)
        server = recipes.tinyproxy(site, how)
        target = f'127.0.0.1:{origin.port}'
        sampler = Sampler(server.pid)
        figures = Load(build).run('http', server.port, seconds, connections=connections, tunnel=target, warm=1,
                                  request=recipes.request_file(site, '/page.txt', target),
                                  body=site.path('www/page.txt'), server_pid=server.pid)
        sampler.stop()
        status = server.stop()
        if figures['errors'] or not figures['measured']:
            raise Trouble(f'{how.name}: {figures["errors"]} errors: {figures["complaints"]}')
        if figures['open'] != connections or status != 0:
            raise Trouble(f'{how.name}: {figures["open"]} connections open, exit status {status}')
        if how.woven:
            wrong = stats.judge(stats.of(server), at_least={'coroutines_created': connections})
            if wrong:
                raise Trouble(f'woven: {"; ".join(wrong)}')
        return figures, sampler


def row(name, connections, run):
    figures, sampler = run
    return [name, f'{connections:,}', sampler.threads, f'{sampler.memory_kb / 1024:.1f} MB', f'{figures["rps"]:,.0f}',
            f'{figures["p99_us"] / 1000:.1f} ms', f'{number(figures["cpu_us"])} us']


def main():
    parser = argparse.ArgumentParser(prog='tools/demo')
    parser.add_argument('--build', required=True, help='the build directory')
    parser.add_argument('--connections', type=int, default=1000)
    parser.add_argument('--seconds', type=float, default=5)
    options = parser.parse_args()
    missing = mode.missing(options.build)
    if missing:
        print(f'tools/demo: {missing} was not built', file=sys.stderr)
        return 1
    print(f'tinyproxy, {options.connections:,} keep-alive connections through it to nginx, {options.seconds:g} s each, '
          'every byte compared\n', flush=True)
    rows = []
    try:
        for how in (Native(), Woven(options.build)):
            rows.append(row(how.name, options.connections,
                            measure(options.build, how, options.connections, options.seconds)))
    except Trouble as trouble:
        print(f'tools/demo: {trouble}', file=sys.stderr)
        return 1
    print(table(['tinyproxy', 'connections', 'kernel threads', 'memory (RSS + page tables)', 'requests/s', 'p99',
                 'CPU per request'], rows))
    launcher = os.path.join(options.build, 'weft')
    print(f'\nEvery answer was right. Your own program, and whether it can be woven:\n\n'
          f'    {launcher} ./server\n    {launcher} check ./server')
    return 0


if __name__ == '__main__':
    sys.exit(main())
