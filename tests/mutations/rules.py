# SPDX-License-Identifier: Apache-2.0
"""What is left out, and which test has to notice.

Each rule of the runtime that an attack has shown to be needed is taken away in turn: `old` stands once in `file` and becomes `new`.
`tests` is an expression for ctest; at least one test that it matches must fail then.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    rule: str
    file: str
    old: str
    new: str
    tests: str


MUTATIONS = [
    Mutation('glibc\'s handlers of its own signals run with the carrier\'s fs', 'sched/internal_signals.cc',
             '  weft_load_fs(self->carrier->loop.fs);\n', '', r'programs\.identities_.*'),
    Mutation('a thread made after a change of kernel state is a kernel thread', 'hook/kernel_state.cc',
             '  thread_state.kernel_state_changed = true;\n', '', r'programs\.inherited_.*'),
    Mutation('a coroutine that changes kernel state keeps its carrier', 'hook/kernel_state.cc',
             '  pin_current();\n', '', r'programs\.own_state'),
    Mutation('a new thread has its creator\'s control words', 'sched/tls_block.cc',
             '*frame = {.mxcsr = mxcsr,', '*frame = {.mxcsr = 0x1f80 + 0 * mxcsr,', r'programs\.rounding_modes'),
    Mutation('a closed stream\'s descriptor is forgotten', 'hook/open.cc',
             '  int error = flush_before_close(stream);\n  note_closing_stream(stream);', '  int error = flush_before_close(stream);',
             r'programs\.close_under_reader'),
    Mutation('the monitor looks once at a wait that lasts', 'sched/monitor.cc',
             '      poller_rescue(now);\n', '', r'unit\.poller_test|programs\.between_descriptors'),
    Mutation('an event between the try and the wait is seen', 'sched/poller.cc',
             'if (d->ready[(int)wait->direction].events.load(std::memory_order_relaxed) != wait->seen) return Joined::ready;',
             '', r'unit\.poller_test|programs\.echo_stream'),
    Mutation('who succeeds wakes the next one that waits there', 'sched/poller.cc',
             '  if (worth_trying(d, direction)) wake_locked(d, direction, false);\n', '',
             r'programs\.(two_waiters|many_acceptors)|unit\.poller_test'),
    Mutation('only EAGAIN ends readiness', 'sched/poller.cc',
             '    raise_locked(d, Direction::read);\n    woken', '    woken', r'unit\.poller_test|programs\.echo_stream'),
    Mutation('a vfork child touches no table', 'hook/fd_table.h',
             'return descriptor_table && !thread_state.vfork_child;', 'return descriptor_table;', r'programs\.vfork_exec'),
    Mutation('a vfork child begins with the coroutine\'s mask', 'hook/process.cc',
             '  if (self) sys::sigprocmask(SIG_SETMASK, &self->signal_mask, nullptr);\n', '', r'programs\.vfork_mask'),
    Mutation('a stuck carrier loses its worker although nobody is queued there: its epoll has events', 'sched/monitor.cc',
             'if (worker->ticks_stuck >= (ready ? kStuckBusy : kStuckIdle) &&', 'if (worker->length.load() && worker->ticks_stuck >= 2 &&',
             r'unit\.coroutine_test|programs\.others_go_on_.*'),
    Mutation('a child is made with the coroutine\'s mask, not the carrier\'s', 'hook/process.cc',
             'return with_own_mask([&] { return real().posix_spawn(pid,', 'return ([&](auto call) { return call(); })([&] { return real().posix_spawn(pid,',
             r'programs\.children'),
    Mutation('SIGPIPE goes to the coroutine that wrote', 'hook/socket.cc',
             '  if (result == -EPIPE && !message && !(flags & MSG_NOSIGNAL)) raise_sigpipe(self);\n', '', r'programs\.broken_pipe'),
    Mutation('writing is asked for only when a write has found no room', 'sched/poller.cc',
             'have | kReadEvents | (direction == Direction::write ? kWriteEvents : 0)', 'have | kReadEvents | kWriteEvents',
             r'unit\.poller_test'),
    Mutation('a coroutine that takes a robust or priority-inheriting mutex is pinned', 'hook/mutex.cc',
             '  pin_current();\n  return with_kernel_tid(wait);', '  return with_kernel_tid(wait);', r'programs\.special_mutexes'),
    Mutation('an error-checking mutex of one\'s own is told, not waited for', 'hook/mutex.cc',
             '  if ((kind_of(mutex) & kTypeMask) == PTHREAD_MUTEX_ERRORCHECK && owned_by_caller(mutex)) return EDEADLK;\n', '',
             r'programs\.mutex_kinds'),
    Mutation('a lock for writing of one\'s own is told, not waited for', 'hook/rwlock.cc',
             '  if (is_own(lock)) return EDEADLK;\n', '', r'programs\.rwlock'),
    Mutation('a library bound to libc alone calls past no hook', 'hook/process.cc',
             '    *mode &= ~(long)RTLD_DEEPBIND;\n', '', r'programs\.deep_locks'),
    Mutation('streams of stdio wait woven', 'hook/init.cc',
             '  real_calls.stdio_weave = stdio_weave;\n', '  real_calls.stdio_weave = [] {};\n', r'programs\.stdio_sockets'),
    Mutation('a stack too small for static TLS is refused', 'sched/coroutine.cc',
             '    if (size < tls_static_size() + kLeast) return EINVAL;\n', '', r'programs\.large_tls'),
    Mutation('a guest whose wait is ended can be drawn from that moment', 'sched/wait.cc',
             '    turn_guest_ready(waiter);\n', '    ;\n', r'chaos\.same_decisions'),
    Mutation('a read of nothing is the real call', 'hook/io.cc', 'if (room == 0 || room == SIZE_MAX)', 'if (room == SIZE_MAX)',
             r'programs\.(echo_datagram|cut_vectors)'),
    Mutation('SO_RCVLOWAT above one is waited for by the kernel', 'hook/fd_table.cc',
             '  if (socket_option(fd, SO_RCVLOWAT) > 1)\n', '  if (false)\n', r'programs\.receive_low_water'),
    Mutation('a cast knows its own stack', 'sched/tls_block.cc',
             '  *(char**)(tcb + glibc.stack_block) = coroutine->stack_low;\n', '', r'unit\.coroutine_test'),
    Mutation('a cast is in glibc\'s list of threads', 'sched/tls_block.cc', '  thread_list_add(links);\n', '',
             r'programs\.loaded_static_tls|unit\.coroutine_test'),
    Mutation('static TLS that nobody asked ld.so for is reset as well', 'sched/tls_block.cc',
             '  modules_walk(find_module_tls, nullptr);\n', '', r'programs\.loaded_static_tls'),
    Mutation('nothing is made before the first thread', 'hook/init.cc', '  runtime_prepare();\n',
             '  runtime_prepare();\n  runtime_start();\n', r'programs\.without_threads'),
    Mutation('two that make each other ready share one time slice', 'sched/worker.cc',
             '    queue_heir(worker);  // two', '    // two',
             r'programs\.others_go_on_nothing'),
    Mutation('after 64 direct switches the carrier goes through its loop', 'sched/worker.h',
             'constexpr unsigned kDirectSwitches = 64;', 'constexpr unsigned kDirectSwitches = ~0u;',
             r'programs\.others_go_on_nothing'),
    Mutation('a descriptor that epoll knows already is changed', 'sched/poller.cc',
             '      operation = EPOLL_CTL_MOD;\n    else if', '      break;\n    else if', r'unit\.poller_test'),
    Mutation('a wake-up that came before the switch is not lost', 'sched/worker.cc',
             '      if (word & Waiter::kReasonMask) make_ready(left);\n', '', r'unit\..*|programs\.(condvar|two_waiters|pipes)'),
    Mutation('an event of a reused number wakes nobody', 'sched/poller.cc',
             '  if (d->generation.load(std::memory_order_relaxed) != data >> 32) return 0;\n', '', r'unit\.poller_test'),
    Mutation('a slot is used again only when its stack has been left', 'sched/coroutine.cc',
             '  switch_finished(self);\n', '  if (self->ending.load() & Coroutine::kDetached) release(self);\n  switch_finished(self);\n',
             r'unit\.coroutine_test|programs\.(thread_attributes|many_waiting|burst|join_variants)'),
    Mutation('a block used again has every module\'s TLS as new', 'sched/coroutine.cc',
             '  tls_block_reset_modules(self);\n', '', r'programs\.(thread_locals|burst)'),
    Mutation('blocks that nobody needs are buried', 'sched/monitor.cc',
             '      for (int burials = busy ? 1 : kBurials; burials && coroutine_bury(); burials--) {\n      }\n', '      ;\n',
             r'programs\.burst'),
]
