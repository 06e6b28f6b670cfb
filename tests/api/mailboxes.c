// SPDX-License-Identifier: Apache-2.0
// Mailboxes: results, errors, the ends of their waits, each sender's order, and fairness: a noisy sender keeps nobody waiting.
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"

struct message {
  int sender, number;
};

static co_mailbox_t* make(size_t capacity) {
  co_mailbox_t* mailbox = NULL;
  MUST(co_mailbox_create(&mailbox, sizeof(struct message), capacity, "test") == 0);
  return mailbox;
}
static int send_number(co_mailbox_t* mailbox, int sender, int number) {
  struct message message = {sender, number};
  return co_mailbox_send(mailbox, &message);
}

static void results(void) {
  co_mailbox_t* mailbox = NULL;
  struct message message = {0, 1};
  co_mailbox_stats_t stats;
  EQUAL(co_mailbox_create(&mailbox, 8, 0, NULL), EINVAL);
  EQUAL(co_mailbox_create(NULL, 8, 1, NULL), EINVAL);
  EQUAL(co_mailbox_create(&mailbox, SIZE_MAX, 1, NULL), EINVAL);
  EQUAL(co_mailbox_create(&mailbox, (size_t)1 << 55, 1, NULL), ENOMEM);
  co_mailbox_destroy(NULL);
  EQUAL(co_mailbox_send(NULL, &message), EINVAL);
  EQUAL(co_mailbox_tryrecv(NULL, &message), EINVAL);
  EQUAL(co_mailbox_close(NULL), EINVAL);
  EQUAL(co_mailbox_get_stats(NULL, &stats), EINVAL);
  mailbox = make(2);
  EQUAL(co_mailbox_tryrecv(mailbox, &message), EAGAIN);
  EQUAL(co_mailbox_send(mailbox, &message), 0);
  EQUAL(co_mailbox_get_stats(mailbox, &stats), 0);
  EQUAL(stats.full_since, 0);
  message.number = 2;
  EQUAL(co_mailbox_trysend(mailbox, &message), 0);
  EQUAL(co_mailbox_trysend(mailbox, &message), EAGAIN);
  EQUAL(co_mailbox_get_stats(mailbox, &stats), 0);
  EQUAL(stats.length, 2);
  EQUAL(stats.highest, 2);
  EQUAL(stats.capacity, 2);
  EQUAL(stats.refused, 1);
  EQUAL(stats.received, 0);
  CHECK(stats.full_since != 0);
  EQUAL(co_mailbox_recv(mailbox, &message), 0);
  EQUAL(message.number, 1);
  EQUAL(co_mailbox_close(mailbox), 0);
  EQUAL(co_mailbox_close(mailbox), EPIPE);
  EQUAL(co_mailbox_send(mailbox, &message), EPIPE);
  EQUAL(co_mailbox_trysend(mailbox, &message), EPIPE);
  EQUAL(co_mailbox_tryrecv(mailbox, &message), 0);
  EQUAL(message.number, 2);
  EQUAL(co_mailbox_recv(mailbox, &message), EPIPE);
  EQUAL(co_mailbox_tryrecv(mailbox, &message), EPIPE);
  EQUAL(co_mailbox_get_stats(mailbox, &stats), 0);
  EQUAL(stats.received, 2);
  EQUAL(stats.full_since, 0);
  co_mailbox_destroy(mailbox);
}

static void* send_one(void* mailbox) { return (void*)(intptr_t)send_number(mailbox, 1, 1); }
static void* receive_one(void* mailbox) {
  struct message message;
  return (void*)(intptr_t)co_mailbox_recv(mailbox, &message);
}
static int limited_send(void* mailbox) { return send_number(mailbox, 1, 1); }
static int limited_receive(void* mailbox) { return (int)(intptr_t)receive_one(mailbox); }

static void waits_end(void) {
  co_mailbox_t *empty = make(1), *full = make(1);
  co_mailbox_stats_t stats;
  EQUAL(send_number(full, 0, 0), 0);
  for (int early = 0; early < 2; early++) {
    co_t sends = begin(send_one, full), receives = begin(receive_one, empty);
    if (!early) settle();
    EQUAL(co_cancel(sends), 0);
    EQUAL(co_cancel(receives), 0);
    EQUAL((intptr_t)end(sends), ECANCELED);
    EQUAL((intptr_t)end(receives), ECANCELED);
  }
  if (co_self()) {
    EQUAL(co_with_deadline(kMillisecond, limited_send, full), ETIMEDOUT);
    EQUAL(co_with_deadline(kMillisecond, limited_receive, empty), ETIMEDOUT);
  }
  EQUAL(co_mailbox_get_stats(full, &stats), 0);
  EQUAL(stats.waits, co_self() ? 3 : 2);
  EQUAL(stats.length, 1);
  co_t sends = begin(send_one, full), receives = begin(receive_one, empty);
  settle();
  EQUAL(co_mailbox_close(full), 0);
  EQUAL(co_mailbox_close(empty), 0);
  EQUAL((intptr_t)end(sends), EPIPE);
  EQUAL((intptr_t)end(receives), EPIPE);
  co_mailbox_destroy(empty);
  co_mailbox_destroy(full);
}

// Full all the time, though somebody receives: since when it has been so is not forgotten.
static void* send_many(void* mailbox) {
  for (int i = 0; i < 20; i++) EQUAL(send_number(mailbox, 1, i), 0);
  return NULL;
}
static void stays_full(void) {
  co_mailbox_t* mailbox = make(2);
  co_mailbox_stats_t before, after;
  struct message message;
  co_t one = begin(send_many, mailbox);
  co_t other = begin(send_many, mailbox);
  do {
    co_yield ();
    EQUAL(co_mailbox_get_stats(mailbox, &before), 0);
  } while (before.waits < 2);  // both wait with a message
  CHECK(before.full_since != 0);
  EQUAL(co_mailbox_recv(mailbox, &message), 0);
  EQUAL(co_mailbox_get_stats(mailbox, &after), 0);
  EQUAL(after.full_since, before.full_since);
  for (int i = 1; i < 40; i++) EQUAL(co_mailbox_recv(mailbox, &message), 0);
  end(one);
  end(other);
  EQUAL(co_mailbox_get_stats(mailbox, &after), 0);
  EQUAL(after.full_since, 0);
  co_mailbox_destroy(mailbox);
}

// Ten quiet senders and a noisy one in a full mailbox. A message of a quiet one waits for one of each other sender to be taken, to get in,
// and for one of each to be received, to come out; where messages went out as they came in, it would wait for all that are there.
enum { kQuiet = 10, kEachQuiet = 100, kCapacity = 64 };
static co_mailbox_t* shared;
static atomic_int quiet_left, taken;
static void* be_quiet(void* sender) {
  for (int i = 0; i < kEachQuiet; i++) EQUAL(send_number(shared, (int)(intptr_t)sender, atomic_load(&taken)), 0);
  atomic_fetch_sub(&quiet_left, 1);
  return NULL;
}
static void* be_noisy(void* unused) {
  (void)unused;
  while (send_number(shared, 0, 0) == 0) {
  }
  return NULL;
}
static int by_size(const void* one, const void* other) { return *(const int*)one - *(const int*)other; }

static void fair(void) {
  static int waited[kQuiet * kEachQuiet];
  int seen = 0;
  shared = make(kCapacity);
  atomic_store(&quiet_left, kQuiet);
  atomic_store(&taken, 0);
  co_t noisy = begin(be_noisy, NULL);
  // The noisy one has the mailbox for itself at first.
  co_mailbox_stats_t stats;
  do {
    co_yield ();
    EQUAL(co_mailbox_get_stats(shared, &stats), 0);
  } while (!stats.waits);
  co_t quiet[kQuiet];
  for (int i = 0; i < kQuiet; i++) quiet[i] = begin(be_quiet, (void*)(intptr_t)(i + 1));
  while (seen < kQuiet * kEachQuiet) {
    struct message message;
    EQUAL(co_mailbox_recv(shared, &message), 0);
    int before = atomic_fetch_add(&taken, 1);
    if (message.sender) waited[seen++] = before - message.number;
    co_yield ();
  }
  EQUAL(co_mailbox_close(shared), 0);
  struct message left;
  while (co_mailbox_tryrecv(shared, &left) == 0) {
  }
  end(noisy);
  for (int i = 0; i < kQuiet; i++) end(quiet[i]);
  // Of one that is kept from running while others send, the kernel decides how long.
  qsort(waited, (size_t)seen, sizeof *waited, by_size);
  if (waited[seen / 2] >= kCapacity / 2)
    fprintf(stderr, "%d messages in front of a quiet sender's\n", waited[seen / 2]);
  CHECK(waited[seen / 2] < kCapacity / 2);
  co_mailbox_destroy(shared);
}

static void* send_from(void* sender) {
  for (int i = 0; i < 1000; i++) EQUAL(send_number(shared, (int)(intptr_t)sender, i), 0);
  return NULL;
}
static void* send_from_pinned(void* sender) {
  pin_me();
  return send_from(sender);
}
static void all_kinds(void) {
  shared = make(8);
  pthread_t thread;
  int next[3] = {0};
  MUST(pthread_create(&thread, NULL, send_from, (void*)0) == 0);
  co_t one = begin(send_from, (void*)1), other = begin(send_from_pinned, (void*)2);
  for (int i = 0; i < 3000; i++) {
    struct message message;
    EQUAL(co_mailbox_recv(shared, &message), 0);
    EQUAL(message.number, next[message.sender]++);
  }
  MUST(pthread_join(thread, NULL) == 0);
  end(one);
  end(other);
  co_mailbox_destroy(shared);
}

int main(void) {
  anywhere(results);
  anywhere(waits_end);
  anywhere(stays_full);
  in_coroutine(fair);
  anywhere(all_kinds);
  return finish();
}
