/* SPDX-License-Identifier: Apache-2.0 */
/* What the explicit API costs: channels, actors, creation. Beside it the same by kernel threads, which use the same channels and mailboxes,
 * and by goroutines (explicit.go).
 *     explicit yield|ping_pong|ring|storm|skynet coroutines|threads COUNT [SIZE]
 * Prints one line of key=value: the check of what was computed, and the nanoseconds. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/co.h>

enum { stack_size = 64 * 1024 };

static int by_threads;

typedef union {
  co_t co;
  pthread_t thread;
} runner_t;

static void check(int error, const char* what) {
  if (error == 0) return;
  fprintf(stderr, "explicit: %s: %s\n", what, strerror(error));
  exit(1);
}

static void start(runner_t* out, void* (*fn)(void*), void* argument) {
  if (by_threads) {
    static pthread_attr_t attributes;
    static int made;
    if (!made++) {
      pthread_attr_init(&attributes);
      pthread_attr_setstacksize(&attributes, stack_size);
    }
    check(pthread_create(&out->thread, &attributes, fn, argument), "pthread_create");
  } else {
    static const co_attr_t attributes = {sizeof(co_attr_t), stack_size, NULL, CO_PRIORITY_NORMAL, 0};
    check(co_spawn(&out->co, fn, argument, &attributes), "co_spawn");
  }
}

static void finish(runner_t one) { check(by_threads ? pthread_join(one.thread, NULL) : co_join(one.co, NULL), "join"); }

static void in_runner(void* (*fn)(void*), void* argument) {
  runner_t one;
  start(&one, fn, argument);
  finish(one);
}

static void print(int64_t result, uint64_t since, int64_t count) {
  double spent = (double)(co_now() - since);
  printf("result=%lld seconds=%.6f ns_each=%.2f\n", (long long)result, spent / 1e9, spent / (double)count);
}

/* Two that give way to each other. A yield need not be a switch, so switches are counted. */

static atomic_int last;
static _Atomic int64_t turns_left;

static void* take_turns(void* side) {
  int self = side != NULL;
  while (turns_left > 0) {
    if (last != self) {
      last = self;
      turns_left--;
    }
    if (by_threads)
      sched_yield();
    else
      co_yield ();
  }
  return NULL;
}

static void yield(int64_t count) {
  runner_t sides[2];
  turns_left = count;
  uint64_t since = co_now();
  for (intptr_t side = 0; side < 2; side++) start(&sides[side], take_turns, (void*)side);
  for (int side = 0; side < 2; side++) finish(sides[side]);
  print(0, since, count);
}

/* Two that send a number to and fro. */

static co_chan_t *there, *back;

static void* answer(void* unused) {
  for (int64_t value; co_chan_recv(there, &value) == 0;) {
    value++;
    if (co_chan_send(back, &value) != 0) break;
  }
  return NULL;
}

static void* ask(void* count) {
  int64_t value = 0, rounds = *(int64_t*)count / 2;
  uint64_t since = co_now();
  for (int64_t i = 0; i < rounds; i++) {
    check(co_chan_send(there, &value), "co_chan_send");
    check(co_chan_recv(back, &value), "co_chan_recv");
  }
  print(value, since, 2 * rounds);
  co_chan_close(there);
  return NULL;
}

static void ping_pong(int64_t count) {
  runner_t other, one;
  check(co_chan_create(&there, sizeof(int64_t), 0), "co_chan_create");
  check(co_chan_create(&back, sizeof(int64_t), 0), "co_chan_create");
  start(&other, answer, NULL);
  start(&one, ask, &count);
  finish(one);
  finish(other);
}

/* Actors in a ring. */

struct actor {
  co_mailbox_t* mailbox;
  struct actor* next;
  runner_t runner;
};

static void* pass_on(void* argument) {
  struct actor* self = argument;
  for (int64_t left; co_mailbox_recv(self->mailbox, &left) == 0 && left > 0;) {
    left--;
    if (co_mailbox_send(self->next->mailbox, &left) != 0) break;
  }
  co_mailbox_close(self->next->mailbox);
  return NULL;
}

static void ring(int64_t messages, int64_t size) {
  struct actor* actors = calloc((size_t)size, sizeof *actors);
  for (int64_t i = 0; i < size; i++)
    check(co_mailbox_create(&actors[i].mailbox, sizeof messages, 1, NULL), "co_mailbox_create");
  for (int64_t i = 0; i < size; i++) {
    actors[i].next = &actors[(i + 1) % size];
    start(&actors[i].runner, pass_on, &actors[i]);
  }
  uint64_t since = co_now();
  check(co_mailbox_send(actors[0].mailbox, &messages), "co_mailbox_send");
  /* The number is 0 at this one, who ends first, and the others after it. */
  finish(actors[messages % size].runner);
  print(messages, since, messages + 1);
  for (int64_t i = 0; i < size; i++)
    if (i != messages % size) finish(actors[i].runner);
  for (int64_t i = 0; i < size; i++) co_mailbox_destroy(actors[i].mailbox);
  free(actors);
}

/* Made, run and joined, some hundreds at a time. */

enum { at_once = 256 };

static void* end_at_once(void* argument) {
  (*(int64_t*)argument)++;
  return NULL;
}

static void* make(void* count) {
  runner_t runners[at_once];
  int64_t ran[at_once] = {0}, sum = 0, rounds = *(int64_t*)count / at_once;
  uint64_t since = co_now();
  for (int64_t i = 0; i < rounds; i++) {
    for (int j = 0; j < at_once; j++) start(&runners[j], end_at_once, &ran[j]);
    for (int j = 0; j < at_once; j++) finish(runners[j]);
  }
  for (int j = 0; j < at_once; j++) sum += ran[j];
  print(sum, since, rounds * at_once);
  return NULL;
}

/* A tree of ten children each, whose leaves send their numbers up. */

struct node {
  co_chan_t* parent;
  int64_t number, size;
};

static void* grow(void* argument) {
  struct node self = *(struct node*)argument, children[10];
  runner_t runners[10];
  co_chan_t* own;
  int64_t sum = 0, part;
  if (self.size > 1) {
    check(co_chan_create(&own, sizeof sum, 0), "co_chan_create");
    for (int i = 0; i < 10; i++) {
      children[i] = (struct node){own, self.number + i * (self.size / 10), self.size / 10};
      start(&runners[i], grow, &children[i]);
    }
    for (int i = 0; i < 10; i++, sum += part) check(co_chan_recv(own, &part), "co_chan_recv");
    for (int i = 0; i < 10; i++) finish(runners[i]);
    co_chan_destroy(own);
  } else {
    sum = self.number;
  }
  check(co_chan_send(self.parent, &sum), "co_chan_send");
  return NULL;
}

static void skynet(int64_t leaves) {
  struct node root = {NULL, 0, leaves};
  runner_t runner;
  int64_t sum;
  check(co_chan_create(&root.parent, sizeof sum, 0), "co_chan_create");
  uint64_t since = co_now();
  start(&runner, grow, &root);
  check(co_chan_recv(root.parent, &sum), "co_chan_recv");
  print(sum, since, leaves);
  finish(runner);
}

int main(int count, char** words) {
  int64_t number = count > 3 ? atoll(words[3]) : 0, size = count > 4 ? atoll(words[4]) : 10000;
  by_threads = count > 2 && strcmp(words[2], "threads") == 0;
  if (number > 0 && strcmp(words[1], "yield") == 0)
    yield(number);
  else if (number > 0 && strcmp(words[1], "ping_pong") == 0)
    ping_pong(number);
  else if (number > 0 && strcmp(words[1], "ring") == 0)
    ring(number, size);
  else if (number > 0 && strcmp(words[1], "storm") == 0)
    in_runner(make, &number);
  else if (number > 0 && strcmp(words[1], "skynet") == 0)
    skynet(number);
  else
    return fprintf(stderr, "usage: explicit yield|ping_pong|ring|storm|skynet coroutines|threads COUNT [SIZE]\n"), 2;
  return 0;
}
