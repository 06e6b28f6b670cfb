// SPDX-License-Identifier: Apache-2.0
// Coroutines of weft/co.h for the inspector to look at: two that hold each other's co_mutex_t, a mailbox whose actor does not come back, or one
// in each kind of wait. Says "ready" when all are made.
//
// usage: inspect_api deadlock|mailbox|waits
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weft/co.h"

static co_mutex_t first = CO_MUTEX_INIT, second = CO_MUTEX_INIT;
static co_wait_group_t both = CO_WAIT_GROUP_INIT;

static void* takes_first_then_second(void* unused) {
  co_mutex_lock(&first);
  co_wait_group_done(&both);
  co_wait_group_wait(&both);
  co_mutex_lock(&second);
  return unused;
}
static void* takes_second_then_first(void* unused) {
  co_mutex_lock(&second);
  co_wait_group_done(&both);
  co_wait_group_wait(&both);
  co_mutex_lock(&first);
  return unused;
}

static co_mailbox_t* mailbox;
static void* sends(void* number) {
  for (;;)
    if (co_mailbox_send(mailbox, &number)) return NULL;
}

static co_chan_t* chan;
static co_rwlock_t rwlock = CO_RWLOCK_INIT;
static int pipe_ends[2];
static void* suspends(void* unused) {
  co_suspend();
  return unused;
}
static void* locks(void* unused) {
  co_mutex_lock(&first);
  return unused;
}
static void* reads(void* unused) {
  co_rwlock_rdlock(&rwlock);
  return unused;
}
static void* writes(void* unused) {
  co_rwlock_wrlock(&rwlock);
  return unused;
}
static void* awaits_group(void* unused) {
  co_wait_group_wait(&both);
  return unused;
}
static int child(void* unused) {
  (void)unused;
  return co_sleep(UINT64_MAX);
}
static void* awaits_scope(void* unused) {
  co_scope_t scope;
  co_scope_init(&scope);
  co_scope_spawn(&scope, child, NULL, NULL);
  co_scope_wait(&scope);
  return unused;
}
static void* sends_value(void* chan_to) {
  long value = 1;
  co_chan_send(chan_to, &value);
  return NULL;
}
static void* receives_value(void* chan_from) {
  long value;
  co_chan_recv(chan_from, &value);
  return NULL;
}
static void* selects(void* unused) {
  long value;
  size_t chosen;
  co_select_case_t cases[] = {{.kind = CO_SELECT_RECV, .chan = chan, .value = &value},
                              {.kind = CO_SELECT_READ, .fd = pipe_ends[0]}};
  co_select(cases, 2, &chosen);
  return unused;
}
static void* receives_message(void* unused) {
  void* message;
  co_mailbox_recv(mailbox, &message);
  return unused;
}

static co_t begin(void* (*fn)(void*), void* arg, const char* name) {
  co_attr_t attributes = CO_ATTR_INIT;
  co_t made = 0;
  attributes.name = name;
  if (co_spawn(&made, fn, arg, &attributes) != 0) abort();
  return made;
}

static void begin_waits(void) {
  co_chan_t* full;
  co_mutex_lock(&first);
  co_rwlock_wrlock(&rwlock);
  if (pipe(pipe_ends) != 0 || co_chan_create(&full, sizeof(long), 0) || co_chan_create(&chan, sizeof(long), 0) ||
      co_mailbox_create(&mailbox, sizeof(void*), 1, "empty"))
    abort();
  begin(suspends, NULL, "suspend");
  begin(locks, NULL, "co_mutex");
  begin(reads, NULL, "co_rwlock read");
  begin(writes, NULL, "co_rwlock write");
  begin(awaits_group, NULL, "group");
  begin(awaits_scope, NULL, "scope");
  begin(sends_value, full, "channel send");
  begin(receives_value, chan, "channel receive");
  begin(selects, NULL, "select");
  begin(receives_message, NULL, "mailbox receive");
}

int main(int count, char** arguments) {
  char byte;
  if (count != 2) return 2;
  if (!strcmp(arguments[1], "deadlock")) {
    co_wait_group_add(&both, 2);
    begin(takes_first_then_second, NULL, NULL);
    begin(takes_second_then_first, NULL, NULL);
  } else if (!strcmp(arguments[1], "mailbox")) {
    if (co_mailbox_create(&mailbox, sizeof(void*), 4, "slow actor")) return 1;
    for (int i = 0; i < 3; i++) begin(sends, NULL, NULL);
  } else if (!strcmp(arguments[1], "waits")) {
    co_wait_group_add(&both, 1);
    begin_waits();
  } else {
    return 2;
  }
  if (write(1, "ready\n", 6) != 6) return 1;
  // An x: somebody receives after all.
  while (read(0, &byte, 1) == 1) {
    void* message;
    if (co_mailbox_recv(mailbox, &message) != 0 || write(1, "ready\n", 6) != 6) return 1;
  }
  _exit(0);
}
