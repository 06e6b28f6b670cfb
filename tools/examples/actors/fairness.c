/* SPDX-License-Identifier: Apache-2.0 */
/* One sender that sends without end, and some that send now and then, to the same receiver. In a channel, which is
 * first in first out, a message waits behind all that the noisy one has sent before; in a mailbox senders take
 * turns. Counted is how many others are received between a message's send and its own receipt.
 *     fairness [CAPACITY] */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft/co.h>

enum { polite_senders = 10, messages_each = 20, polite_messages = polite_senders * messages_each };

struct message {
  uint64_t received_before; /* when it was sent */
  int polite;
};

static co_mailbox_t* mailbox;
static co_chan_t* channel;
static int by_mailbox;
static _Atomic uint64_t received;

static int send_message(struct message* message) {
  message->received_before = received;
  return by_mailbox ? co_mailbox_send(mailbox, message) : co_chan_send(channel, message);
}

static int receive_message(struct message* message) {
  return by_mailbox ? co_mailbox_recv(mailbox, message) : co_chan_recv(channel, message);
}

static int send_without_end(void* unused) {
  struct message message = {.polite = 0};
  while (send_message(&message) == 0) {
  }
  return 0; /* it has been closed */
}

static int send_politely(void* unused) {
  struct message message = {.polite = 1};
  for (int i = 0; i < messages_each; i++) send_message(&message);
  return 0;
}

static int by_size(const void* one, const void* other) {
  uint64_t left = *(const uint64_t*)one, right = *(const uint64_t*)other;
  return (left > right) - (left < right);
}

static void measure(size_t capacity) {
  struct message message;
  co_scope_t scope;
  co_mailbox_stats_t stats = {.length = 0};
  uint64_t waited[polite_messages] = {0};
  received = 0;
  co_scope_init(&scope);
  co_scope_spawn(&scope, send_without_end, NULL, NULL);
  while ((by_mailbox ? stats.length : co_chan_length(channel)) < capacity) { /* until it is full */
    co_yield ();
    if (by_mailbox) co_mailbox_get_stats(mailbox, &stats);
  }
  for (int i = 0; i < polite_senders; i++) co_scope_spawn(&scope, send_politely, NULL, NULL);
  for (int polite = 0; polite < polite_messages && receive_message(&message) == 0;) {
    uint64_t others = received++ - message.received_before;
    if (message.polite) waited[polite++] = others;
  }
  qsort(waited, polite_messages, sizeof *waited, by_size);
  printf("%s: half of the polite messages waited for at most %llu others, all for at most %llu\n",
         by_mailbox ? "mailbox" : "channel", (unsigned long long)waited[polite_messages / 2],
         (unsigned long long)waited[polite_messages - 1]);
  if (by_mailbox) {
    co_mailbox_get_stats(mailbox, &stats);
    printf("mailbox: %llu received, %llu sends had to wait, at most %zu of %zu in it\n",
           (unsigned long long)stats.received, (unsigned long long)stats.waits, stats.highest, stats.capacity);
    co_mailbox_close(mailbox);
  } else {
    co_chan_close(channel);
  }
  co_scope_wait(&scope);
}

static void* run(void* argument) {
  size_t capacity = *(size_t*)argument;
  if (co_chan_create(&channel, sizeof(struct message), capacity) != 0 ||
      co_mailbox_create(&mailbox, sizeof(struct message), capacity, "fairness") != 0)
    return "no memory";
  measure(capacity);
  by_mailbox = 1;
  measure(capacity);
  co_chan_destroy(channel);
  co_mailbox_destroy(mailbox);
  return NULL;
}

int main(int count, char** words) {
  size_t capacity = count > 1 ? (size_t)atoll(words[1]) : 1000;
  co_t runner;
  void* wrong = "no coroutine";
  if (co_spawn(&runner, run, &capacity, NULL) == 0) co_join(runner, &wrong);
  if (wrong != NULL) fprintf(stderr, "%s: %s\n", words[0], (char*)wrong);
  return wrong != NULL;
}
