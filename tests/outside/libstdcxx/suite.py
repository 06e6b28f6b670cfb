# SPDX-License-Identifier: Apache-2.0
"""libstdc++'s thread tests: unpacked from Debian's package of GCC's source, read for their directives, compiled once."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tarfile

PACKAGE = 'gcc-12-source'
COMPILER = 'g++-12'
DEFAULT_STANDARD = 17
STANDARD_NAMES = {'98': 98, '11': 11, '14': 14, '17': 17, '1z': 17, '20': 20, '2a': 20, '23': 23, '2b': 23}


class DoesNotCompile(Exception):
    """The text is what the compiler said."""


def tarball():
    listed = subprocess.run(['dpkg', '-L', PACKAGE], capture_output=True, text=True, check=False).stdout.split()
    found = [path for path in listed if re.search(r'/gcc-12\.[^/]*\.tar\.xz$', path)]
    if not found:
        raise SystemExit(f'the package {PACKAGE} is not installed: tests/install-packages test')
    return found[0]


def unpack(directory):
    """Unpacks the test suite below `directory`, once for each version of the package; the root of it."""
    archive = tarball()
    name = os.path.basename(archive).removesuffix('.tar.xz')
    root = os.path.join(directory, name)
    if not os.path.isdir(root):
        fresh = root + '.unpacking'
        shutil.rmtree(fresh, ignore_errors=True)
        with tarfile.open(archive, 'r|xz') as file:
            for member in file:
                inside = member.name.partition('/libstdc++-v3/testsuite/')[2]
                if member.isfile() and inside:
                    member.name = inside
                    file.extract(member, fresh)
        os.rename(fresh, root)
    return root


def names(root):
    """The tests that have to do with threads: all of 30_threads, those of 29_atomics that wait, and what wants -pthread."""
    found = []
    for directory, _, files in os.walk(root):
        for name in (os.path.relpath(os.path.join(directory, file), root) for file in files if file.endswith('.cc')):
            if name.startswith('30_threads') or 'wait_notify' in name or '-pthread' in Test(root, name).source:
                found.append(name)
    return sorted(found)


class Test:
    """One file, and how its dg- directives want it built. How it has to end need not be known: natively is right."""

    def __init__(self, root, name):
        self.root, self.name = root, name
        with open(os.path.join(root, name), encoding='utf-8', errors='replace') as file:
            self.source = file.read()

    def directives(self, name):
        """The arguments of each directive of that name, one string each."""
        return [match.strip() for match in re.findall(r'\{ dg-' + name + r'\s(.*?)\}\s*(?:$|//|\*/)', self.source, re.M)]

    def is_run(self):
        return any(re.match(r'run\b', arguments) for arguments in self.directives('do'))

    def flags(self):
        """The compiler's flags."""
        words = []
        for arguments in self.directives('options') + self.directives('additional-options'):
            quoted = re.match(r'"([^"]*)"', arguments)
            words += shlex.split(quoted.group(1)) if quoted else []
        if not any(word.startswith('-O') for word in words):
            words.insert(0, '-O2')
        words += [f'-std=gnu++{self.standard(words)}'] if not any(word.startswith('-std=') for word in words) else []
        if any('libatomic' in arguments for arguments in self.directives('add-options')):
            words.append('-latomic')
        return words

    def standard(self, words):
        """The language: what the target of dg-do or dg-require-effective-target asks for, at least the compiler's own."""
        target = ' '.join(self.directives('do') + self.directives('require-effective-target'))
        only = re.search(r'c\+\+(\w\w)_only', target)
        if only:
            return only.group(1)
        wanted = [STANDARD_NAMES[text] for text in re.findall(r'c\+\+(\w\w)\b', target) if text in STANDARD_NAMES]
        return max(wanted + [DEFAULT_STANDARD])

    def compile(self, directory):
        """Compiles into `directory`, or finds what an earlier run compiled there. The program's path."""
        command = [COMPILER, '-g0', '-D_GLIBCXX_ASSERT', '-w', '-fmessage-length=0', '-I', os.path.join(self.root, 'util'),
                   os.path.join(self.root, self.name)] + [word for word in self.flags() if word != '-latomic']
        command += ['-pthread'] if '-pthread' not in command else []
        command += ['-latomic'] if '-latomic' in self.flags() else []
        key = hashlib.sha256('\0'.join(command + [self.source]).encode()).hexdigest()[:16]
        program = os.path.join(directory, self.name.removesuffix('.cc').replace('/', '.') + '-' + key)
        if not os.path.exists(program):
            done = subprocess.run(command + ['-o', program + '.new'], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise DoesNotCompile((done.stdout + done.stderr).strip()[:300])
            os.rename(program + '.new', program)
        return program
