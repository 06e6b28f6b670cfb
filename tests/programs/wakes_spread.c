// SPDX-License-Identifier: Apache-2.0
// A thread wakes another and computes until that one has answered: the woken one must not have to wait for its waker.
#include "check.h"

#include <stdatomic.h>

enum { kRounds = 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asked = PTHREAD_COND_INITIALIZER;
static int question;  // guarded by lock
static atomic_int answer;

static void* answers(void* argument) {
  for (int i = 1; i <= kRounds; i++) {
    pthread_mutex_lock(&lock);
    while (question < i) pthread_cond_wait(&asked, &lock);
    pthread_mutex_unlock(&lock);
    atomic_store(&answer, i);
  }
  return argument;
}

static void* asks(void* argument) {
  for (int i = 1; i <= kRounds; i++) {
    pthread_mutex_lock(&lock);
    question = i;
    pthread_cond_signal(&asked);
    pthread_mutex_unlock(&lock);
    while (atomic_load(&answer) < i) {
    }
  }
  return argument;
}

int main(void) {
  pthread_t first = start_thread(answers, NULL), second = start_thread(asks, NULL);
  join_thread(first);
  join_thread(second);
  say("answers: %d", atomic_load(&answer));
  return check_failures != 0;
}
