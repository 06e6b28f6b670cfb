// SPDX-License-Identifier: Apache-2.0
// getcontext, makecontext, swapcontext and setcontext in threads: contexts that wait in calls, each with a signal mask and a rounding mode
// of its own, made by one thread and run by others, linked, left by a handler.
#include "check.h"

#include <fenv.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>
#include <ucontext.h>

enum { kThreads = 8, kFibers = 6, kRounds = 20, kStack = 64 << 10 };

struct fiber {
  ucontext_t context, *back;
  char* stack;
  long number, sum;
  int done;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static sem_t posted;
static int ends[2];

static const char* mask_of(const sigset_t* set) {
  static __thread char text[256];
  char* end = text;
  *end = 0;
  for (int number = 1; number < 32; number++)
    if (sigismember(set, number) == 1) end += sprintf(end, " %d", number);
  return text;
}

static const char* own_mask(void) {
  sigset_t set;
  MUST(pthread_sigmask(SIG_SETMASK, NULL, &set) == 0);
  return mask_of(&set);
}

static void change(int how, int number) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  MUST(pthread_sigmask(how, &set, NULL) == 0);
}

static struct fiber* current(struct fiber* set) {
  static __thread struct fiber* fiber;
  if (set) fiber = set;
  return fiber;
}

// All kinds of waits on the context's own stack.
static void works(void) {
  struct fiber* fiber = current(NULL);
  struct timespec nap = {0, 100000};
  char byte = 0;
  for (int round = 0; round < kRounds; round++) {
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
    MUST(write(ends[1], "x", 1) == 1 && read(ends[0], &byte, 1) == 1);
    sem_post(&posted);
    sem_wait(&posted);
    if (round % 5 == 0) nanosleep(&nap, NULL);
    sched_yield();
    fiber->sum += fiber->number * round;
    swapcontext(&fiber->context, fiber->back);
  }
  fiber->done = 1;
}

static void prepare(struct fiber* fiber, long number, void (*start)(void), ucontext_t* back) {
  memset(fiber, 0, sizeof *fiber);
  MUST(getcontext(&fiber->context) == 0);
  fiber->stack = malloc(kStack);
  fiber->context.uc_stack.ss_sp = fiber->stack;
  fiber->context.uc_stack.ss_size = kStack;
  fiber->context.uc_link = back;
  fiber->back = back;
  fiber->number = number;
  makecontext(&fiber->context, start, 0);
}

static void* runs_fibers(void* argument) {
  struct fiber fibers[kFibers];
  ucontext_t back;
  long number = as_long(argument), sum = 0;
  for (int i = 0; i < kFibers; i++) prepare(&fibers[i], number * kFibers + i, works, &back);
  for (int left = kFibers; left > 0;) {
    left = 0;
    for (int i = 0; i < kFibers; i++) {
      if (fibers[i].done) continue;
      current(&fibers[i]);
      MUST(swapcontext(&back, &fibers[i].context) == 0);
      left += !fibers[i].done;
    }
  }
  for (int i = 0; i < kFibers; i++) {
    sum += fibers[i].sum;
    free(fibers[i].stack);
  }
  return as_pointer(sum);
}

// Masks.

static volatile sig_atomic_t handled[64];
static void on_signal(int number) { handled[number]++; }

static void has_mask(void) {
  struct fiber* fiber = current(NULL);
  say("in the context:%s", own_mask());
  change(SIG_BLOCK, SIGUSR2);
  say("with one more:%s", own_mask());
  swapcontext(&fiber->context, fiber->back);
  say("again:%s", own_mask());
  change(SIG_UNBLOCK, SIGTERM);
  raise(SIGTERM);
  say("handled %d", handled[SIGTERM]);
  raise(SIGUSR1);
  raise(SIGUSR2);
  say("blocked ones %d %d", handled[SIGUSR1], handled[SIGUSR2]);
}

static void* has_masks(void* unused) {
  struct fiber fiber;
  ucontext_t back, asked;
  change(SIG_BLOCK, SIGTERM);
  memset(&asked, 0, sizeof asked);
  MUST(getcontext(&asked) == 0);
  say("getcontext:%s", mask_of(&asked.uc_sigmask));
  prepare(&fiber, 0, has_mask, &back);
  sigaddset(&fiber.context.uc_sigmask, SIGUSR1);
  current(&fiber);
  MUST(swapcontext(&back, &fiber.context) == 0);
  say("back:%s, kept:%s, of the context:%s", own_mask(), mask_of(&back.uc_sigmask), mask_of(&fiber.context.uc_sigmask));
  raise(SIGTERM);
  CHECK(handled[SIGTERM] == 0);
  MUST(swapcontext(&back, &fiber.context) == 0);
  say("done:%s, pending ones handled %d %d %d", own_mask(), handled[SIGUSR1], handled[SIGUSR2], handled[SIGTERM]);
  change(SIG_UNBLOCK, SIGTERM);
  free(fiber.stack);
  return unused;
}

// Made by main, run by threads, handed on in the middle.

static struct fiber migrants[kThreads];
static __thread ucontext_t home;
static ucontext_t* home_of_thread(void) __attribute__((noinline));
static ucontext_t* home_of_thread(void) { return &home; }

static void migrates(void) {
  struct fiber* fiber = &migrants[0];
  for (int i = 1; i < kThreads; i++)
    if ((char*)&fiber > migrants[i].stack && (char*)&fiber < migrants[i].stack + kStack) fiber = &migrants[i];
  for (int round = 0; round < kRounds; round++) {
    char byte;
    MUST(write(ends[1], "x", 1) == 1 && read(ends[0], &byte, 1) == 1);
    fiber->sum += round;
    swapcontext(&fiber->context, fiber->back);
  }
  fiber->done = 1;
  swapcontext(&fiber->context, fiber->back);
}

static pthread_barrier_t turn;

static void* runs_migrants(void* argument) {
  long number = as_long(argument);
  for (int round = 0; round <= kRounds; round++) {
    struct fiber* fiber = &migrants[(number + round) % kThreads];
    fiber->back = home_of_thread();
    MUST(swapcontext(home_of_thread(), &fiber->context) == 0);
    pthread_barrier_wait(&turn);
  }
  say("mask after it%s", own_mask());
  return NULL;
}

// Arguments, links, rounding, and coming back twice.

static void takes(int a, int b, int c, int d, int e, int f, int g, int h) {
  say("arguments %d %d %d %d %d %d %d %d, aligned %d", a, b, c, d, e, f, g, h,
      (uintptr_t)__builtin_frame_address(0) % 16 == 0);
}

static void takes_one(int number) {
  say("argument %d, aligned %d", number, (uintptr_t)__builtin_frame_address(0) % 16 == 0);
}

static void rounds(void) {
  say("rounding as its maker's: %d", fegetround() == FE_TOWARDZERO);
  fesetround(FE_UPWARD);
}

static void* links(void* unused) {
  struct fiber first, second, third;
  ucontext_t back;
  volatile int times = 0;
  prepare(&third, 0, rounds, &back);
  MUST(fesetround(FE_TOWARDZERO) == 0);
  prepare(&second, 0, rounds, &third.context);
  MUST(fesetround(FE_DOWNWARD) == 0);
  prepare(&first, 0, rounds, &second.context);
  makecontext(&first.context, (void (*)(void))takes, 8, 1, -2, 3, -4, 5, -6, 7, -8);
  MUST(getcontext(&third.context) == 0);
  third.context.uc_stack.ss_sp = third.stack;
  third.context.uc_stack.ss_size = kStack;
  third.context.uc_link = &back;
  makecontext(&third.context, (void (*)(void))takes_one, 1, 9);
  MUST(swapcontext(&back, &first.context) == 0);
  say("rounding down again: %d", fegetround() == FE_DOWNWARD);
  fesetround(FE_TONEAREST);
  MUST(getcontext(&back) == 0);
  if (times++ < 3) setcontext(&back);
  say("came back %d times", times);
  free(first.stack);
  free(second.stack);
  free(third.stack);
  return unused;
}

// A handler that does not return.

static ucontext_t before_handler;
static void leaves(int number) {
  handled[number]++;
  setcontext(&before_handler);
}

static void* leaves_handlers(void* unused) {
  volatile int times = 0;
  struct timespec nap = {0, 1000};
  MUST(getcontext(&before_handler) == 0);
  if (times++ < 5) raise(SIGHUP);
  say("left %d handlers, mask%s", handled[SIGHUP], own_mask());
  CHECK(nanosleep(&nap, NULL) == 0);
  return unused;
}

static void ends_without_link(void) { say("the last context ends"); }

static void* ends_process(void* unused) {
  struct fiber fiber;
  prepare(&fiber, 0, ends_without_link, NULL);
  setcontext(&fiber.context);
  say("not reached");
  return unused;
}

static void in_child(thread_start start, int in_main) {
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) {
    in_main ? start(NULL) : in_thread(start, NULL);
    _exit(99);
  }
  MUST(waitpid(pid, &status, 0) == pid);
  say("ended with %d", status);
}

int main(void) {
  pthread_t threads[kThreads];
  long sum = 0;
  sem_init(&posted, 0, 0);
  MUST(pipe(ends) == 0);
  signal(SIGUSR1, on_signal);
  signal(SIGUSR2, on_signal);
  signal(SIGTERM, on_signal);
  signal(SIGHUP, leaves);
  for (long i = 0; i < kThreads; i++) threads[i] = start_thread(runs_fibers, as_pointer(i));
  sum += as_long(runs_fibers(as_pointer(100)));
  for (int i = 0; i < kThreads; i++) sum += as_long(join_thread(threads[i]));
  SHOW(sum);

  for (int of_main = 0; of_main < 2; of_main++) {
    say(of_main ? "-- main" : "-- a thread");
    memset((void*)handled, 0, sizeof handled);
    of_main ? has_masks(NULL) : in_thread(has_masks, NULL);
    of_main ? links(NULL) : in_thread(links, NULL);
    of_main ? leaves_handlers(NULL) : in_thread(leaves_handlers, NULL);
    in_child(ends_process, of_main);
  }

  say("-- from main to threads");
  pthread_barrier_init(&turn, NULL, kThreads);
  sum = 0;
  for (long i = 0; i < kThreads; i++) prepare(&migrants[i], i, migrates, NULL);
  change(SIG_BLOCK, SIGALRM);
  for (long i = 0; i < kThreads; i++) threads[i] = start_thread(runs_migrants, as_pointer(i));
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  for (int i = 0; i < kThreads; i++) {
    CHECK(migrants[i].done);
    sum += migrants[i].sum;
    free(migrants[i].stack);
  }
  SHOW(sum);
  return finish();
}
