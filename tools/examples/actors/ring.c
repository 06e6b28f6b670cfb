/* SPDX-License-Identifier: Apache-2.0 */
/* Actors in a ring: each waits for a number, and sends it on, one less, until it is 0.
 *     ring [ACTORS] [MESSAGES] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/co.h>

struct actor {
  co_mailbox_t* mailbox;
  struct actor* next;
  int number;
};

static int last; /* who had the number when it was 0 */

static int run(void* argument) {
  struct actor* self = argument;
  int64_t left;
  while (co_mailbox_recv(self->mailbox, &left) == 0) {
    if (left == 0) last = self->number;
    if (left == 0) break;
    left--;
    if (co_mailbox_send(self->next->mailbox, &left) != 0) break;
  }
  co_mailbox_close(self->next->mailbox); /* and so the whole ring ends, one after another */
  return 0;
}

int main(int count, char** words) {
  int size = count > 1 ? atoi(words[1]) : 10000;
  int64_t messages = count > 2 ? atoll(words[2]) : 100LL * size;
  struct actor* actors = calloc((size_t)size, sizeof *actors);
  co_attr_t attributes = CO_ATTR_INIT;
  attributes.name = "actor";
  attributes.stack_size = 64 * 1024;
  co_scope_t scope;
  int error = co_scope_init(&scope);
  for (int i = 0; i < size && error == 0; i++) {
    actors[i] = (struct actor){.next = &actors[(i + 1) % size], .number = i};
    error = co_mailbox_create(&actors[i].mailbox, sizeof messages, 1, NULL);
  }
  uint64_t begun = co_now();
  for (int i = 0; i < size && error == 0; i++) error = co_scope_spawn(&scope, run, &actors[i], &attributes);
  uint64_t made = co_now();
  if (error == 0) error = co_mailbox_send(actors[0].mailbox, &messages);
  int failed = co_scope_wait(&scope);
  uint64_t ended = co_now();
  if (error != 0 || failed != 0) return fprintf(stderr, "%s: %s\n", words[0], strerror(error ? error : failed)), 1;
  for (int i = 0; i < size; i++) co_mailbox_destroy(actors[i].mailbox);
  free(actors);
  printf("%d actors, %lld messages, the last to actor %d\n", size, (long long)messages, last);
  fprintf(stderr, "%.0f ns to make each, %.1f ns each message\n", (double)(made - begun) / size,
          (double)(ended - made) / (double)(messages + 1));
  return 0;
}
