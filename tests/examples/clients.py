# SPDX-License-Identifier: Apache-2.0
"""Blocking client libraries side by side in coroutines, against the real servers."""

import re

from rig.cases import case
from rig import recipes
from rig.process import Sampler, Site

EACH = 250
SECONDS = 3  # that each server takes for an answer


@case('blocking_clients')
def blocking_clients(test):
    with Site() as site:
        servers = {'mariadb': recipes.mariadb(site), 'postgres': recipes.postgres(site), 'redis': recipes.redis(site),
                   'http': recipes.nginx(site, slow_seconds=SECONDS)}
        process = test.start(site, 'blocking_clients', EACH, SECONDS, *(f'{name}={server.port}' for name, server in servers.items()))
        sampler = Sampler(process.pid)
        test.expect_same(process.wait(120), 0, f'exit status: {process.err()[-500:]}')
        test.note(process.out().splitlines()[-1] + '; ' + process.err().strip())
        for name in servers:
            test.expect(f'{name}: {EACH} of {EACH} answers right\n' in process.out(), f'{name}: {process.out()}')
        most = int(re.search(r'at most (\d+) in flight', process.out()).group(1))
        # Two kernel threads that block have two in flight.
        test.expect(most > len(servers) * EACH // 2, f'at most {most} queries in flight at once')
        test.few_threads(process, sampler)
        test.woven(process, len(servers) * EACH)
