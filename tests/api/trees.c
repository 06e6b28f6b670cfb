/* SPDX-License-Identifier: Apache-2.0 */
/* Many coroutines made at once, by others that wait for them: a tree is gone through by its branches, so that few are there at a time, and
 * who always makes another keeps nobody waiting. */
#include <stdatomic.h>
#include <stdint.h>

#include "check.h"

enum { leaves = 10000, children = 10, others = 40, steps = 20 };

struct node {
  co_chan_t* parent;
  int64_t number, size;
};

static void* grow(void* argument) {
  struct node self = *(struct node*)argument, below[children];
  co_t co[children];
  co_chan_t* own;
  int64_t sum = 0, part;
  if (self.size == 1) {
    CHECK(co_chan_send(self.parent, &self.number) == 0);
    return NULL;
  }
  MUST(co_chan_create(&own, sizeof sum, 0) == 0);
  for (int i = 0; i < children; i++) {
    below[i] = (struct node){own, self.number + i * (self.size / children), self.size / children};
    MUST(co_spawn(&co[i], grow, &below[i], NULL) == 0);
  }
  for (int i = 0; i < children; i++, sum += part) MUST(co_chan_recv(own, &part) == 0);
  for (int i = 0; i < children; i++) CHECK(co_join(co[i], NULL) == 0);
  co_chan_destroy(own);
  CHECK(co_chan_send(self.parent, &sum) == 0);
  return NULL;
}

static int64_t sum_of_tree(int64_t size) {
  struct node root = {.size = size};
  int64_t sum;
  MUST(co_chan_create(&root.parent, sizeof sum, 1) == 0);
  co_t co;
  MUST(co_spawn(&co, grow, &root, NULL) == 0);
  CHECK(co_join(co, NULL) == 0);
  CHECK(co_chan_recv(root.parent, &sum) == 0);
  co_chan_destroy(root.parent);
  return sum;
}

/* A chain is one that makes the next before it ends. The second begins only when the first has begun, and both end when the second has had
 * its steps. */

static atomic_int done, second_steps;
static co_wait_group_t chains;

static void begin_link(void* (*fn)(void*)) {
  co_attr_t attributes = CO_ATTR_INIT;
  attributes.detached = 1;
  co_wait_group_add(&chains, 1);
  MUST(co_spawn(NULL, fn, NULL, &attributes) == 0);
}

static void* first_chain(void* unused) {
  if (!done) begin_link(first_chain);
  co_wait_group_done(&chains);
  return NULL;
}

static void* second_chain(void* unused) {
  if (++second_steps < steps)
    begin_link(second_chain);
  else
    done = 1;
  co_wait_group_done(&chains);
  return NULL;
}

static void* others_are_ready(void* unused) {
  while (!done) co_yield ();
  return NULL;
}

static void* begin_chains(void* unused) {
  begin_link(second_chain);
  begin_link(first_chain);
  return NULL;
}

static void chains_side_by_side(void) {
  co_t ready[others], maker;
  for (int i = 0; i < others; i++) MUST(co_spawn(&ready[i], others_are_ready, NULL, NULL) == 0);
  MUST(co_spawn(&maker, begin_chains, NULL, NULL) == 0);
  CHECK(co_join(maker, NULL) == 0);
  for (int i = 0; i < others; i++) CHECK(co_join(ready[i], NULL) == 0);
  CHECK(co_wait_group_wait(&chains) == 0);
  CHECK(second_steps == steps);
}

int main(void) {
  EQUAL(sum_of_tree(leaves), (int64_t)leaves * (leaves - 1) / 2);
  chains_side_by_side();
  return finish();
}
