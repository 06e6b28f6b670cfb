# SPDX-License-Identifier: Apache-2.0
"""Running the load generator, and holding its connections open."""

import os
import subprocess

from .process import Trouble


def arguments(protocol, port, options):
    words = [protocol, '--port', str(port)]
    for key, value in options.items():
        name = '--' + key.replace('_', '-')
        if value is True:
            words.append(name)
        elif value is not None and value is not False:
            words += [name, str(value)]
    return words


def parse(line):
    """The figures of a key=value line, as numbers."""
    return {key: float(value) if '.' in value else int(value)
            for key, _, value in (word.partition('=') for word in line.split())}


class Load:
    """The load generator of a build directory, optionally behind a prefix such as taskset."""

    def __init__(self, build, prefix=()):
        self.command = [*prefix, os.path.join(build, 'weft_load')]

    def run(self, protocol, port, seconds=2, **options):
        """One run to its end: its figures, and 'complaints', what it said about failures."""
        words = self.command + arguments(protocol, port, {'seconds': seconds, **options})
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds + 120,
                              check=False)
        if done.returncode not in (0, 1):
            raise Trouble(f'load generator: {done.stderr}')
        return {**parse(done.stdout), 'complaints': done.stderr.strip()}

    def hold(self, protocol, port, **options):
        return Held(self.command + arguments(protocol, port, {**options, 'gate': True}))


class Held:
    """Connections that are all open and have each been answered once; they stay so until go() or release()."""

    def __init__(self, words):
        self.popen = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      text=True)
        self.first = self.popen.stdout.readline()
        if not self.first.startswith('ready '):
            raise Trouble(f'connections could not be held open: {self.first}{self.popen.communicate()[1]}')
        self.open = parse(self.first.split(None, 1)[1])['conns']

    def _end(self, word):
        out, err = self.popen.communicate(word, timeout=120)
        return {**parse(out), 'complaints': err.strip()}

    def go(self):
        """Lets the exchanges begin and waits for their end."""
        return self._end('go\n')

    def begin(self):
        """Lets the exchanges begin, which last until end()."""
        self.popen.stdin.write('go\n')
        self.popen.stdin.flush()

    def end(self):
        return self._end('end\n')

    def release(self):
        """Closes them; 'lost' says how many the server had closed."""
        return self._end('')
