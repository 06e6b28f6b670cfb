# SPDX-License-Identifier: Apache-2.0
"""Every system call that weft makes for itself fails, in each way it can, at several of its occurrences.

The program has asked for none of these calls, so it must behave as it does natively. The one thing it may see is a
pthread_create that says EAGAIN, where what failed was memory or a kernel thread. What could not be woven is said, once.
"""

import errno

from runs import Fault

LIBRARY = 'libweft.so'

# Not here: calls that are the program's own, made in its name, whose errors are the program's. See real_programs.py. Nor an EAGAIN
# of a transfer that could be made: every edge-triggered wait is built upon its being true.
ERRORS = {
    'epoll_create1': ('EMFILE', 'ENFILE', 'ENOMEM', 'ENOSYS', 'EPERM'),
    'epoll_ctl': ('ENOMEM', 'ENOSPC', 'EPERM', 'ENOSYS'),
    'epoll_pwait': ('EINTR', 'EPERM'),
    'epoll_pwait2': ('EINTR', 'ENOSYS', 'EPERM'),
    'eventfd2': ('EMFILE', 'ENFILE', 'ENOMEM', 'ENOSYS'),
    'fcntl': ('EMFILE', 'EINVAL', 'EPERM'),
    'fstat': ('ENOMEM', 'EPERM'),
    'futex': ('EINTR', 'EAGAIN'),
    'get_robust_list': ('ENOSYS', 'EPERM'),
    'getsockopt': ('ENOBUFS', 'EPERM'),
    'io_uring_enter': ('EAGAIN', 'EBADF', 'EBUSY', 'EINTR', 'ENOMEM'),
    'io_uring_register': ('EINVAL', 'EPERM'),
    'io_uring_setup': ('ENOSYS', 'EPERM', 'ENOMEM', 'EMFILE'),
    'madvise': ('EINVAL', 'ENOMEM', 'EAGAIN', 'EPERM'),
    'membarrier': ('ENOSYS', 'EPERM', 'ENOMEM'),
    'mmap': ('ENOMEM', 'EAGAIN', 'EPERM'),
    'mprotect': ('ENOMEM',),
    'mremap': ('ENOMEM',),
    'munmap': ('ENOMEM',),
    'openat': ('EMFILE', 'ENFILE', 'ENOENT', 'EACCES'),
    'pipe2': ('EMFILE', 'ENFILE'),
    'ppoll': ('EINTR', 'ENOMEM'),
    'prctl': ('EPERM', 'EINVAL'),
    'preadv2': ('EOPNOTSUPP', 'ENOSYS'),
    'prlimit64': ('EPERM', 'EINVAL'),
    'pwritev2': ('EOPNOTSUPP', 'ENOSYS'),
    'rseq': ('ENOSYS', 'EINVAL'),
    'rt_sigaction': ('EPERM', 'EINVAL'),
    'rt_sigpending': ('EPERM',),
    'rt_sigtimedwait': ('EINTR',),
    'sched_getaffinity': ('ENOSYS', 'EPERM'),
    'set_robust_list': ('ENOSYS',),
    'sigaltstack': ('ENOMEM', 'EPERM'),
    'signalfd4': ('EMFILE', 'ENOMEM'),
}
# Through glibc on weft's behalf: its threads, and the memory of TLS blocks.
GLIBC_ERRORS = {
    'clone3': ('EAGAIN', 'ENOMEM', 'ENOSYS', 'EPERM'),
    'mmap': ('ENOMEM',),
    'mprotect': ('ENOMEM',),
}
# These end for good, or are tried until they succeed.
NEVER_FOR_GOOD = {'EINTR', 'EAGAIN'}
MAY_REFUSE = {'mmap', 'mprotect', 'mremap', 'clone3'}


def places(count, full):
    """Where in `count` occurrences: (first, every)."""
    wanted = [(1, 0), (2, 0), (count, 0), (1, 1)]
    if full:
        wanted += [(3, 0), (4, 0), (5, 0), (8, 0), (count // 4, 0), (count // 2, 0), (3 * count // 4, 0), (1, 2), (1, 5),
                   (3, 1)]
    return sorted({(first, every) for first, every in wanted if 1 <= first <= count})


def plan(calls, native, full):
    """The faults for a program that makes these calls, by name and number of occurrences; natively, too."""
    polls = any(name in native for name in ('poll', 'ppoll', 'select', 'pselect6'))
    for name, errors in ERRORS.items():
        if name == 'ppoll' and polls:
            continue  # made in the program's name
        for error in errors if full else errors[:3]:
            for first, every in places(calls.get(name, 0), full):
                if not (every == 1 and error in NEVER_FOR_GOOD):
                    yield Fault(name, getattr(errno, error), first=first, every=every, within=LIBRARY)
    for name, errors in GLIBC_ERRORS.items():
        for error in errors if full else errors[:2]:
            for first in range(1, 9 if full else 5):
                # glibc's own start is over when the first limit has been asked for.
                yield Fault(name, getattr(errno, error), first=first, after='prlimit64')


def refused(run, fault):
    """The program says that pthread_create refused, and ended as it does then; or what failed was a call of its own or of glibc's."""
    if run.status > 0 and 'pthread_create(' in run.out:
        return True
    own = not fault.within and f'(errno {errno.errorcode[fault.error]})' in run.out
    return own or ends_without_unwinder(run, fault)


def ends_without_unwinder(run, fault):
    """glibc's own end of a thread that could not load libgcc_s."""
    return not fault.within and 'must be installed for pthread_exit' in run.err


def wrong_with(run, native, fault):
    if run.hung:
        return f'hangs\n{run.out[-500:]}{run.err[-12000:]}'
    if run.status < 0 and not ends_without_unwinder(run, fault):
        return f'dies of signal {-run.status}\n{run.err[-1000:]}'
    same = (run.status, run.out) == (native.status, native.out)
    if not same and not (fault.call in MAY_REFUSE and refused(run, fault)):
        return f'status {run.status}, not {native.status}\n{run.out[-1500:]}'
    if len(run.said) != len(set(run.said)) or len(run.said) > 2:
        return f'says too much: {run.said}'
    if run.counters and not run.said and (run.counters['threads_native'] or run.counters['fallbacks']):
        return 'is not all woven, and nothing is said of it'
    return None


def check(test, injector, name, full):
    """One program of tests/programs, PROGRAM[:ARGUMENT...]. It ends when pthread_create refuses one of its threads."""
    program, *arguments = name.split(':')
    argv = [injector.program(program), *arguments]
    native = injector.run(argv, woven=False, counted=True)
    counted = injector.run(argv, counted=True)
    test.expect((counted.status, counted.out) == (native.status, native.out), f'{name}: differs without any fault')
    test.expect(counted.counters and counted.counters['coroutines_created'] > 0, f'{name}: nothing was woven')
    runs = spoilt = 0
    calls = set()
    for fault in plan(counted.report.calls, native.report.calls, full):
        run = injector.run(argv, fault)
        if wrong_with(run, native, fault):
            run = injector.run(argv, fault, seconds=40)  # not only because others load the machine
        runs += 1
        if run.report.spoilt:
            spoilt += 1
            calls.add(fault.call)
        wrong = wrong_with(run, native, fault)
        test.expect(not wrong, f'{name}, {fault}: {wrong}')
    test.expect(spoilt * 2 > runs, f'{name}: only {spoilt} of {runs} runs met their fault')
    test.note(f'{name}: {runs} runs, {spoilt} of them spoilt, {len(calls)} system calls')
    return calls
