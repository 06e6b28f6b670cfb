// SPDX-License-Identifier: Apache-2.0
// One thread stopped: seize, interrupt, wait for the stop; detach. The kernel detaches too when we end, but a terminal's ^Z or a debugger
// that holds us would leave the thread stopped, so the window is as short as the work in it.
#include "thread_stop.h"

#include <elf.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "monotonic_clock.h"

namespace weft::inspect {

namespace {

// Those that are held now, for the signal handlers; 0: a free place.
constexpr size_t kMaxHeld = 4096;
std::atomic<pid_t> held[kMaxHeld];

constexpr int kEnding[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGALRM, SIGTSTP};

void let_go_and_die(int signal_number) {
  const int error = errno;
  for (std::atomic<pid_t>& place : held) {
    const pid_t tid = place.exchange(0);
    if (tid != 0) ptrace(PTRACE_DETACH, tid, nullptr, nullptr);
  }
  signal(signal_number, SIG_DFL);
  raise(signal_number);
  errno = error;
}

void prepare() {
  static bool done = false;
  if (done) return;
  done = true;
  // A stop is told by SIGCHLD, waited for with a limit.
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  pthread_sigmask(SIG_BLOCK, &child, nullptr);
  struct sigaction action {};
  action.sa_handler = let_go_and_die;
  sigfillset(&action.sa_mask);
  for (int number : kEnding) {
    struct sigaction before;
    if (sigaction(number, nullptr, &before) == 0 && before.sa_handler == SIG_DFL) sigaction(number, &action, nullptr);
  }
}

bool hold(pid_t tid) {
  for (std::atomic<pid_t>& place : held) {
    pid_t free = 0;
    if (place.compare_exchange_strong(free, tid)) return true;
  }
  return false;
}

void release(pid_t tid) {
  for (std::atomic<pid_t>& place : held) {
    pid_t expected = tid;
    if (place.compare_exchange_strong(expected, 0)) return;
  }
}

}  // namespace

ThreadStop::ThreadStop(pid_t tid, unsigned timeout_ms) {
  prepare();
  if (!hold(tid)) {
    error_ = EAGAIN;
    return;
  }
  if (ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) != 0 || ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr) != 0) {
    error_ = errno;
    release(tid);
    return;
  }
  const uint64_t until = monotonic_now() + timeout_ms * uint64_t{1'000'000};
  for (;;) {
    int status = 0;
    const pid_t got = waitpid(tid, &status, __WALL | WNOHANG);
    if (got == tid && WIFSTOPPED(status)) {
      // A signal that came first is passed on; the interrupt follows it.
      if (status >> 16 == PTRACE_EVENT_STOP) break;
      ptrace(PTRACE_CONT, tid, nullptr, (void*)(intptr_t)WSTOPSIG(status));
      continue;
    }
    if (got == tid || got < 0) {
      error_ = ESRCH;
      release(tid);
      return;
    }
    const uint64_t now = monotonic_now();
    if (now >= until) {
      // In an uninterruptible sleep. The detach fails as long as it is not stopped; our end is what detaches it.
      error_ = ETIMEDOUT;
      release(tid);
      return;
    }
    const uint64_t left = std::min<uint64_t>(until - now, 20'000'000);
    timespec wait{0, (long)left};
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigtimedwait(&child, nullptr, &wait);
  }
  tid_ = tid;
}

ThreadStop::ThreadStop(ThreadStop&& other) noexcept : tid_(other.tid_), error_(other.error_) { other.tid_ = 0; }

ThreadStop::~ThreadStop() {
  if (tid_ == 0) return;
  ptrace(PTRACE_DETACH, tid_, nullptr, nullptr);
  release(tid_);
}

bool ThreadStop::registers(Registers* to) const {
  user_regs_struct regs;
  iovec vector{&regs, sizeof regs};
  if (ptrace(PTRACE_GETREGSET, tid_, (void*)NT_PRSTATUS, &vector) != 0) return false;
  const uint64_t values[Registers::kCount] = {regs.rax, regs.rdx, regs.rcx, regs.rbx, regs.rsi, regs.rdi,
                                              regs.rbp, regs.rsp, regs.r8,  regs.r9,  regs.r10, regs.r11,
                                              regs.r12, regs.r13, regs.r14, regs.r15, regs.rip};
  for (unsigned i = 0; i < Registers::kCount; i++) to->set(i, values[i]);
  return true;
}

}  // namespace weft::inspect
