// SPDX-License-Identifier: Apache-2.0
// Scopes: a list of children, from which each goes when its stack has been left for good.
#include "sched/scope.h"

#include "sched/api/api.h"

namespace weft {

static_assert(sizeof(Scope) == sizeof(co_scope_t));

void scope_enter(Scope* scope, Coroutine* child) {
  Locked locked(scope->lock);
  child->previous_child = nullptr;
  child->next_child = scope->first;
  if (scope->first) scope->first->previous_child = child;
  scope->first = child;
  scope->children.fetch_add(1, std::memory_order_relaxed);
  // Cancelled while it was being made.
  if (scope->cancelled) cancel_coroutine(child, child->generation);
}

namespace {

void cancel_locked(Scope* scope) {
  __atomic_store_n(&scope->cancelled, true, __ATOMIC_RELAXED);
  for (Coroutine* child = scope->first; child; child = child->next_child) cancel_coroutine(child, child->generation);
}

bool has_children(void* scope) { return ((Scope*)scope)->children.load(std::memory_order_acquire) != 0; }

int wait_for_children(Scope* scope) { return wait_for(KeyKind::scope, WaitKind::scope, scope, has_children, scope); }

}  // namespace

void scope_leave(Scope* scope, Coroutine* child, int error) {
  uint64_t key = park_key(KeyKind::scope, scope);
  {
    Locked locked(scope->lock);
    if (child->previous_child)
      child->previous_child->next_child = child->next_child;
    else
      scope->first = child->next_child;
    if (child->next_child) child->next_child->previous_child = child->previous_child;
    if (error < 0) error = ECANCELED;  // it has been unwound
    int none = 0;
    if (error && scope->error.compare_exchange_strong(none, error, std::memory_order_relaxed)) cancel_locked(scope);
  }
  // From the last one's on the scope may be gone: its address alone is used.
  scope->children.fetch_sub(1);
  if (has_waiters(key)) unpark(key, ~0u);
}

}  // namespace weft

using namespace weft;

WEFT_API int co_scope_init(co_scope_t* scope) {
  *scope = {};
  return 0;
}

WEFT_API int co_scope_spawn(co_scope_t* opaque, int (*fn)(void*), void* argument, const co_attr_t* attributes) {
  auto* scope = (Scope*)opaque;
  if (__atomic_load_n(&scope->cancelled, __ATOMIC_RELAXED)) return ECANCELED;
  return api_spawn(nullptr, (void* (*)(void*))(void*)fn, argument, attributes, __builtin_return_address(0), scope);
}

WEFT_API int co_scope_cancel(co_scope_t* opaque) {
  auto* scope = (Scope*)opaque;
  Locked locked(scope->lock);
  cancel_locked(scope);
  return 0;
}

WEFT_API int co_scope_wait(co_scope_t* opaque) {
  auto* scope = (Scope*)opaque;
  int ended = 0;
  take_turn();
  while (!ended && has_children(scope)) ended = wait_for_children(scope);
  if (ended) {
    co_scope_cancel(opaque);
    Shield until_they_have_ended(caller());
    while (has_children(scope)) wait_for_children(scope);
  }
  int failed = scope->error.load(std::memory_order_relaxed);
  *opaque = {};
  return ended ? ended : failed;
}
