// SPDX-License-Identifier: Apache-2.0
// syscall(): the numbers that have a hook go to the hook, so that a program which passes libc by meets the same
// runtime. Those that only older CPUs have: older_call, one file a CPU. All others are the kernel's; what the monitor finds stuck in one of them costs a hand-off.
//
// Kernel signal sets are eight bytes; the hooks take libc's.
#include <cstdarg>
#include <cstring>
#include <fcntl.h>
#include <initializer_list>
#include <linux/futex.h>
#include <mqueue.h>
#include <sys/epoll.h>

#include "hook/futex.h"
#include "hook/mutex.h"
#include "hook/path.h"
#include "hook/process.h"
#include "hook/system_call.h"
#include "hook/thread.h"
#include "sched/internal_signals.h"

namespace weft {

namespace {

sigset_t widened(long kernel_set) {
  sigset_t set;
  sigemptyset(&set);
  if (kernel_set) memcpy(&set, pointer(kernel_set), 8);
  return set;
}

long change_mask(const Arguments& call) {
  sigset_t set = widened(call.b), old;
  int error = pthread_sigmask((int)call.a, call.b ? &set : nullptr, &old);
  if (error) return as_errno(-error);
  if (call.c) memcpy(pointer(call.c), &old, 8);
  return 0;
}

long pending_signals(const Arguments& call) {
  sigset_t set;
  int result = sigpending(&set);
  if (result == 0) memcpy(pointer(call.a), &set, 8);
  return result;
}

long select_with_mask(const Arguments& call) {
  struct KernelMask {
    long set;
    size_t size;
  };
  auto* given = (const KernelMask*)call.f;
  sigset_t mask = widened(given ? given->set : 0);
  return pselect((int)call.a, as<fd_set*>(call.b), as<fd_set*>(call.c), as<fd_set*>(call.d), as<timespec*>(call.e),
                 given && given->set ? &mask : nullptr);
}

// Whose children are processes; a clone that shares memory is a thread of the program's own making.
bool clones_process(long flags) { return !(flags & CLONE_VM); }

// Numbers that may change the state of the calling kernel thread, or mean it, and have no function that is hooked: libc's setuid and kin
// are for all threads, these for the caller alone.
bool changes_kernel_state(long number, const Arguments& call) {
  constexpr long kLandlockRestrictSelf = 446;
  switch (number) {
    case SYS_setuid:
    case SYS_setgid:
    case SYS_setreuid:
    case SYS_setregid:
    case SYS_setresuid:
    case SYS_setresgid:
    case SYS_setgroups:
    case SYS_add_key:
    case SYS_request_key:
    case SYS_keyctl:
    case SYS_seccomp:
    case SYS_ioprio_set:
    case SYS_sched_setattr:
    case SYS_set_mempolicy:
    case kLandlockRestrictSelf:
      return true;
    case SYS_perf_event_open:
      return (pid_t)call.b == 0;
    default:
      return false;
  }
}

// Where the number of a thread stands, in calls without a function that is hooked; null: nowhere. The kernel knows those of kernel
// threads alone.
long* thread_meant(long number, Arguments* call) {
  constexpr int kIoprioWhoProcess = 1;
  switch (number) {
    case SYS_sched_getaffinity:  // its function does not tell the set's length
    case SYS_sched_getattr:
    case SYS_sched_setattr:
      return &call->a;
    case SYS_ioprio_get:
    case SYS_ioprio_set:
      return call->a == kIoprioWhoProcess ? &call->b : nullptr;
    case SYS_getpriority:
      return call->a == PRIO_PROCESS ? &call->b : nullptr;
    default:
      return nullptr;
  }
}

bool blocks_for_long(long number) {
  constexpr long kFutexWaitv = 449, kFutexWait = 455;
  return number == kFutexWaitv || number == kFutexWait || number == SYS_io_uring_enter || number == SYS_io_getevents ||
         number == SYS_restart_syscall;
}

Answer file_call(long number, const Arguments& c) {
  switch (number) {
    case SYS_read:
      return ours(read((int)c.a, pointer(c.b), (size_t)c.c));
    case SYS_write:
      return ours(write((int)c.a, pointer(c.b), (size_t)c.c));
    case SYS_readv:
      return ours(readv((int)c.a, as<iovec*>(c.b), (int)c.c));
    case SYS_writev:
      return ours(writev((int)c.a, as<iovec*>(c.b), (int)c.c));
    case SYS_pread64:
      return ours(pread((int)c.a, pointer(c.b), (size_t)c.c, c.d));
    case SYS_pwrite64:
      return ours(pwrite((int)c.a, pointer(c.b), (size_t)c.c, c.d));
    case SYS_openat:
      return ours(openat((int)c.a, as<const char*>(c.b), (int)c.c, (mode_t)c.d));
    case SYS_newfstatat:
      return ours(fstatat((int)c.a, as<const char*>(c.b), as<struct stat*>(c.c), (int)c.d));
    case SYS_statx:
      return ours(statx((int)c.a, as<const char*>(c.b), (int)c.c, (unsigned)c.d, as<struct statx*>(c.e)));
    case SYS_close:
      return ours(close((int)c.a));
    case SYS_close_range:
      return ours(close_range((unsigned)c.a, (unsigned)c.b, (int)c.c));
    case SYS_dup:
      return ours(dup((int)c.a));
    case SYS_dup3:
      return ours(dup3((int)c.a, (int)c.b, (int)c.c));
    case SYS_pipe2:
      return ours(pipe2(as<int*>(c.a), (int)c.b));
    case SYS_eventfd2:
      return ours(eventfd((unsigned)c.a, (int)c.b));
    case SYS_prlimit64:
      return ours(prlimit((pid_t)c.a, (__rlimit_resource)c.b, as<const rlimit*>(c.c), as<rlimit*>(c.d)));
    case SYS_setrlimit:
      return ours(setrlimit((__rlimit_resource)c.a, as<const rlimit*>(c.b)));
    case SYS_fcntl:
      return ours(fcntl((int)c.a, (int)c.b, c.c));
    case SYS_ioctl:
      return ours(ioctl((int)c.a, (unsigned long)c.b, c.c));
    case SYS_flock:
      return ours(flock((int)c.a, (int)c.b));
    case SYS_fsync:
      return ours(fsync((int)c.a));
    case SYS_fdatasync:
      return ours(fdatasync((int)c.a));
    case SYS_sendfile:
      return ours(sendfile((int)c.a, (int)c.b, as<off_t*>(c.c), (size_t)c.d));
    case SYS_splice:
      return ours(splice((int)c.a, as<off64_t*>(c.b), (int)c.c, as<off64_t*>(c.d), (size_t)c.e, (unsigned)c.f));
    case SYS_tee:
      return ours(tee((int)c.a, (int)c.b, (size_t)c.c, (unsigned)c.d));
    case SYS_vmsplice:
      return ours(vmsplice((int)c.a, as<iovec*>(c.b), (size_t)c.c, (unsigned)c.d));
    case SYS_copy_file_range:
      return ours(
          copy_file_range((int)c.a, as<off64_t*>(c.b), (int)c.c, as<off64_t*>(c.d), (size_t)c.e, (unsigned)c.f));
    case SYS_msgrcv:
      return ours(msgrcv((int)c.a, pointer(c.b), (size_t)c.c, c.d, (int)c.e));
    case SYS_msgsnd:
      return ours(msgsnd((int)c.a, pointer(c.b), (size_t)c.c, (int)c.d));
    case SYS_semop:
      return ours(semop((int)c.a, as<sembuf*>(c.b), (size_t)c.c));
    case SYS_semtimedop:
      return ours(semtimedop((int)c.a, as<sembuf*>(c.b), (size_t)c.c, as<timespec*>(c.d)));
    default:
      return kNotOurs;
  }
}

Answer socket_call(long number, const Arguments& c) {
  auto* address = (sockaddr*)c.b;
  switch (number) {
    case SYS_socket:
      return ours(socket((int)c.a, (int)c.b, (int)c.c));
    case SYS_socketpair:
      return ours(socketpair((int)c.a, (int)c.b, (int)c.c, as<int*>(c.d)));
    case SYS_bind:
      return ours(bind((int)c.a, address, (socklen_t)c.c));
    case SYS_listen:
      return ours(listen((int)c.a, (int)c.b));
    case SYS_accept:
      return ours(accept((int)c.a, address, as<socklen_t*>(c.c)));
    case SYS_accept4:
      return ours(accept4((int)c.a, address, as<socklen_t*>(c.c), (int)c.d));
    case SYS_connect:
      return ours(connect((int)c.a, address, (socklen_t)c.c));
    case SYS_shutdown:
      return ours(shutdown((int)c.a, (int)c.b));
    case SYS_sendto:
      return ours(sendto((int)c.a, pointer(c.b), (size_t)c.c, (int)c.d, as<sockaddr*>(c.e), (socklen_t)c.f));
    case SYS_recvfrom:
      return ours(recvfrom((int)c.a, pointer(c.b), (size_t)c.c, (int)c.d, as<sockaddr*>(c.e), as<socklen_t*>(c.f)));
    case SYS_sendmsg:
      return ours(sendmsg((int)c.a, as<msghdr*>(c.b), (int)c.c));
    case SYS_recvmsg:
      return ours(recvmsg((int)c.a, as<msghdr*>(c.b), (int)c.c));
    case SYS_sendmmsg:
      return ours(sendmmsg((int)c.a, as<mmsghdr*>(c.b), (unsigned)c.c, (int)c.d));
    case SYS_recvmmsg:
      return ours(recvmmsg((int)c.a, as<mmsghdr*>(c.b), (unsigned)c.c, (int)c.d, as<timespec*>(c.e)));
    case SYS_setsockopt:
      return ours(setsockopt((int)c.a, (int)c.b, (int)c.c, pointer(c.d), (socklen_t)c.e));
    case SYS_getsockopt:
      return ours(getsockopt((int)c.a, (int)c.b, (int)c.c, pointer(c.d), as<socklen_t*>(c.e)));
    default:
      return kNotOurs;
  }
}

Answer waiting_call(long number, const Arguments& c) {
  switch (number) {
    case SYS_ppoll: {
      sigset_t mask = widened(c.d);
      return ours(ppoll(as<pollfd*>(c.a), (nfds_t)c.b, as<timespec*>(c.c), c.d ? &mask : nullptr));
    }
    case SYS_pselect6:
      return ours(select_with_mask(c));
    case SYS_epoll_pwait: {
      sigset_t mask = widened(c.e);
      return ours(epoll_pwait((int)c.a, as<epoll_event*>(c.b), (int)c.c, (int)c.d, c.e ? &mask : nullptr));
    }
    case SYS_nanosleep:
      return ours(nanosleep(as<timespec*>(c.a), as<timespec*>(c.b)));
    case SYS_clock_nanosleep:
      return ours(as_errno(-clock_nanosleep((clockid_t)c.a, (int)c.b, as<timespec*>(c.c), as<timespec*>(c.d))));
    case SYS_sched_yield:
      return ours(sched_yield());
    case SYS_wait4:
      return ours(wait4((pid_t)c.a, as<int*>(c.b), (int)c.c, as<rusage*>(c.d)));
    default:
      return kNotOurs;
  }
}

// As tgkill, with what the caller says of the signal.
Answer queue_signal(const Arguments& call) {
  Coroutine* target = call.a == sys::getpid() ? coroutine_by_tid((pid_t)call.b) : nullptr;
  if (!target || call.c == 0) return kNotOurs;
  if (call.c < 0 || call.c > SIGRTMAX || call.c == kCancelSignal || call.c == kSetxidSignal)
    return ours(as_errno(-EINVAL));
  siginfo_t info = *as<siginfo_t*>(call.d);
  info.si_signo = (int)call.c;
  return ours(as_errno(-signal_send(target, info.si_signo, info)));
}

Answer thread_call(long number, const Arguments& c) {
  switch (number) {
    case SYS_gettid:
      return ours(gettid());
    case SYS_set_tid_address:
      // Its word is the carrier's, whose end it tells.
      return thread_state.identity ? ours(gettid()) : kNotOurs;
    case SYS_tgkill:
      return ours(tgkill((pid_t)c.a, (pid_t)c.b, (int)c.c));
    case SYS_tkill:
      // Threads of other processes are reached as well: debuggers stop theirs so.
      if (thread_state.vfork_child || !coroutine_by_tid((pid_t)c.a)) return kNotOurs;
      return ours(tgkill((pid_t)sys::getpid(), (pid_t)c.a, (int)c.b));
    case SYS_kill:
      return ours(kill((pid_t)c.a, (int)c.b));
    case SYS_rt_tgsigqueueinfo:
      return queue_signal(c);
    case SYS_rt_sigpending:
      return ours(pending_signals(c));
    case SYS_rt_sigprocmask:
      return ours(change_mask(c));
    case SYS_rt_sigsuspend: {
      sigset_t mask = widened(c.a);
      return ours(sigsuspend(&mask));
    }
    case SYS_rt_sigtimedwait: {
      sigset_t set = widened(c.a);
      return ours(sigtimedwait(&set, as<siginfo_t*>(c.b), as<timespec*>(c.c)));
    }
    case SYS_sigaltstack:
      return ours(sigaltstack(as<stack_t*>(c.a), as<stack_t*>(c.b)));
    case SYS_execve:
      return ours(execve(as<const char*>(c.a), as<char* const*>(c.b), as<char* const*>(c.c)));
    case SYS_execveat:
      return ours(execveat((int)c.a, as<const char*>(c.b), as<char* const*>(c.c), as<char* const*>(c.d), (int)c.e));
    case SYS_mlockall:
      return ours(mlockall((int)c.a));
    case SYS_munlockall:
      return ours(munlockall());
    case SYS_prctl:
      return ours(prctl((int)c.a, c.b, c.c, c.d, c.e));
    case SYS_capset:
      return ours(capset(pointer(c.a), pointer(c.b)));
    case SYS_setns:
      return ours(setns((int)c.a, (int)c.b));
    case SYS_unshare:
      return ours(unshare((int)c.a));
    case SYS_personality:
      return ours(personality((unsigned long)c.a));
    case SYS_setpriority:
      return ours(setpriority((__priority_which_t)c.a, (id_t)c.b, (int)c.c));
    case SYS_sched_setaffinity:
      return ours(sched_setaffinity((pid_t)c.a, (size_t)c.b, as<cpu_set_t*>(c.c)));
    case SYS_sched_setscheduler:
      return ours(sched_setscheduler((pid_t)c.a, (int)c.b, as<sched_param*>(c.c)));
    case SYS_sched_getscheduler:
      return ours(sched_getscheduler((pid_t)c.a));
    case SYS_sched_setparam:
      return ours(sched_setparam((pid_t)c.a, as<sched_param*>(c.b)));
    case SYS_sched_getparam:
      return ours(sched_getparam((pid_t)c.a, as<sched_param*>(c.b)));
    case SYS_setfsuid:
      return ours(setfsuid((uid_t)c.a));
    case SYS_setfsgid:
      return ours(setfsgid((gid_t)c.a));
    default:
      return kNotOurs;
  }
}

}  // namespace

}  // namespace weft

using namespace weft;

WEFT_EXPORT long syscall(long number, ...) noexcept {
  va_list list;
  va_start(list, number);
  Arguments c;
  c.a = va_arg(list, long);
  c.b = va_arg(list, long);
  c.c = va_arg(list, long);
  c.d = va_arg(list, long);
  c.e = va_arg(list, long);
  c.f = va_arg(list, long);
  va_end(list);
  auto native = [&] { return real().syscall(number, c.a, c.b, c.c, c.d, c.e, c.f); };
  if (!lot_in_use() || thread_state.vfork_child) return native();
  if (number == SYS_futex)
    return futex(as<uint32_t*>(c.a), (int)c.b, (uint32_t)c.c, as<timespec*>(c.d), as<uint32_t*>(c.e), (uint32_t)c.f);
  for (auto family : {file_call, socket_call, waiting_call, thread_call, older_call}) {
    Answer answer = family(number, c);
    if (answer.is_ours) return answer.result;
  }
  if (number == SYS_exit && thread_state.identity) finish_current(thread_state.identity->result);
  if (number == SYS_exit_group) _exit((int)c.a);
  bool changes = changes_kernel_state(number, c);
  if (number == SYS_seccomp) paths_stay_plain();
  if (number == SYS_ptrace || changes) kernel_state_changes();
  if (long* thread = thread_meant(number, &c)) {
    Subject subject = subject_of_tid((pid_t)*thread);
    if (!changes || subject.kind != Subject::elsewhere) *thread = subject.tid;
  }
  if (number == SYS_clone && clones_process(c.a))
    return clone_process(
        c.a, [](void* call) { return (*(decltype(native)*)call)(); }, &native);
  return blocks_for_long(number) && woven() ? blocking_call(RegionKind::lasting, native) : native();
}
