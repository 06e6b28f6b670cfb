# SPDX-License-Identifier: Apache-2.0
"""Which tests glibc has and what its Makefiles give them, read by make itself from Debian's source package.

The Makefiles of a few subdirectories are read beside our own Makeconfig and Rules (makefiles/), which print the lists and
flags instead of building anything. Nothing of glibc's is kept: the source is unpacked into the build directory.
"""
import os
import re
import shlex
import shutil
import subprocess
import tarfile

ARCHIVE_DIRECTORY = '/usr/src/glibc'
# All tests of these, and of the others those whose source makes threads.
WHOLE = ('nptl', 'signal', 'socket', 'rt')
THREADED = ('misc', 'stdlib', 'posix', 'io', 'libio', 'malloc', 'elf', 'debug')
SYSDEPS = ('sysdeps/unix/sysv/linux/x86_64', 'sysdeps/unix/sysv/linux/x86', 'sysdeps/unix/sysv/linux', 'sysdeps/nptl',
           'sysdeps/pthread', 'sysdeps/x86/nptl', 'sysdeps/x86_64/nptl', 'sysdeps/x86_64', 'sysdeps/x86', 'sysdeps/posix')
MAKES_THREADS = re.compile(r'\b(x?pthread_create|thrd_create)\b')
# Shell syntax that our stand-in does not need, since nothing is built by make.
MAKE_VARIABLE = re.compile(r'\$[({].*?[)}]')


class Trouble(Exception):
    """The suite cannot be read or built; the text says what and why."""


class Item:
    """A test program or a module that one loads: where its source is and what the Makefile gives it."""

    def __init__(self, kind, subdir, name, source, makefile, fields, links, loads, copies):
        self.kind, self.subdir, self.name, self.source = kind, subdir, name, source
        self.compile, self.link, self.libraries, environment, arguments = fields
        self.links, self.loads, self.copies = links, loads, copies
        self.makefile = makefile
        self.environment = dict(word.split('=', 1) for word in environment if '=' in word)
        self.arguments = arguments

    @property
    def label(self):
        return f'{self.subdir}/{self.name}'


def unpack(build):
    """The unpacked source: ready at once if an earlier run left it whole."""
    archives = [name for name in sorted(os.listdir(ARCHIVE_DIRECTORY)) if re.fullmatch(r'glibc-[\d.]+\.tar\.xz', name)] \
        if os.path.isdir(ARCHIVE_DIRECTORY) else []
    if not archives:
        raise Trouble(f'no glibc source in {ARCHIVE_DIRECTORY}: apt-get install glibc-source')
    source = os.path.join(build, archives[-1][:-len('.tar.xz')])
    if not os.path.isdir(source):
        scratch = os.path.join(build, 'unpacking')
        shutil.rmtree(scratch, ignore_errors=True)
        with tarfile.open(os.path.join(ARCHIVE_DIRECTORY, archives[-1])) as archive:
            archive.extractall(scratch)
        os.rename(os.path.join(scratch, os.path.basename(source)), source)
        os.rmdir(scratch)
    return source


def find_source(source, subdir, name):
    for directory in (subdir,) + SYSDEPS:
        for suffix in ('.c', '.cc'):
            path = os.path.join(source, directory, name + suffix)
            if os.path.exists(path):
                return path
    return None


def ask_make(source, build, subdir):
    """make's data base of one subdirectory, and the lines that Rules prints in it."""
    mirror = os.path.join(build, 'makefiles')
    os.makedirs(os.path.join(mirror, subdir), exist_ok=True)
    own = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'makefiles')
    for name in os.listdir(own):
        shutil.copy(os.path.join(own, name), mirror)
    open(os.path.join(mirror, 'gen-locales.mk'), 'w').close()
    shutil.copy(os.path.join(source, subdir, 'Makefile'), os.path.join(mirror, subdir))
    asked = subprocess.run(['make', '-rRspn', '-C', os.path.join(mirror, subdir), 'say', f'OBJECTS={build}/objects',
                            f'SOURCE={source}', 'SYSDEPS=' + ' '.join(SYSDEPS)], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    lines = asked.stdout.splitlines()
    if not any(line.startswith('test|') for line in lines):
        raise Trouble(f'make says no tests of {subdir}: {asked.stderr}')
    return lines


def prerequisites(lines):
    rules = {}
    for line in lines:
        target, colon, rest = line.partition(': ')
        if colon and target.startswith('/') and not line.startswith('#'):
            rules.setdefault(target, []).extend(rest.split())
    return rules


def read_subdir(source, build, subdir):
    lines = ask_make(source, build, subdir)
    rules = prerequisites(lines)
    items = {}
    for line in lines:
        parts = line.split('|')
        if len(parts) != 7 or parts[0] not in ('static', 'internal', 'container', 'test', 'module'):
            continue
        kind, name = parts[:2]
        if name in items:
            continue
        program = os.path.join(build, 'objects', subdir, name)
        links = [path for path in rules.get(program, []) + rules.get(program + '.so', []) if path.endswith(('.so', '.o'))]
        loads = [path for path in rules.get(program + '.out', []) if path.endswith('.so')]
        fields = [shlex.split(MAKE_VARIABLE.sub('', part)) for part in parts[2:]]
        copies = {path: rules[path][0] for path in loads if rules.get(path, [''])[0].endswith('.so')}
        items[name] = Item(kind, subdir, name, find_source(source, subdir, name), os.path.join(source, subdir, 'Makefile'), fields,
                           links, loads, copies)
    return items


def read(source, build):
    """Every test by label, and the modules by path of their object."""
    tests, modules = {}, {}
    for subdir in WHOLE + THREADED:
        for item in read_subdir(source, build, subdir).values():
            if item.kind == 'module':
                modules[os.path.join(build, 'objects', subdir, item.name + '.so')] = item
            elif subdir in WHOLE or item.source and MAKES_THREADS.search(open(item.source, encoding='utf-8',
                                                                              errors='replace').read()):
                tests[item.label] = item
    return tests, modules
