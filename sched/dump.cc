// SPDX-License-Identifier: Apache-2.0
// Dumps of all stacks, made by another program.
#include "sched/dump.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <initializer_list>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "asm/context.h"
#include "sched/clock.h"
#include "sched/descriptor.h"
#include "sched/inspected.h"
#include "sched/log.h"
#include "sched/monitor.h"
#include "sched/sys.h"

extern "C" const weft::DescriptorHeader weft_descriptor;

namespace weft {

namespace {

constexpr uint64_t kSecond = 1000000000;
constexpr uint64_t kLongest = 10 * kSecond;
constexpr uint64_t kWaitedFor = kLongest + kSecond;
constexpr unsigned kPath = 4096;

constinit std::atomic<uint32_t> wanted{0};  // dumps asked for
constinit std::atomic<uint32_t> made{0};    // and over, in the order they were asked for; futex

// monitor only
uint32_t begun;
long inspector;
uint64_t give_up_at;
char program[kPath];  // empty: there is none

// Beside the library, as it is built, or in the directory of programs that goes with the library's: as installed, or where the library
// has been put below that place.
void find_program() {
  Dl_info info;
  if (!dladdr(&weft_descriptor, &info) || !info.dli_fname) return;
  const char* slash = strrchr(info.dli_fname, '/');
  if (!slash) return;
  auto directory = (unsigned)(slash + 1 - info.dli_fname);
  for (const char* place :
       {"weft-inspect", WEFT_BINDIR_FROM_LIBDIR "/weft-inspect", "../bin/weft-inspect", "../../bin/weft-inspect"}) {
    if (directory + strlen(place) >= sizeof program) continue;
    memcpy(program, info.dli_fname, directory);
    memcpy(program + directory, place, strlen(place) + 1);
    if (sys::call(SYS_faccessat, AT_FDCWD, sys::word(program), 1 /* X_OK */) == 0) return;
  }
  program[0] = 0;
}

struct Start {
  int output;
  char pid[16];
};

void run_inspector(void* argument) {
  auto* start = (Start*)argument;
  sys::call(SYS_dup3, start->output, 1, 0);
  sys::call(SYS_dup3, start->output, 2, 0);
  const char* arguments[] = {program, "bt", start->pid, nullptr};
  const char* environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", nullptr};
  sys::call(SYS_execve, sys::word(program), sys::word(arguments), sys::word(environment));
}

bool start_inspector() {
  alignas(16) static char stack[16 << 10];
  if (!program[0]) return false;
  Start start;
  start.output = log_descriptor();
  if (start.output < 0) return false;
  format_text(start.pid, sizeof start.pid, "%d", (int)sys::getpid());
  uint64_t all = ~uint64_t{0}, before;
  sys::sigprocmask(SIG_SETMASK, &all, &before);  // no handler of the program's in a process that only shares its memory
  long pid = weft_spawn(stack + sizeof stack, run_inspector, &start);
  sys::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return false;
  sys::call(SYS_prctl, PR_SET_PTRACER, pid);  // Yama lets only parents look otherwise
  inspector = pid;
  return true;
}

void over() {
  inspector = 0;
  made.store(begun, std::memory_order_release);
  sys::futex_wake(&made, 1 << 30);
}

}  // namespace

void dump_init() { find_program(); }

void dump_request() {
  if (!runtime_active.load()) return log_always("no thread has been made yet: there is no coroutine");
  wanted.fetch_add(1);
  monitor_kick();
}

void dump_now() {
  if (!runtime_active.load() || (int)sys::gettid() == monitor_tid.load()) return;
  uint32_t mine = wanted.fetch_add(1) + 1;
  monitor_kick();
  timespec until = to_timespec(now_ns() + kWaitedFor);
  for (uint32_t now; (int32_t)((now = made.load(std::memory_order_acquire)) - mine) < 0;)
    if (sys::futex_wait(&made, now, &until) == -ETIMEDOUT) return;
}

bool dump_look(uint64_t now) {
  if (inspector) {
    long ended = sys::call(SYS_wait4, inspector, 0, WNOHANG | __WALL, 0);
    if (ended == 0 && now < give_up_at) return true;
    if (ended == 0) {
      sys::call(SYS_kill, inspector, SIGKILL);
      sys::call(SYS_wait4, inspector, 0, __WALL, 0);
      log_always("weft bt took longer than %lu s and was ended", (unsigned long)(kLongest / kSecond));
    }
    over();
  }
  uint32_t asked = wanted.load(std::memory_order_acquire);
  if (asked == begun) return false;
  begun = asked;
  give_up_at = now + kLongest;
  if (!start_inspector()) {
    log_always("weft bt %d shows the stacks of all coroutines", (int)sys::getpid());
    over();
  }
  return true;
}

void dump_reset() {
  wanted.store(0, std::memory_order_relaxed);
  made.store(0, std::memory_order_relaxed);
  begun = 0;
  inspector = 0;
}

}  // namespace weft
