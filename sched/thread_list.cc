// SPDX-License-Identifier: Apache-2.0
// Casts between two fences of glibc's list of threads.
#include "sched/thread_list.h"

#include "sched/lock.h"

namespace weft {

namespace {

Lock list_lock;            // guards the links from the first fence's `next` to the last one's `previous`
ThreadLinks* first_fence;  // null: none

}  // namespace

void thread_list_begin(ThreadLinks* first, ThreadLinks* last) {
  Locked hold(list_lock);
  first_fence = first->next == last ? first : nullptr;
}

void thread_list_add(ThreadLinks* links) {
  Locked hold(list_lock);
  if (!first_fence) return;
  links->next = first_fence->next;
  links->previous = first_fence;
  first_fence->next->previous = links;
  __atomic_store_n(&first_fence->next, links, __ATOMIC_RELEASE);  // pairs with glibc's walk
}

void thread_list_remove(ThreadLinks* links) {
  Locked hold(list_lock);
  if (!first_fence) return;
  links->next->previous = links->previous;
  __atomic_store_n(&links->previous->next, links->next, __ATOMIC_RELEASE);
}

void thread_list_reset() {
  list_lock.reset();
  first_fence = nullptr;
}

}  // namespace weft
