# SPDX-License-Identifier: Apache-2.0
"""The three ways to make 1,000 look-ups: equal answers, and those that the server has."""

import os
import sys

from dns_server import address_of, truncated
from rig.cases import case
from rig.mode import Native
from rig.process import Sampler, Site

LOOK_UPS = 1000
DELAY_MS = 20
SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'dns_server.py')
WAYS = ('synchronous', 'asynchronous', 'coroutines')


def server(site, delay_ms=DELAY_MS):
    process = site.start([sys.executable, '-B', SERVER, str(delay_ms)])
    process.port = int(process.says('port'))
    return process


@case('dns')
def dns(test):
    wanted = ''.join(f'host{index:04}.weft.example {address_of(index) or "0.0.0.0"}\n' for index in range(LOOK_UPS))
    by_tcp = sum(truncated(index) for index in range(LOOK_UPS))
    for way in WAYS:
        with Site() as site:
            replies = server(site)
            process = test.start(site, f'dns_{way}', replies.port, mode=Native() if way != 'coroutines' else None)
            sampler = Sampler(process.pid)
            test.expect_same(process.wait(120), 0, f'exit status of {process.name}')
            test.expect_same(process.out(), wanted, f'answers of {process.name}')
            replies.stop()
            udp, tcp, most = (int(word) for word in replies.out().split('\n')[1].split()[1::2])
            test.note(f'{process.name}: {process.err().strip()}, at most {most} replies owed at once')
            # A question that is lost is asked again.
            test.expect(udp >= LOOK_UPS and tcp >= by_tcp, f'{udp} replies by UDP and {tcp} by TCP')
            test.expect((most == 1) == (way == 'synchronous'), f'{process.name}: {most} replies owed at once')
            test.few_threads(process, sampler)
            if way == 'coroutines':
                test.woven(process, LOOK_UPS)
