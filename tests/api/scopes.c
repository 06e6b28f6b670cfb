// SPDX-License-Identifier: Apache-2.0
// Scopes: they return when all children have, the first failure cancels the others, and so does the end of the caller's own wait.
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"

static atomic_int running;

static int brief(void* error) {
  CHECK(co_self() != 0);
  atomic_fetch_add(&running, 1);
  co_yield ();
  atomic_fetch_sub(&running, 1);
  return (int)(intptr_t)error;
}
static int until_canceled(void* unused) {
  (void)unused;
  atomic_fetch_add(&running, 1);
  int error = co_sleep(kLong);
  EQUAL(error, ECANCELED);
  co_yield ();
  atomic_fetch_sub(&running, 1);
  return error;
}
static int leave(void* unused) {
  (void)unused;
  pthread_exit((void*)EDOM);
}

static void all_well(void) {
  co_scope_t scope;
  EQUAL(co_scope_init(&scope), 0);
  EQUAL(co_scope_wait(&scope), 0);
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 20; i++) EQUAL(co_scope_spawn(&scope, brief, NULL, NULL), 0);
    EQUAL(co_scope_wait(&scope), 0);
    EQUAL(atomic_load(&running), 0);
  }
}

static void first_failure(void) {
  co_scope_t scope;
  EQUAL(co_scope_init(&scope), 0);
  for (int i = 0; i < 10; i++) EQUAL(co_scope_spawn(&scope, until_canceled, NULL, NULL), 0);
  EQUAL(co_scope_spawn(&scope, brief, (void*)ENOTTY, NULL), 0);
  EQUAL(co_scope_wait(&scope), ENOTTY);
  EQUAL(atomic_load(&running), 0);
  // It is as new.
  EQUAL(co_scope_spawn(&scope, brief, NULL, NULL), 0);
  EQUAL(co_scope_wait(&scope), 0);
}

static void canceled(void) {
  co_scope_t scope;
  EQUAL(co_scope_init(&scope), 0);
  for (int i = 0; i < 10; i++) EQUAL(co_scope_spawn(&scope, until_canceled, NULL, NULL), 0);
  EQUAL(co_scope_cancel(&scope), 0);
  EQUAL(co_scope_spawn(&scope, brief, NULL, NULL), ECANCELED);
  EQUAL(co_scope_wait(&scope), ECANCELED);
  EQUAL(atomic_load(&running), 0);
}

static void refused(void) {
  co_scope_t scope;
  co_attr_t attributes = CO_ATTR_INIT;
  attributes.size = 1;
  EQUAL(co_scope_init(&scope), 0);
  EQUAL(co_scope_spawn(&scope, brief, NULL, &attributes), EINVAL);
  EQUAL(co_scope_spawn(&scope, leave, NULL, NULL), 0);
  EQUAL(co_scope_wait(&scope), EDOM);
}

static void* wait_in_scope(void* well) {
  co_scope_t scope;
  EQUAL(co_scope_init(&scope), 0);
  for (int i = 0; i < 5; i++) EQUAL(co_scope_spawn(&scope, until_canceled, NULL, NULL), 0);
  atomic_store((atomic_int*)well, 1);
  int error = co_scope_wait(&scope);
  EQUAL(co_canceled(), ECANCELED);
  return (void*)(intptr_t)error;
}
static void caller_canceled(void) {
  atomic_int well = 0;
  co_t parent = begin(wait_in_scope, &well);
  while (!atomic_load(&well)) co_yield ();
  EQUAL(co_cancel(parent), 0);
  EQUAL((intptr_t)end(parent), ECANCELED);
  EQUAL(atomic_load(&running), 0);
}

static int slow_to_end(void* unused) {
  (void)unused;
  EQUAL(co_sleep(kLong), ECANCELED);
  EQUAL(co_shield((int (*)(void*))(void*)brief, NULL), 0);
  uint64_t until = co_now() + 30 * kMillisecond;
  while (co_now() < until) co_yield ();
  return 0;
}
// It neither leaves its children behind nor spins until they have ended.
static void caller_timed_out(void) {
  if (!co_self()) return;
  co_scope_t scope;
  co_deadline_t limit;
  EQUAL(co_scope_init(&scope), 0);
  for (int i = 0; i < 5; i++) EQUAL(co_scope_spawn(&scope, slow_to_end, NULL, NULL), 0);
  EQUAL(co_deadline_begin(&limit, kMillisecond), 0);
  EQUAL(co_scope_wait(&scope), ETIMEDOUT);
  EQUAL(co_deadline_end(&limit), ETIMEDOUT);
  EQUAL(atomic_load(&running), 0);
}

static int tree(void* depth) {
  co_scope_t scope;
  EQUAL(co_scope_init(&scope), 0);
  for (int i = 0; i < 3; i++)
    if ((intptr_t)depth && co_scope_spawn(&scope, tree, (void*)((intptr_t)depth - 1), NULL) != 0) break;
  if (!depth && atomic_fetch_add(&running, 1) == 20) return EDOM;
  return co_scope_wait(&scope);
}
static void failing_tree(void) {
  atomic_store(&running, 0);
  EQUAL(tree((void*)4), EDOM);
  atomic_store(&running, 0);
}

int main(void) {
  anywhere(all_well);
  anywhere(first_failure);
  anywhere(canceled);
  anywhere(refused);
  anywhere(caller_canceled);
  anywhere(caller_timed_out);
  anywhere(failing_tree);
  return finish();
}
