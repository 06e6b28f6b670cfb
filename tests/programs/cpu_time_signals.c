// SPDX-License-Identifier: Apache-2.0
// Signals of the process's CPU time, as profilers use them: they strike who computes, at the place where it computes.
#include "socket_pairs.h"

#include <semaphore.h>
#include <signal.h>
#include <sys/time.h>
#include <ucontext.h>

enum { WANTED = 20 };

static _Thread_local volatile int ticks, ticks_in_spin, ticks_on_alternate, in_handler;
static _Thread_local char* alternate;
static volatile int ready, nested, codes_differ;
static sem_t started;

// In a section of its own, whose ends the linker names.
extern char __start_spinning[], __stop_spinning[];
__attribute__((noinline, section("spinning"))) static void spin(void) {
  for (int i = 0; i < 100000; i++) __asm__ volatile("" ::: "memory");
}

static void on_tick(int number, siginfo_t* info, void* context) {
  char here;
  const char* pc = (const char*)((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP];
  nested += in_handler++;
  ticks++;
  ticks_in_spin += pc >= __start_spinning && pc < __stop_spinning;
  ticks_on_alternate += alternate && &here >= alternate && &here < alternate + SIGSTKSZ;
  codes_differ += info->si_signo != number || info->si_code != SI_KERNEL;
  in_handler--;
}

static void set_action(int number, int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_tick;
  action.sa_flags = SA_SIGINFO | flags;
  MUST(sigaction(number, &action, NULL) == 0);
  struct sigaction seen;
  MUST(sigaction(number, NULL, &seen) == 0);
  CHECK(seen.sa_sigaction == on_tick && (seen.sa_flags & SA_SIGINFO));
}

static void set_timer(int which, long microseconds) {
  struct itimerval every = {{0, microseconds}, {0, microseconds}};
  MUST(setitimer(which, &every, NULL) == 0);
}

static void* computes(void* unused) {
  (void)unused;
  sem_post(&started);
  while (ticks < WANTED) spin();
  CHECK(ticks_in_spin * 2 > ticks);
  return NULL;
}

static void* computes_on_alternate(void* unused) {
  stack_t stack = {.ss_sp = malloc(SIGSTKSZ), .ss_size = SIGSTKSZ};
  alternate = stack.ss_sp;
  MUST(sigaltstack(&stack, NULL) == 0);
  computes(unused);
  stack.ss_flags = SS_DISABLE;
  CHECK(ticks_on_alternate == ticks);
  MUST(sigaltstack(&stack, NULL) == 0);
  free(stack.ss_sp);
  return NULL;
}

// Most of its time is the kernel's and the sockets'.
static void* exchanges(void* unused) {
  (void)unused;
  int pair[2];
  char byte = 'x';
  unix_pair(SOCK_STREAM, pair);
  while (ticks < WANTED) {
    MUST(write(pair[0], &byte, 1) == 1);
    MUST(read(pair[1], &byte, 1) == 1);
    sched_yield();
  }
  close(pair[0]);
  close(pair[1]);
  return NULL;
}

static void set_blocked(int number) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
}

static void* computes_with_blocked(void* number) {
  set_blocked((int)as_long(number));
  int before = ticks;
  while (!ready) spin();
  CHECK(ticks == before);
  return NULL;
}

static void* waits_for(void* argument) {
  int number = (int)as_long(argument), taken = 0;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  set_blocked(number);
  for (int i = 0; i < 3; i++) {
    MUST(sigwait(&set, &taken) == 0);
    CHECK(taken == number);
  }
  return NULL;
}

static void strikes_who_computes(const char* name, int which, int number) {
  // The thread computes before there is a handler.
  int before_all = ticks;
  codes_differ = 0;
  pthread_t before = start_thread(computes, NULL);
  sem_wait(&started);
  set_action(number, SA_RESTART);
  set_timer(which, 2000);
  join_thread(before);

  pthread_t threads[4];
  for (int i = 0; i < 2; i++) threads[i] = start_thread(computes, NULL);
  for (int i = 2; i < 4; i++) threads[i] = start_thread(exchanges, NULL);
  for (int i = 0; i < 4; i++) join_thread(threads[i]);
  set_timer(which, 0);

  set_action(number, SA_RESTART | SA_ONSTACK);
  set_timer(which, 2000);
  join_thread(start_thread(computes_on_alternate, NULL));
  CHECK(ticks - before_all < 3 * WANTED);  // main's, which had little to do: half of what the others had

  CHECK(codes_differ == 0);

  // What strikes who does not have it is another's, perhaps main's.
  ready = 0;
  pthread_t deaf = start_thread(computes_with_blocked, as_pointer(number));
  join_thread(start_thread(computes, NULL));
  ready = 1;
  join_thread(deaf);
  set_timer(which, 0);
  say("%s: threads struck", name);
}

static void pends_for_the_process(const char* name, int which, int number) {
  set_blocked(number);
  ready = 0;
  pthread_t waiting = start_thread(waits_for, as_pointer(number));
  pthread_t deaf = start_thread(computes_with_blocked, as_pointer(number));
  set_timer(which, 2000);
  join_thread(waiting);
  set_timer(which, 0);
  ready = 1;
  join_thread(deaf);
  say("%s: taken by who waits", name);
}

int main(void) {
  sem_init(&started, 0, 0);
  strikes_who_computes("ITIMER_PROF", ITIMER_PROF, SIGPROF);
  strikes_who_computes("ITIMER_VIRTUAL", ITIMER_VIRTUAL, SIGVTALRM);
  CHECK(nested == 0);
  pends_for_the_process("ITIMER_PROF", ITIMER_PROF, SIGPROF);
  pends_for_the_process("ITIMER_VIRTUAL", ITIMER_VIRTUAL, SIGVTALRM);
  return finish();
}
