// SPDX-License-Identifier: Apache-2.0
// Numbers of syscall() that x86-64 has and later CPUs have not, and those that are about x86 itself.
#include "hook/system_call.h"

namespace weft {

Answer older_call(long number, const Arguments& c) {
  switch (number) {
    case SYS_open:
      return ours(open(as<const char*>(c.a), (int)c.b, (mode_t)c.c));
    case SYS_creat:
      return ours(creat(as<const char*>(c.a), (mode_t)c.b));
    case SYS_stat:
      return ours(stat(as<const char*>(c.a), as<struct stat*>(c.b)));
    case SYS_lstat:
      return ours(lstat(as<const char*>(c.a), as<struct stat*>(c.b)));
    case SYS_dup2:
      return ours(dup2((int)c.a, (int)c.b));
    case SYS_pipe:
      return ours(pipe(as<int*>(c.a)));
    case SYS_eventfd:
      return ours(eventfd((unsigned)c.a, 0));
    case SYS_poll:
      return ours(poll(as<pollfd*>(c.a), (nfds_t)c.b, (int)c.c));
    case SYS_select:
      return ours(select((int)c.a, as<fd_set*>(c.b), as<fd_set*>(c.c), as<fd_set*>(c.d), as<timeval*>(c.e)));
    case SYS_epoll_wait:
      return ours(epoll_wait((int)c.a, as<epoll_event*>(c.b), (int)c.c, (int)c.d));
    case SYS_pause:
      return ours(pause());
    case SYS_arch_prctl:
      return ours(arch_prctl((int)c.a, (unsigned long)c.b));
    case SYS_ioperm:
      return ours(ioperm((unsigned long)c.a, (unsigned long)c.b, (int)c.c));
    case SYS_iopl:
      return ours(iopl((int)c.a));
    case SYS_fork:
    case SYS_vfork:
      return ours(_Fork());
    default:
      return kNotOurs;
  }
}

}  // namespace weft
