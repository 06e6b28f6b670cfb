// SPDX-License-Identifier: Apache-2.0
// `weft check` alone: a line for each thing of this machine that weft uses or that bounds it, and what to do about it.
// What can be tried is tried: a kernel behind a sandbox or an emulator may know a call and not have it, or accept it
// and do nothing.
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "commands.h"
#include "message.h"
#include "preload.h"
#include "this_cpu.h"

namespace weft {
namespace {

constexpr int kGuardInstall = 102;  // MADV_GUARD_INSTALL of Linux 6.13
constexpr int kOldestGlibc = 34;    // of 2.x
constexpr unsigned long kFewDescriptors = 16384;
constexpr long kUsualMaps = 65530;

bool g_able = true;  // no line so far says that weft cannot work here

void good(const char* what, const char* state) { printf("  ok    %-13s %s\n", what, state); }
void note(const char* what, const char* state) { printf("  note  %-13s %s\n", what, state); }

void bad(const char* what, const char* state) {
  printf("  BAD   %-13s %s\n", what, state);
  g_able = false;
}

// The number in a file of /proc or /sys; -1: there is none.
long read_number(const char* path) {
  char digits[32] = {};
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  const ssize_t size = read(fd, digits, sizeof(digits) - 1);
  close(fd);
  return size > 0 ? strtol(digits, nullptr, 10) : -1;
}

const char* limit_text(rlim_t limit) { return limit == RLIM_INFINITY ? "unlimited" : text("%lu", limit); }

void look_at_software() {
  struct utsname name;
  uname(&name);
  good("kernel", text("%s %s", name.sysname, name.release));

  const char* version = gnu_get_libc_version();
  if (strncmp(version, "2.", 2) == 0 && atoi(version + 2) >= kOldestGlibc) {
    good("glibc", version);
  } else {
    bad("glibc", text("%s: programs run natively. weft needs 2.%d or later: Debian 12, Ubuntu 22.04 or newer.", version,
                      kOldestGlibc));
  }

  const char* problem;
  const char* remedy;
  const char* library = find_weft_library(problem, remedy);
  if (library != nullptr) {
    good("library", library);
  } else {
    bad("library", text("%s. %s", problem, remedy));
  }
}

// Is the page a guard? Seen from the kernel, which says EFAULT where touching the page would end this process.
bool guard_works() {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* start = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int ends[2];
  if (start == MAP_FAILED || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  const bool works = madvise(start, page, kGuardInstall) == 0 && write(ends[1], start, 1) == -1 && errno == EFAULT;
  close(ends[0]);
  close(ends[1]);
  munmap(start, page);
  return works;
}

bool membarrier_works() {
  return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
         syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool nowait_works() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  char byte;
  struct iovec target = {&byte, 1};
  const bool works = preadv2(ends[0], &target, 1, -1, RWF_NOWAIT) == -1 && errno == EAGAIN;
  close(ends[0]);
  close(ends[1]);
  return works;
}

void look_at_kernel() {
  if (switches_alone()) {
    good(kSwitchFeature, kSwitchText);
  } else {
    note(kSwitchFeature, "missing: every switch costs a system call. Use Linux 5.9 or later, without nofsgsbase.");
  }

  const long maps = read_number("/proc/sys/vm/max_map_count");
  const bool guards = guard_works();
  if (guards) {
    good("stack guards", "MADV_GUARD_INSTALL: no mapping is split");
  } else {
    note("stack guards", "by mprotect, two mappings a coroutine. Use Linux 6.13 or later, or raise vm.max_map_count.");
  }
  if (maps < 0) {
    note("max_map_count", "cannot be read. Mount /proc.");
  } else if (maps >= kUsualMaps && guards) {
    good("max_map_count", text("%ld", maps));
  } else {
    note("max_map_count", text("%ld: %s coroutines at most. Raise it: sysctl vm.max_map_count=1048576", maps,
                               guards ? "less than usual, which bounds" : text("about %ld", maps / 2)));
  }

  if (membarrier_works()) {
    good("membarrier", "a worker changes hands without a locked instruction on the fast path");
  } else {
    note("membarrier",
         "PRIVATE_EXPEDITED is missing: switches are slower. Use Linux 4.14 or later; let seccomp allow it.");
  }
  // A descriptor that is none: the call says so if it is there.
  if (syscall(SYS_epoll_pwait2, -1, nullptr, 0, nullptr, nullptr, 0) == -1 && errno != ENOSYS && errno != EPERM) {
    good("epoll_pwait2", "timers are exact");
  } else {
    note("epoll_pwait2", "missing: timers are rounded to milliseconds. Use Linux 5.11 or later.");
  }
  if (nowait_works()) {
    good("RWF_NOWAIT", "pipes are tried without waiting");
  } else {
    note("RWF_NOWAIT", "not for pipes: they are polled first, one system call more. Use a later kernel.");
  }
}

void look_at_limits() {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0) {
    good("CPUs", text("%d in the affinity mask: as many workers unless --workers says otherwise", CPU_COUNT(&cpus)));
  } else {
    note("CPUs", text("the affinity mask cannot be read (%s). Give --workers.", strerror(errno)));
  }

  struct rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  const char* files =
      text("%s descriptors at once, at most %s", limit_text(limit.rlim_cur), limit_text(limit.rlim_max));
  if (limit.rlim_cur >= kFewDescriptors) {
    good("open files", files);
  } else {
    note("open files", text("%s. A connection takes one. Raise it: ulimit -n %s", files,
                            limit.rlim_max == RLIM_INFINITY ? "1048576" : limit_text(limit.rlim_max)));
  }

  getrlimit(RLIMIT_NPROC, &limit);
  if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= 1024 || getuid() == 0) {
    good("threads", text("%s kernel threads for this user%s; a coroutine takes none", limit_text(limit.rlim_cur),
                         getuid() == 0 ? " (no bound for root)" : ""));
  } else {
    note("threads", text("%s kernel threads for this user; carriers need some. Raise it: ulimit -u 4096",
                         limit_text(limit.rlim_cur)));
  }

  getrlimit(RLIMIT_AS, &limit);
  if (limit.rlim_cur == RLIM_INFINITY) {
    good("address space", "unlimited");
  } else {
    note("address space",
         text("%lu bytes: stacks are reserved in it. Lift it (ulimit -v unlimited) or give a small --stack.",
              limit.rlim_cur));
  }

  const long overcommit = read_number("/proc/sys/vm/overcommit_memory");
  if (overcommit == 0 || overcommit == 1) {
    good("overcommit", text("%ld: reserved stacks cost nothing until they are used", overcommit));
  } else if (overcommit == 2) {
    note("overcommit",
         "2: every reserved stack counts in full. Give a small --stack, or: sysctl vm.overcommit_memory=0");
  } else {
    note("overcommit", "cannot be read. Mount /proc.");
  }
}

void look_at_debugging() {
  const long scope = read_number("/proc/sys/kernel/yama/ptrace_scope");
  if (scope <= 0) {
    good("ptrace", "the inspector may look at your own processes");
  } else if (scope == 1 || scope == 2) {
    note("ptrace",
         text("kernel.yama.ptrace_scope is %ld: the inspector needs root, or: sysctl kernel.yama.ptrace_scope=0",
              scope));
  } else {
    note("ptrace", "kernel.yama.ptrace_scope is 3: no inspector until the next boot. Boot with another value.");
  }
}

}  // namespace

void check_machine() {
  puts("This machine:");
  look_at_software();
  look_at_kernel();
  look_at_limits();
  look_at_debugging();
  puts(g_able ? "Programs can be woven here." : "Programs cannot be woven here: see the lines marked BAD.");
  finish(g_able ? 0 : 1);
}

}  // namespace weft
