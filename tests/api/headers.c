// SPDX-License-Identifier: Apache-2.0
// co.h by itself, as C11 has it: every initialiser and every name it gives.
#include "weft/co.h"

static void* start(void* argument) { return argument; }

int main(void) {
  co_attr_t attributes = CO_ATTR_INIT;
  co_mutex_t mutex = CO_MUTEX_INIT;
  co_cond_t cond = CO_COND_INIT;
  co_sem_t sem = CO_SEM_INIT(3);
  co_rwlock_t rwlock = CO_RWLOCK_INIT;
  co_once_t once = CO_ONCE_INIT;
  co_wait_group_t group = CO_WAIT_GROUP_INIT;
  co_select_case_t one = {.kind = CO_SELECT_TIME, .time = co_now()};
  co_t made;
  size_t chosen;
  return (int)sizeof mutex + (int)sizeof cond + (int)sizeof sem + (int)sizeof rwlock + (int)sizeof once +
         (int)sizeof group + co_spawn(&made, start, NULL, &attributes) + co_yield () + co_select(&one, 1, &chosen);
}
