# SPDX-License-Identifier: Apache-2.0
"""Compiles glibc's support library and its tests against the installed libc.

The system's headers come first and glibc's own directories after all others, so that what the installed libc declares is
what the tests see, and only what it does not install (support/, a few internal helpers) comes from the source. A result is
kept with the command that made it; a refusal of the compiler is kept as well, with its first words.
"""
import os
import subprocess

from plan import SYSDEPS, find_source

COMMON = ['-O2', '-g', '-w', '-D_GNU_SOURCE', '-D_LIBC_REENTRANT', '-DIS_IN(x)=0', '-DTIMEOUTFACTOR=1', '-Dattribute_hidden=',
          '-Dlibc_hidden_proto(...)=', '-Dlibc_hidden_def(...)=', '-Dweak_function=__attribute__((weak))']
COMPILE_TIMEOUT = 120


def run_compiler(command, product):
    """None if the product is there now, else the compiler's first error; both are remembered beside it."""
    record, text = product + '.made', '\0'.join(command)
    if os.path.exists(record):
        with open(record, encoding='utf-8') as file:
            made, _, error = file.read().partition('\n')
        if made == text and (error or os.path.exists(product)):
            return error or None
    os.makedirs(os.path.dirname(product), exist_ok=True)
    if os.path.exists(product):
        os.unlink(product)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          timeout=COMPILE_TIMEOUT, errors='replace')
    error = ''
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if 'error:' in line or 'undefined reference' in line]
        error = (lines or done.stderr.splitlines() or ['?'])[0].strip()
    with open(record, 'w', encoding='utf-8') as file:
        file.write(f'{text}\n{error}')
    return error or None


class Builder:
    def __init__(self, source, build, modules):
        self.source, self.build, self.modules = source, build, modules
        self.objects = os.path.join(build, 'objects')
        self.archive = os.path.join(self.objects, 'support', 'libsupport.a')
        after = [source] + [os.path.join(source, name) for name in ('include',) + SYSDEPS + ('sysdeps/generic', 'nptl')]
        self.includes = [word for directory in after for word in ('-idirafter', directory)]

        os.makedirs(self.objects, exist_ok=True)
        with open(os.path.join(self.objects, 'config.h'), 'w', encoding='utf-8') as file:
            file.write('')
        # What the build of glibc makes for tests that link old symbol versions: x86-64 has none before 2.2.5.
        with open(os.path.join(self.objects, 'abi-versions.h'), 'w', encoding='utf-8') as file:
            for library in ('libc', 'libpthread'):
                for minor in range(0, 37):
                    file.write(f'#define ABI_{library}_GLIBC_2_{minor} {minor + 1}\n'
                               f'#define VERSION_{library}_GLIBC_2_{minor} GLIBC_{"2.2.5" if minor < 3 else f"2.{minor}"}\n')
        self.includes += ['-idirafter', self.objects]

    def compiler(self, path, subdir, internal=False):
        language = ['g++', '-std=gnu++11'] if path.endswith('.cc') else ['gcc', '-std=gnu11']
        return language + COMMON + ([] if internal else ['-D_ISOMAC']) + ['-I', os.path.join(self.source, subdir)] + self.includes

    def support_paths(self):
        places = {'SRCDIR_PATH': self.source, 'OBJDIR_PATH': self.objects, 'OBJDIR_ELF_LDSO_PATH': '/lib64/ld-linux-x86-64.so.2',
                  'INSTDIR_PATH': '/usr', 'LIBDIR_PATH': '/usr/lib', 'BINDIR_PATH': '/usr/bin', 'SBINDIR_PATH': '/usr/sbin',
                  'SLIBDIR_PATH': '/lib', 'ROOTSBINDIR_PATH': '/sbin', 'COMPLOCALEDIR_PATH': '/usr/lib/locale'}
        return [f'-D{name}="{place}"' for name, place in places.items()]

    def support_command(self, name):
        path = os.path.join(self.source, 'support', name + '.c')
        product = os.path.join(self.objects, 'support', name + '.o')
        return self.compiler(path, 'support') + ['-fPIC', '-include', 'limits.h'] + self.support_paths() + ['-c', path, '-o', product], product

    def build_support(self, pool):
        """The archive of every part of support/ that compiles; the parts that do not, with the reason."""
        names = sorted(name[:-2] for name in os.listdir(os.path.join(self.source, 'support'))
                       if name.endswith('.c') and not name.startswith(('tst-', 'README'))
                       and not name.endswith(('blob_main.c', 'string_main.c', '-container.c', 'program-c.c', '-time64.c',
                                             'test-run-command.c', 'test-driver.c')))
        commands = [self.support_command(name) for name in names]
        errors = list(pool.map(lambda command: run_compiler(*command), commands))
        parts = [product for (_, product), error in zip(commands, errors) if not error]
        newest = max(os.path.getmtime(part) for part in parts)
        if not os.path.exists(self.archive) or os.path.getmtime(self.archive) < newest:
            subprocess.run(['rm', '-f', self.archive], check=True)
            subprocess.run(['ar', 'rcs', self.archive] + parts, check=True)
        return {name: error for name, error in zip(names, errors) if error}

    def module_commands(self, path):
        """What makes one module: those it is linked with come first."""
        item = self.modules.get(path)
        if item is None or item.source is None:
            return []
        needed = [command for link in item.links for command in self.module_commands(link)]
        command = self.compiler(item.source, item.subdir, item.kind == 'internal') + item.compile + ['-fPIC', '-shared', '-Wl,--allow-shlib-undefined'] + \
            [item.source] + item.links + [self.archive] + item.link + item.libraries + ['-o', path]
        return needed + [(command, path)]

    def program_of(self, item):
        return os.path.join(self.objects, item.subdir, item.name)

    def test_commands(self, item):
        """The commands that make a test, in order; each is (command, product)."""
        directory = os.path.join(self.objects, item.subdir)
        commands = []
        for path in item.links + item.loads:
            if path in item.copies and path not in self.modules:
                original = item.copies[path]
                commands += [command for command in self.module_commands(original) if command not in commands]
                commands.append((['cp', '-f', original, path], path))
            elif path.endswith('.so'):
                commands += self.module_commands(path)
            else:
                name = os.path.basename(path)[:-2]
                auxiliary = find_source(self.source, item.subdir, name)
                flags = ['-fexceptions'] if 'x4' in name else []
                commands.append((self.compiler(auxiliary, item.subdir) + flags + ['-c', auxiliary, '-o', path], path))
        product = self.program_of(item)
        commands.append((self.compiler(item.source, item.subdir, item.kind == 'internal') + item.compile + [item.source] + item.links + [self.archive] +
                         item.link + item.libraries + ['-Wl,-rpath,' + directory, '-lpthread', '-lrt', '-ldl', '-lm',
                                                       '-o', product], product))
        return commands


def build_test(commands):
    """None, or why the test cannot be built. Modules made for it stay even so."""
    for command, product in commands:
        error = run_compiler(command, product)
        if error:
            return error
    return None
