// SPDX-License-Identifier: Apache-2.0
// sigaltstack: each thread's own, not inherited; what it says outside and inside of a handler; and a stack overflow that a
// handler with SA_ONSTACK jumps out of.
#include "alternate.h"

#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>

static __thread sigjmp_buf way_back;
static __thread volatile sig_atomic_t handled;

static void show(const char* when) {
  stack_t seen;
  memset(&seen, 0xee, sizeof seen);
  CHECK(sigaltstack(NULL, &seen) == 0);
  say("%s: flags %d, mine %d, size %zu", when, seen.ss_flags, alternate && seen.ss_sp == alternate,
      seen.ss_flags & SS_DISABLE ? 0 : seen.ss_size);
}

static void looks(int number) {
  (void)number;
  handled++;
  say("handler: on the alternate stack %d", on_alternate());
  show("in the handler");
  stack_t other = {.ss_sp = alternate, .ss_size = kSize};
  int result = sigaltstack(&other, NULL), error = errno;
  say("set in the handler: %d %s", result, result ? name_of_errno(error) : "");
}

static void install(int number, void (*handler)(int), int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = flags;
  MUST(sigaction(number, &action, NULL) == 0);
}

static void* has_none(void* unused) {
  show("a new thread");
  return unused;
}

static void* sets_and_disables(void* unused) {
  char small[100];
  stack_t stack = {.ss_sp = small, .ss_size = sizeof small};
  show("at first");
  SHOW(sigaltstack(&stack, NULL));
  stack.ss_size = kSize;
  stack.ss_flags = 0x1234;
  SHOW(sigaltstack(&stack, NULL));
  show("after what failed");
  set_stack();
  show("set");
  in_thread(has_none, NULL);
  install(SIGUSR1, looks, SA_ONSTACK);
  raise(SIGUSR1);
  for (int i = 0; i < 3; i++) usleep(1000);  // who waits may go on elsewhere
  show("after waits");
  raise(SIGUSR1);
  install(SIGUSR1, looks, 0);
  raise(SIGUSR1);
  disable_stack();
  show("disabled");
  return unused;
}

static sem_t ready;
static __thread sem_t told;

// Every thread waits with a stack of its own, and is signalled while it waits.
static void counts(int number) {
  (void)number;
  handled += on_alternate();
  sem_post(&told);
}

static void* waits_with_its_own(void* unused) {
  (void)unused;
  set_stack();
  sem_init(&told, 0, 0);
  sem_post(&ready);
  while (sem_wait(&told) == -1) CHECK(errno == EINTR);
  disable_stack();
  return as_pointer(handled > 0);
}

static void many(void) {
  pthread_t threads[20];
  install(SIGUSR1, counts, SA_ONSTACK);
  for (int i = 0; i < 20; i++) threads[i] = start_thread(waits_with_its_own, NULL);
  for (int i = 0; i < 20; i++) sem_wait(&ready);
  for (int i = 0; i < 20; i++) MUST(pthread_kill(threads[i], SIGUSR1) == 0);
  long sum = 0;
  for (int i = 0; i < 20; i++) sum += as_long(join_thread(threads[i]));
  say("on their own: %ld", sum);
}

static void out_of_overflow(int number) {
  (void)number;
  handled++;
  siglongjmp(way_back, 1);
}

static volatile long deepest = -1;  // never reached

static __attribute__((noinline)) long deeper(long depth) {
  volatile char frame[1024];
  frame[0] = (char)depth;
  return depth == deepest ? 0 : deeper(depth + 1) + frame[0];
}

static void* overflows(void* unused) {
  set_stack();
  for (volatile int i = 0; i < 3; i++) {
    handled = 0;
    if (sigsetjmp(way_back, 1) == 0) deeper(0);
    CHECK(handled);
    show("after an overflow");
    usleep(1000);  // who waits may go on elsewhere
  }
  disable_stack();
  return unused;
}

int main(void) {
  sem_init(&ready, 0, 0);
  in_thread(sets_and_disables, NULL);
  sets_and_disables(NULL);
  many();
  install(SIGSEGV, out_of_overflow, SA_ONSTACK);
  in_thread(overflows, NULL);
  return finish();
}
