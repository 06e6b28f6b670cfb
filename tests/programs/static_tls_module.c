// SPDX-License-Identifier: Apache-2.0
// A library whose thread-local variables lie in the static TLS of every thread (initial-exec), loaded while threads wait. Its
// constructor asks them already.
#include <semaphore.h>
#include <stddef.h>

static __thread long counter = 1000;
static __thread char zeroes[40];
static __thread char text[24] = "as the image has it";

// What the calling thread finds; -1: something that no fresh thread has.
long module_take(void);
long module_take(void) {
  for (size_t i = 0; i < sizeof zeroes; i++)
    if (zeroes[i] != (counter == 1000 ? 0 : 7)) return -1;
  for (size_t i = 0; i < sizeof zeroes; i++) zeroes[i] = 7;
  if (text[0] != 'a' || text[18] != 't' || text[19]) return -1;
  return ++counter;
}

struct AskThreads {
  int waiting;
  sem_t ask;
  sem_t answered;
  long (*take)(void);
};
extern struct AskThreads ask_threads;  // the program's

__attribute__((constructor)) static void construct(void) {
  ask_threads.take = module_take;
  for (int i = 0; i < ask_threads.waiting; i++) sem_post(&ask_threads.ask);
  for (int i = 0; i < ask_threads.waiting; i++) sem_wait(&ask_threads.answered);
}
