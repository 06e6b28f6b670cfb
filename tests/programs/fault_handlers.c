// SPDX-License-Identifier: Apache-2.0
// Handlers of what instructions raise, in a thread: the stack they run on, the mask they see and leave, calls that wait in them,
// how they are left, and what sigaction and signal say of them.
#include "alternate.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>

static __thread char* own_frame;
static __thread sigjmp_buf way_back;
static __thread int depth;
static int ends[2];
static char* page;

static const char* stack_of(const char* here) {
  if (on_alternate()) return "the alternate stack";
  return here < own_frame && here > own_frame - kSize ? "the thread's stack" : "another stack";
}

static void show_stack(const char* when) {
  stack_t seen;
  CHECK(sigaltstack(NULL, &seen) == 0);
  say("  %s: flags %d, mine %d", when, seen.ss_flags, alternate && seen.ss_sp == alternate);
}

static void show_mask(const char* when, const sigset_t* set) {
  static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGUSR1, SIGUSR2, SIGTERM, SIGALRM};
  char text[200] = "";
  for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    if (!sigismember(set, numbers[i])) continue;
    strcat(text, " ");
    strcat(text, sigabbrev_np(numbers[i]));
  }
  say("  %s:%s", when, text);
}

static void show_own_mask(const char* when) {
  sigset_t set;
  pthread_sigmask(SIG_SETMASK, NULL, &set);
  show_mask(when, &set);
}

static void looks(int number, siginfo_t* info, void* context) {
  char here;
  ucontext_t* interrupted = context;
  sigset_t before;
  sigemptyset(&before);
  memcpy(&before, &interrupted->uc_sigmask, 8);
  say("  SIG%s, code %d, on %s", sigabbrev_np(number), info->si_code, stack_of(&here));
  say("  the interrupted: flags %d, mine %d", interrupted->uc_stack.ss_flags,
      alternate && interrupted->uc_stack.ss_sp == alternate);
  show_mask("the interrupted one's mask", &before);
  show_own_mask("the handler's mask");
  show_stack("in the handler");
}

static void looks_and_repairs(int number, siginfo_t* info, void* context) {
  looks(number, info, context);
  say("  at the page: %d", (char*)info->si_addr == page);
  MUST(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
}

static void looks_and_jumps(int number, siginfo_t* info, void* context) {
  looks(number, info, context);
  siglongjmp(way_back, 1);
}

// Another thread writes only when this one waits here.
static void waits_and_repairs(int number, siginfo_t* info, void* unused) {
  (void)number, (void)info, (void)unused;
  char byte;
  say("  read in the handler: %d", (int)read(ends[0], &byte, 1));
  usleep(1000);  // a wait of another kind
  MUST(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
}

static void faults_again(int number, siginfo_t* info, void* context) {
  looks(number, info, context);
  if (depth++ == 0) {
    *(volatile char*)page = 2;
    say("  the inner one is repaired");
    return;
  }
  MUST(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
}

// The mask that the interrupted code goes on with is the handler's to change.
static void opens_the_mask(int number, siginfo_t* info, void* context) {
  looks(number, info, context);
  ucontext_t* interrupted = context;
  uint64_t mask;
  memcpy(&mask, &interrupted->uc_sigmask, 8);
  mask |= 1ull << (SIGALRM - 1);
  memcpy(&interrupted->uc_sigmask, &mask, 8);
  MUST(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
}

static void jumps_without_mask(int number) {
  (void)number;
  longjmp(way_back, 1);
}

typedef void (*action_handler)(int, siginfo_t*, void*);

static void install(int number, action_handler handler, int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  sigaddset(&action.sa_mask, SIGTERM);
  MUST(sigaction(number, &action, NULL) == 0);
  struct sigaction seen;
  MUST(sigaction(number, NULL, &seen) == 0);
  CHECK(seen.sa_sigaction == handler && (seen.sa_flags & ~0x04000000) == action.sa_flags &&
        sigismember(&seen.sa_mask, SIGTERM) == 1);
}

static void touches_the_page(void) {
  MUST(mprotect(page, 4096, PROT_NONE) == 0);
  *(volatile char*)page = 1;
  CHECK(*(volatile char*)page == 1);
}

static volatile int zero;
static void* volatile nowhere;

static void jumps_out_of(int number, action_handler handler, int flags) {
  install(number, handler, flags);
  if (sigsetjmp(way_back, 1) == 0) {
    if (number == SIGFPE) zero = 1 / zero;
    if (number == SIGILL) __asm__ volatile("ud2");
    if (number == SIGTRAP) __asm__ volatile("int3");
    if (number == SIGSEGV) *(volatile char*)nowhere = 1;
    if (number == SIGABRT) abort();
  }
  show_own_mask("after the jump");
  show_stack("after the jump");
}

static void each_flag(void) {
  const int numbers[] = {SIGFPE, SIGILL, SIGTRAP, SIGSEGV, SIGABRT};
  for (int flags = 0; flags < 2; flags++) {
    say("%s SA_ONSTACK", flags ? "with" : "without");
    install(SIGSEGV, looks_and_repairs, flags ? SA_ONSTACK : 0);
    touches_the_page();
    show_stack("after the repair");
    show_own_mask("after the repair");
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
      jumps_out_of(numbers[i], looks_and_jumps, flags ? SA_ONSTACK : 0);
    say("a fault in the handler");
    install(SIGSEGV, faults_again, SA_NODEFER | (flags ? SA_ONSTACK : 0));
    depth = 0;
    touches_the_page();
    say("sent");
    install(SIGSEGV, looks, flags ? SA_ONSTACK : 0);
    raise(SIGSEGV);
    MUST(pthread_kill(pthread_self(), SIGSEGV) == 0);
    show_stack("after it");
  }
}

static void* writes_a_byte(void* unused) {
  MUST(write(ends[1], "x", 1) == 1);
  return unused;
}

static void leaves_the_mask(void) {
  say("a mask that the handler changes");
  install(SIGSEGV, opens_the_mask, 0);
  touches_the_page();
  show_own_mask("after the handler");
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);

  say("a jump that restores no mask");
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = jumps_without_mask;
  MUST(sigaction(SIGSEGV, &action, NULL) == 0);
  if (setjmp(way_back) == 0) *(volatile char*)nowhere = 1;
  show_own_mask("after the jump");
  sigaddset(&set, SIGSEGV);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void* in_a_thread(void* unused) {
  char here;
  own_frame = &here;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  say("no alternate stack");
  each_flag();
  set_stack();
  say("an alternate stack");
  each_flag();

  say("a wait in the handler");
  install(SIGSEGV, waits_and_repairs, SA_ONSTACK);
  pthread_t writer = start_thread(writes_a_byte, NULL);
  touches_the_page();
  join_thread(writer);
  usleep(1000);  // who waits may go on elsewhere
  show_stack("after it");

  leaves_the_mask();
  disable_stack();
  leaves_the_mask();

  say("signal() and its kin");
  CHECK(signal(SIGSEGV, SIG_DFL) == jumps_without_mask);
  CHECK(signal(SIGSEGV, jumps_without_mask) == SIG_DFL);
  CHECK(signal(SIGFPE, jumps_without_mask) != SIG_ERR);
  CHECK(sigset(SIGFPE, SIG_DFL) == jumps_without_mask);
  CHECK(signal(SIGSEGV, SIG_IGN) == jumps_without_mask);
  CHECK(signal(SIGSEGV, SIG_DFL) == SIG_IGN);
  return unused;
}

// Dies natively of the second one, or of the first that is blocked: in a child.
static void* dies(void* how) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = looks;
  action.sa_flags = SA_SIGINFO | (how ? 0 : (int)SA_RESETHAND);
  MUST(sigaction(SIGSEGV, &action, NULL) == 0);
  sigset_t set;
  sigemptyset(&set);
  if (how) sigaddset(&set, SIGSEGV);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  *(volatile char*)nowhere = 1;
  return how;
}

static void in_child(thread_start start, void* how) {
  pid_t child = fork();
  if (child == 0) {
    in_thread(start, how);
    _exit(0);
  }
  int status;
  MUST(waitpid(child, &status, 0) == child);
  say("child: signal %d, exit %d", WIFSIGNALED(status) ? WTERMSIG(status) : 0,
      WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

int main(void) {
  MUST(pipe(ends) == 0);
  page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  MUST(page != MAP_FAILED);
  setvbuf(stdout, NULL, _IONBF, 0);
  in_child(dies, NULL);
  in_child(dies, page);
  in_thread(in_a_thread, NULL);
  return finish();
}
