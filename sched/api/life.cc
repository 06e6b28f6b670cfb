// SPDX-License-Identifier: Apache-2.0
// Coroutines of the API: made, joined, suspended, named.
#include <cstring>

#include <pthread.h>
#include <sched.h>

#include "sched/api/api.h"
#include "sched/groups.h"
#include "sched/runtime.h"
#include "sched/scope.h"

namespace weft {

namespace {

// A co_runtime_t is its group's number, above null.
constexpr int kFirstRuntime = 1;

bool wants_resume(void* argument) { return !(uint32_t)((Coroutine*)argument)->permit.load(std::memory_order_acquire); }

}  // namespace

int api_spawn(co_t* out, void* (*start)(void*), void* argument, const co_attr_t* attributes, const void* caller,
              Scope* scope, StartOrder order) {
  SpawnAttributes wanted;
  if (attributes) {
    if (attributes->size < sizeof *attributes || attributes->priority < CO_PRIORITY_LOW ||
        attributes->priority > CO_PRIORITY_HIGH)
      return EINVAL;
    wanted.stack_size = attributes->stack_size;
    wanted.detached = attributes->detached;
    wanted.name = attributes->name;
    wanted.priority = (int8_t)attributes->priority;
    if (attributes->runtime) wanted.group = (int)(uintptr_t)attributes->runtime - kFirstRuntime;
  }
  if (!runtime_start()) return ENOSYS;
  uint64_t handle;
  wanted.handle = out ? out : &handle;
  wanted.creation_pc = caller;
  wanted.scope = scope;
  wanted.newest_first = order == StartOrder::newest_first;
  if (scope) {
    wanted.detached = true;
    wanted.c11 = true;
  }
  return spawn(nullptr, start, argument, wanted);
}

}  // namespace weft

using namespace weft;

WEFT_API int co_spawn(co_t* out, void* (*fn)(void*), void* argument, const co_attr_t* attributes) {
  return api_spawn(out, fn, argument, attributes, __builtin_return_address(0), nullptr);
}

WEFT_API int co_runtime_create(co_runtime_t** out, const unsigned* cpus, size_t count, unsigned workers) {
  if (!runtime_start()) return ENOSYS;
  int group = group_make(cpus, count, workers);
  if (group < 0) return -group;
  *out = (co_runtime_t*)(uintptr_t)(group + kFirstRuntime);
  return 0;
}

WEFT_API int co_join(co_t co, void** result) {
  Coroutine* target = coroutine_of_handle(co);
  if (!target) return ESRCH;
  take_turn();
  for (;;) {
    int error = join(target, result, kNever);
    if (error != EINTR) return error;
    if (int ended = wait_interrupted()) return ended;
  }
}

WEFT_API int co_detach(co_t co) {
  Coroutine* target = coroutine_of_handle(co);
  return target ? detach(target) : ESRCH;
}

WEFT_API co_t co_self(void) { return caller() ? handle_of(caller()) : 0; }

WEFT_API int co_yield_now(void) {
  Coroutine* self = woven();
  return self ? yield(self) : sched_yield();
}

WEFT_API int co_suspend(void) {
  Coroutine* self = caller();
  if (!self) return EPERM;
  const uint64_t none = (uint64_t)self->generation << 32;
  for (;;) {
    if (self->permit.exchange(none, std::memory_order_acq_rel) != none) return 0;
    if (int error = wait_for(KeyKind::suspend, WaitKind::suspend, self, wants_resume, self)) return error;
  }
}

WEFT_API int co_resume(co_t co) {
  Coroutine* target = coroutine_of_handle(co);
  if (!target) return ESRCH;
  // Not the permit of one that has come after it in the same place.
  uint64_t none = co >> 32 << 32, given = none | 1;
  if (!target->permit.compare_exchange_strong(none, given) && none != given) return ESRCH;
  if (has_waiters(park_key(KeyKind::suspend, target))) unpark(park_key(KeyKind::suspend, target), 1);
  return 0;
}

WEFT_API int co_set_name(co_t co, const char* name) {
  Coroutine* target = coroutine_of_handle(co);
  if (!target) return ESRCH;
  char kept[sizeof target->name] = {};
  memcpy(kept, name, strnlen(name, sizeof kept - 1));
  return pthread_setname_np((pthread_t)target->tcb, kept);
}

WEFT_API int co_get_name(co_t co, char* buffer, size_t size) {
  Coroutine* target = coroutine_of_handle(co);
  if (!target) return ESRCH;
  size_t length = strnlen(target->name, sizeof target->name);
  if (length >= size) return ERANGE;
  memcpy(buffer, target->name, length);
  buffer[length] = 0;
  return 0;
}

WEFT_API int co_set_priority(co_t co, int priority) {
  Coroutine* target = coroutine_of_handle(co);
  if (!target) return ESRCH;
  if (priority < CO_PRIORITY_LOW || priority > CO_PRIORITY_HIGH) return EINVAL;
  target->priority.store((int8_t)priority, std::memory_order_relaxed);
  return 0;
}

static_assert(sizeof(co_key_t) == sizeof(pthread_key_t));
WEFT_API int co_key_create(co_key_t* key, void (*destroy)(void*)) { return pthread_key_create(key, destroy); }
WEFT_API int co_key_delete(co_key_t key) { return pthread_key_delete(key); }
WEFT_API int co_set_local(co_key_t key, const void* value) { return pthread_setspecific(key, value); }
WEFT_API void* co_get_local(co_key_t key) { return pthread_getspecific(key); }
