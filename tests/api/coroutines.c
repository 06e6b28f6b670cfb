// SPDX-License-Identifier: Apache-2.0
// Making, joining, detaching, suspending and naming coroutines, and values of their own.
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"

static void* give_back(void* value) { return value; }
static void* say_self(void* unused) {
  (void)unused;
  return (void*)(uintptr_t)co_self();
}

static void spawn_and_join(void) {
  int errno_before = errno = 77;
  co_t made = 0;
  EQUAL(co_spawn(&made, say_self, NULL, NULL), 0);
  EQUAL((uintptr_t)end(made), made);
  EQUAL(errno, errno_before);
  EQUAL(co_join(made, NULL), ESRCH);
  EQUAL(co_detach(made), ESRCH);
  EQUAL(co_resume(made), ESRCH);
  EQUAL(co_cancel(made), ESRCH);
  EQUAL(co_set_name(made, "x"), ESRCH);
  EQUAL(co_set_priority(made, CO_PRIORITY_LOW), ESRCH);
  char name[16];
  EQUAL(co_get_name(made, name, sizeof name), ESRCH);
  EQUAL(co_join(0, NULL), ESRCH);
  EQUAL(co_join((co_t)-1, NULL), ESRCH);
  EQUAL((uintptr_t)end(begin(give_back, (void*)42)), 42);

  // In the same place, and not the same.
  co_t next = begin(give_back, NULL);
  CHECK(next != made);
  EQUAL(co_join(made, NULL), ESRCH);
  end(next);
}

static void attributes(void) {
  co_attr_t attributes = CO_ATTR_INIT;
  co_t made = 0;
  attributes.size = 3;
  EQUAL(co_spawn(&made, give_back, NULL, &attributes), EINVAL);
  attributes = (co_attr_t)CO_ATTR_INIT;
  attributes.priority = 7;
  EQUAL(co_spawn(&made, give_back, NULL, &attributes), EINVAL);
  attributes = (co_attr_t)CO_ATTR_INIT;
  attributes.stack_size = (size_t)1 << 60;
  EQUAL(co_spawn(&made, give_back, NULL, &attributes), EAGAIN);
  EQUAL(made, 0);
  for (int priority = CO_PRIORITY_LOW; priority <= CO_PRIORITY_HIGH; priority++) {
    attributes = (co_attr_t)CO_ATTR_INIT;
    attributes.priority = priority;
    attributes.stack_size = 256 << 10;
    EQUAL(co_spawn(&made, give_back, &attributes, &attributes), 0);
    CHECK(end(made) == &attributes);
  }
}

static void* use_stack(void* size) {
  volatile char* bytes = __builtin_alloca((uintptr_t)size);
  for (uintptr_t i = 0; i < (uintptr_t)size; i += 1024) bytes[i] = 1;
  return (void*)(uintptr_t)bytes[0];
}
static void stack_sizes(void) {
  co_attr_t attributes = CO_ATTR_INIT;
  co_t made;
  attributes.stack_size = 20 << 20;
  MUST(co_spawn(&made, use_stack, (void*)(uintptr_t)(18 << 20), &attributes) == 0);
  EQUAL((uintptr_t)end(made), 1);
}

static atomic_int ended;
static void* count_end(void* unused) {
  (void)unused;
  co_yield ();
  atomic_fetch_add(&ended, 1);
  return NULL;
}
static void detached(void) {
  atomic_store(&ended, 0);
  co_attr_t attributes = CO_ATTR_INIT;
  attributes.detached = 1;
  co_t made = 0;
  EQUAL(co_spawn(&made, count_end, NULL, &attributes), 0);
  int error = co_join(made, NULL);
  CHECK(error == EINVAL || error == ESRCH);
  EQUAL(co_spawn(NULL, count_end, NULL, &attributes), 0);
  made = begin(count_end, NULL);
  EQUAL(co_detach(made), 0);
  error = co_detach(made);
  CHECK(error == EINVAL || error == ESRCH);
  while (atomic_load(&ended) < 3) co_yield ();
}

static void* suspend_me(void* times) {
  for (long i = (long)times; i > 0; i--) EQUAL(co_suspend(), 0);
  return NULL;
}
static void* join_it(void* co) { return (void*)(intptr_t)co_join(*(co_t*)co, NULL); }

static void joined_twice(void) {
  co_t waits = begin(suspend_me, (void*)1);
  co_t joiner = begin(join_it, &waits);
  // One of the two has it, whoever comes first.
  settle();
  int error = co_join(waits, NULL);
  EQUAL(error, EINVAL);
  EQUAL(co_resume(waits), 0);
  EQUAL((intptr_t)end(joiner), 0);
}

static void join_oneself(void) { EQUAL(co_join(co_self(), NULL), co_self() ? EDEADLK : ESRCH); }

static void join_ends(void) {
  co_t waits = begin(suspend_me, (void*)1);
  co_t joiner = begin(join_it, &waits);
  settle();
  EQUAL(co_cancel(joiner), 0);
  EQUAL((intptr_t)end(joiner), ECANCELED);
  co_deadline_t limit;
  if (co_deadline_begin(&limit, kMillisecond) == 0) {
    EQUAL(co_join(waits, NULL), ETIMEDOUT);
    EQUAL(co_deadline_end(&limit), ETIMEDOUT);
  }
  EQUAL(co_resume(waits), 0);
  end(waits);
}

static void suspended(void) {
  // Before it comes to wait, twice, counts as once.
  co_t waits = begin(suspend_me, (void*)2);
  EQUAL(co_resume(waits), 0);
  settle();
  EQUAL(co_resume(waits), 0);
  end(waits);
  if (co_self() == 0) {
    EQUAL(co_suspend(), EPERM);
    return;
  }
  EQUAL(co_resume(co_self()), 0);
  EQUAL(co_resume(co_self()), 0);
  EQUAL(co_suspend(), 0);
  co_deadline_t limit;
  EQUAL(co_deadline_begin(&limit, kMillisecond), 0);
  EQUAL(co_suspend(), ETIMEDOUT);
  EQUAL(co_deadline_end(&limit), ETIMEDOUT);
}
static void* suspend_result(void* unused) {
  (void)unused;
  return (void*)(intptr_t)co_suspend();
}
static void suspended_canceled(void) {
  for (int early = 0; early < 2; early++) {
    co_t waits = begin(suspend_result, NULL);
    if (!early) settle();
    EQUAL(co_cancel(waits), 0);
    EQUAL((intptr_t)end(waits), ECANCELED);
  }
}

static void* name_me(void* unused) {
  (void)unused;
  char name[16], kernels[16];
  EQUAL(co_get_name(co_self(), name, sizeof name), 0);
  CHECK(!strcmp(name, "of its spawn"));
  EQUAL(co_set_name(co_self(), "a name that is too long"), 0);
  EQUAL(co_get_name(co_self(), name, sizeof name), 0);
  CHECK(!strcmp(name, "a name that is "));
  EQUAL(co_get_name(co_self(), name, 15), ERANGE);
  MUST(pthread_getname_np(pthread_self(), kernels, sizeof kernels) == 0);
  CHECK(!strcmp(name, kernels));
  EQUAL(co_suspend(), 0);
  return NULL;
}
static void names(void) {
  co_attr_t attributes = CO_ATTR_INIT;
  attributes.name = "of its spawn";
  co_t made;
  MUST(co_spawn(&made, name_me, NULL, &attributes) == 0);
  settle();
  char name[16];
  EQUAL(co_get_name(made, name, sizeof name), 0);
  EQUAL(co_set_name(made, "from outside"), 0);
  EQUAL(co_get_name(made, name, sizeof name), 0);
  EQUAL(co_resume(made), 0);
  end(made);
}

static void priorities(void) {
  co_t made = begin(suspend_me, (void*)1);
  EQUAL(co_set_priority(made, CO_PRIORITY_HIGH), 0);
  EQUAL(co_set_priority(made, CO_PRIORITY_LOW), 0);
  EQUAL(co_set_priority(made, 2), EINVAL);
  EQUAL(co_set_priority(made, -2), EINVAL);
  EQUAL(co_resume(made), 0);
  end(made);
}

static co_key_t key;
static atomic_int destroyed;
static void destroy(void* value) {
  CHECK(value == &key);
  atomic_fetch_add(&destroyed, 1);
}
static void* local_value(void* unused) {
  (void)unused;
  CHECK(co_get_local(key) == NULL);
  EQUAL(co_set_local(key, &key), 0);
  co_yield ();
  CHECK(co_get_local(key) == &key);
  return NULL;
}
static void local_values(void) {
  atomic_store(&destroyed, 0);
  EQUAL(co_key_create(&key, destroy), 0);
  co_t made[10];
  for (int i = 0; i < 10; i++) made[i] = begin(local_value, NULL);
  for (int i = 0; i < 10; i++) end(made[i]);
  EQUAL(atomic_load(&destroyed), 10);
  CHECK(co_get_local(key) == NULL);
  EQUAL(co_key_delete(key), 0);
  EQUAL(co_key_delete(key), EINVAL);
  EQUAL(co_set_local(key, &key), EINVAL);
  EQUAL(co_set_local(100000, &key), EINVAL);
  CHECK(co_get_local(key) == NULL);
}
static void all_keys(void) {
  static co_key_t keys[2000];
  int made = 0;
  while (made < 2000 && co_key_create(&keys[made], NULL) == 0) made++;
  CHECK(made > 500 && made < 2000);
  EQUAL(co_key_create(&key, NULL), EAGAIN);
  while (made) EQUAL(co_key_delete(keys[--made]), 0);
}

static _Thread_local int own = 5;
static void* keep_own(void* value) {
  EQUAL(own, 5);
  own = (int)(intptr_t)value;
  errno = own;
  for (int i = 0; i < 100; i++) co_yield ();
  EQUAL(errno, own);
  EQUAL(own, (intptr_t)value);
  return NULL;
}
static void thread_locals(void) {
  co_t made[50];
  for (int i = 0; i < 50; i++) made[i] = begin(keep_own, (void*)(intptr_t)(i + 10));
  for (int i = 0; i < 50; i++) end(made[i]);
  EQUAL(own, 5);
}

static void* leave(void* unused) {
  (void)unused;
  pthread_exit((void*)9);
}
static void left_by_pthread_exit(void) { EQUAL((uintptr_t)end(begin(leave, NULL)), 9); }

int main(void) {
  anywhere(spawn_and_join);
  anywhere(attributes);
  anywhere(stack_sizes);
  anywhere(detached);
  anywhere(joined_twice);
  anywhere(join_oneself);
  anywhere(join_ends);
  anywhere(suspended);
  anywhere(suspended_canceled);
  anywhere(names);
  anywhere(priorities);
  anywhere(local_values);
  anywhere(all_keys);
  anywhere(thread_locals);
  anywhere(left_by_pthread_exit);
  EQUAL(co_yield (), 0);
  return finish();
}
