// SPDX-License-Identifier: Apache-2.0
// Time, deadlines, cancellation and shields.
#include "check.h"

static void sleeps(void) {
  uint64_t before = co_now();
  EQUAL(co_sleep(3 * kMillisecond), 0);
  CHECK(co_now() - before >= 3 * kMillisecond);
  EQUAL(co_sleep(0), 0);
  EQUAL(co_sleep_until(0), 0);
  before = co_now();
  EQUAL(co_sleep_until(before + kMillisecond), 0);
  CHECK(co_now() >= before + kMillisecond);
}

static void* sleep_long(void* unused) {
  (void)unused;
  int error = co_sleep(kLong);
  EQUAL(co_canceled(), error);
  EQUAL(co_sleep(0), 0);
  EQUAL(co_sleep_until(co_now() + kLong), error);
  EQUAL(co_sleep(UINT64_MAX), error);
  return (void*)(intptr_t)error;
}
static void canceled(void) {
  co_t one = begin(sleep_long, NULL);
  settle();
  EQUAL(co_cancel(one), 0);
  EQUAL(co_cancel(one), 0);
  EQUAL((intptr_t)end(one), ECANCELED);
  EQUAL(co_cancel(one), ESRCH);
  EQUAL(co_canceled(), 0);
}
static void* cancel_me(void* unused) {
  (void)unused;
  EQUAL(co_cancel(co_self()), 0);
  EQUAL(co_canceled(), ECANCELED);
  EQUAL(co_sleep(kLong), ECANCELED);
  co_t other = begin(sleep_long, NULL);  // is not cancelled with it
  EQUAL(co_join(other, NULL), ECANCELED);
  EQUAL(co_cancel(other), 0);
  EQUAL(co_detach(other), 0);
  return NULL;
}

static int limited(void* argument) {
  CHECK(argument == &check_failures);
  EQUAL(co_canceled(), 0);
  int error = co_sleep(kLong);
  EQUAL(co_canceled(), ETIMEDOUT);
  return error + 1000;
}
static void with_deadline(void) {
  if (!co_self()) {
    co_deadline_t state;
    EQUAL(co_with_deadline(kMillisecond, limited, &check_failures), EPERM);
    EQUAL(co_deadline_begin(&state, 1), EPERM);
    EQUAL(co_deadline_end(&state), EPERM);
    return;
  }
  EQUAL(co_with_deadline(kMillisecond, limited, &check_failures), ETIMEDOUT + 1000);
  EQUAL(co_canceled(), 0);
  EQUAL(co_sleep(kMillisecond), 0);
}

static void nested(void) {
  if (!co_self()) return;
  co_deadline_t outer, inner;
  // The inner one first.
  EQUAL(co_deadline_begin(&outer, kLong), 0);
  EQUAL(co_deadline_begin(&inner, kMillisecond), 0);
  EQUAL(co_sleep(kLong), ETIMEDOUT);
  EQUAL(co_deadline_end(&inner), ETIMEDOUT);
  EQUAL(co_sleep(kMillisecond), 0);
  EQUAL(co_deadline_end(&outer), 0);
  // The outer one first, and it stays passed.
  EQUAL(co_deadline_begin(&outer, kMillisecond), 0);
  EQUAL(co_deadline_begin(&inner, kLong), 0);
  EQUAL(co_sleep(kLong), ETIMEDOUT);
  EQUAL(co_deadline_end(&inner), 0);
  EQUAL(co_sleep(kLong), ETIMEDOUT);
  EQUAL(co_deadline_end(&outer), ETIMEDOUT);
  EQUAL(co_canceled(), 0);
  // None at all, and one that has passed before it begins.
  EQUAL(co_deadline_begin(&outer, UINT64_MAX), 0);
  EQUAL(co_sleep(kMillisecond), 0);
  EQUAL(co_deadline_end(&outer), 0);
  EQUAL(co_deadline_begin(&outer, 0), 0);
  EQUAL(co_canceled(), ETIMEDOUT);
  EQUAL(co_sleep(kLong), ETIMEDOUT);
  EQUAL(co_deadline_end(&outer), ETIMEDOUT);
}

static int shielded(void* unused) {
  (void)unused;
  EQUAL(co_canceled(), 0);
  EQUAL(co_sleep(kMillisecond), 0);
  if (co_self()) {
    co_deadline_t own;  // one of its own counts
    EQUAL(co_deadline_begin(&own, kMillisecond), 0);
    EQUAL(co_sleep(kLong), ETIMEDOUT);
    EQUAL(co_deadline_end(&own), ETIMEDOUT);
    EQUAL(co_sleep(kMillisecond), 0);
  }
  return 5;
}
static int shielded_twice(void* unused) {
  EQUAL(co_shield(shielded, unused), 5);
  EQUAL(co_sleep(kMillisecond), 0);
  return 6;
}
static void* shield_me(void* unused) {
  (void)unused;
  co_deadline_t limit;
  EQUAL(co_deadline_begin(&limit, 0), 0);
  EQUAL(co_shield(shielded_twice, NULL), 6);
  EQUAL(co_canceled(), ETIMEDOUT);
  EQUAL(co_cancel(co_self()), 0);
  EQUAL(co_shield(shielded_twice, NULL), 6);
  EQUAL(co_canceled(), ECANCELED);
  EQUAL(co_deadline_end(&limit), ETIMEDOUT);
  EQUAL(co_sleep(kLong), ECANCELED);
  return NULL;
}
static void shields(void) {
  EQUAL(co_shield(shielded_twice, NULL), 6);
  end(begin(shield_me, NULL));
}

static void cancel_oneself(void) { end(begin(cancel_me, NULL)); }

int main(void) {
  anywhere(sleeps);
  anywhere(canceled);
  anywhere(cancel_oneself);
  anywhere(with_deadline);
  anywhere(nested);
  anywhere(shields);
  return finish();
}
