# SPDX-License-Identifier: Apache-2.0
"""Which modules of CPython's test suite are run: those of threads, locks, sockets, servers, signals and processes."""

MODULES = (
    'test_thread', 'test_threading', 'test_threading_local', 'test_threadsignals', 'test_threadedtempfile',
    'test_queue', 'test_sched', 'test_concurrent_futures', 'test_context', 'test_select', 'test_selectors',
    'test_poll', 'test_epoll', 'test_socket', 'test_socketserver', 'test_timeout', 'test_ssl', 'test_asyncore',
    'test_asynchat', 'test_smtpd', 'test_httpservers', 'test_httplib', 'test_urllib2_localnet', 'test_xmlrpc',
    'test_docxmlrpc', 'test_wsgiref', 'test_ftplib', 'test_poplib', 'test_smtplib', 'test_imaplib', 'test_nntplib',
    'test_telnetlib', 'test_logging', 'test_signal', 'test_faulthandler', 'test_eintr', 'test_time', 'test_fcntl',
    'test_mmap', 'test_pty', 'test_io', 'test_subprocess', 'test_popen', 'test_fork1', 'test_wait3', 'test_wait4',
    'test_os', 'test_posix', 'test_multiprocessing_fork', 'test_multiprocessing_forkserver',
    'test_multiprocessing_spawn', 'test_multiprocessing_main_handling',
    # Of other subjects, with threads of their own.
    'test__xxsubinterpreters', 'test_interpreters', 'test_bz2', 'test_decimal', 'test_email', 'test_enum',
    'test_functools', 'test_gc', 'test_hashlib', 'test_import', 'test_importlib', 'test_itertools', 'test_pdb',
    'test_sys', 'test_syslog', 'test_weakref',
) + tuple('test_asyncio.' + name for name in (
    'test_base_events', 'test_buffered_proto', 'test_context', 'test_events', 'test_futures', 'test_futures2', 'test_locks',
    'test_pep492', 'test_protocols', 'test_queues', 'test_runners', 'test_selector_events', 'test_sendfile',
    'test_server', 'test_sock_lowlevel', 'test_ssl', 'test_sslproto', 'test_streams', 'test_subprocess',
    'test_taskgroups', 'test_tasks', 'test_threads', 'test_timeouts', 'test_transports', 'test_unix_events',
    'test_waitfor',
))

# What cannot be run natively either: module, then what the ids contain, and why. Said at the end of each run.
LEFT_OUT = {
    'test_socket': ('VSOCK', 'they hang where the kernel has the family and no machine answers'),
    'test_timeout': ('TCPTimeoutTestCase', 'they need hosts of the Internet'),
}

# Whose tests send signals to the main thread and expect to be it; called by another they end early or never, natively too.
OF_MAIN = ('test_signal', 'test_threadsignals', 'test_asyncio.test_runners')

# The default size, fixed and named: a module and what the ids of its tests contain, or nothing for all of them.
SAMPLE = {
    'test_threading': (),
    'test_poll': (),
    'test_concurrent_futures': ('ThreadPoolExecutorTest', 'ThreadPoolShutdownTest'),
    'test_socket': (
        'BasicTCPTest', 'BasicUDPTest', 'BasicSocketPairTest', 'BufferIO', 'FileObjectClassTestCase', 'NetworkConnection',
        'RecvmsgUDPTest', 'RecvmsgUnixStreamTest', 'RecvmsgSCMRightsStreamTest', 'SendmsgTCPTest',
    ),
    'test_queue': (),
    'test_threadsignals': (),
    'test_thread': (),
    'test_threading_local': (),
    'test_select': (),
    'test_epoll': (),
    'test_socketserver': (),
}

# The same with --in-thread: calls that the others leave to the main thread, which is a kernel thread woven as well.
SAMPLE_IN_THREAD = {
    'test_os': (),
    'test_posix': (),
    'test_selectors': (),
    'test_select': (),
    'test_epoll': (),
    'test_fcntl': (),
    'test_pty': (),
    'test_popen': (),
    'test_mmap': (),
    'test_timeout': (),
}
