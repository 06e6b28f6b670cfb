// SPDX-License-Identifier: Apache-2.0
// One fault, by its argument: "closed", a descriptor is closed while a thread reads from it; "stack", a thread waits with nearly all of its
// stack in use; "orphan", a thread has ended with a lock that another one waits for; "unjoined", five threads have ended and nobody joins
// them; "piles", one thread after the other is made and waits; "deep", ten threads wait that have had nearly all of their stacks in
// use before. Says "ready" and ends with its input.
#include <alloca.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { kStack = 256 << 10, kUsed = 224 << 10, kDeep = 10 };

static int ends[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static sem_t arrived;

__attribute__((noinline)) static void reads(void) {
  char byte;
  sem_post(&arrived);
  (void)!read(ends[0], &byte, 1);
}

static void* reads_from_closed(void* argument) {
  reads();
  return argument;
}

static void* fills_its_stack(void* argument) {
  char* volatile room = alloca(kUsed);
  memset(room, 1, kUsed);
  reads();
  return argument;
}

__attribute__((noinline)) static void goes_deep(void) {
  char* room = alloca(kUsed);
  memset(room, 1, kUsed);
  __asm__ volatile("" : : "r"(room) : "memory");  // what is written is wanted
}

static void* has_been_deep(void* argument) {
  goes_deep();
  reads();
  return argument;
}

static void* ends_with_lock(void* argument) {
  pthread_mutex_lock(&mutex);
  sem_post(&arrived);
  return argument;
}

static void* wants_lock(void* argument) {
  sem_post(&arrived);
  pthread_mutex_lock(&mutex);
  return argument;
}

static void* ends_at_once(void* argument) {
  sem_post(&arrived);
  return argument;
}

static void* waits_for_ever(void* argument) {
  pthread_mutex_lock(&mutex);
  sem_post(&arrived);
  for (;;) pthread_cond_wait(&condition, &mutex);
  return argument;
}

static void* makes_one_after_the_other(void* argument) {
  const struct timespec rest = {0, 20000000};
  pthread_t thread;
  while (pthread_create(&thread, NULL, waits_for_ever, NULL) == 0) nanosleep(&rest, NULL);
  return argument;
}

int main(int argc, char** argv) {
  pthread_t thread;
  pthread_attr_t attributes;
  char byte;
  if (argc != 2 || pipe(ends) != 0 || sem_init(&arrived, 0, 0) != 0 || pthread_attr_init(&attributes) != 0) return 1;
  if (strcmp(argv[1], "closed") == 0) {
    if (pthread_create(&thread, NULL, reads_from_closed, NULL) != 0) return 1;
    while (sem_wait(&arrived) != 0) continue;
    // Whoever looks from outside says when the thread is waiting: a read of a closed descriptor would end at once.
    if (write(1, "ready\n", 6) != 6 || read(0, &byte, 1) != 1) return 1;
    close(ends[0]);
  } else if (strcmp(argv[1], "stack") == 0) {
    if (pthread_attr_setstacksize(&attributes, kStack) != 0) return 1;
    if (pthread_create(&thread, &attributes, fills_its_stack, NULL) != 0) return 1;
    while (sem_wait(&arrived) != 0) continue;
  } else if (strcmp(argv[1], "deep") == 0) {
    if (pthread_attr_setstacksize(&attributes, kStack) != 0) return 1;
    for (int i = 0; i < kDeep; i++)
      if (pthread_create(&thread, &attributes, has_been_deep, NULL) != 0) return 1;
    for (int i = 0; i < kDeep; i++)
      while (sem_wait(&arrived) != 0) continue;
  } else if (strcmp(argv[1], "unjoined") == 0) {
    for (int i = 0; i < 5; i++)
      if (pthread_create(&thread, NULL, ends_at_once, NULL) != 0) return 1;
    for (int i = 0; i < 5; i++)
      while (sem_wait(&arrived) != 0) continue;
  } else if (strcmp(argv[1], "piles") == 0) {
    if (pthread_create(&thread, NULL, makes_one_after_the_other, NULL) != 0) return 1;
    for (int i = 0; i < 3; i++)
      while (sem_wait(&arrived) != 0) continue;
  } else {
    if (pthread_create(&thread, NULL, ends_with_lock, NULL) != 0) return 1;
    pthread_join(thread, NULL);
    if (pthread_create(&thread, NULL, wants_lock, NULL) != 0) return 1;
    while (sem_wait(&arrived) != 0) continue;
  }
  if (write(1, "ready\n", 6) != 6) return 1;
  while (read(0, &byte, 1) > 0) continue;
  return 0;
}
