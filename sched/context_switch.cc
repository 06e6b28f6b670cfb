// SPDX-License-Identifier: Apache-2.0
// The announced switch. Without ThreadSanitizer there is nothing here.
#include "sched/context_switch.h"

#ifdef __SANITIZE_THREAD__

#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include "sched/log.h"

namespace weft {

namespace {

// Where the pointer to the current state lies, from the thread pointer: in the main thread's state, where the state's own address
// becomes that of another one by a switch.
[[gnu::no_sanitize("thread")]] ptrdiff_t find_current() {
  constexpr size_t kWords = 1 << 18;
  void* own = __tsan_get_current_fiber();
  void* other = __tsan_create_fiber(0);
  auto* words = (void* volatile*)own;
  size_t limit = (size_t)((char*)__builtin_thread_pointer() - (char*)own) / sizeof(void*);
  ptrdiff_t found = 0;
  for (size_t i = 0; i < limit && i < kWords; i++) {
    if (words[i] != own) continue;
    __tsan_switch_to_fiber(other, 0);
    bool current = words[i] == other;
    __tsan_switch_to_fiber(own, 0);
    if (current) found = (char*)&words[i] - (char*)__builtin_thread_pointer();
  }
  __tsan_destroy_fiber(other);
  return found;
}

ptrdiff_t current_offset;

[[gnu::constructor]] void find_offset() { current_offset = find_current(); }

[[gnu::no_sanitize("thread")]] void*& current_of(const void* thread_pointer) {
  return *(void**)((char*)thread_pointer + current_offset);
}
[[gnu::no_sanitize("thread")]] void*& fiber_of(const void* thread_pointer) {
  ptrdiff_t offset = (char*)&thread_state.fiber - (char*)__builtin_thread_pointer();
  return *(void**)((char*)thread_pointer + offset);
}

}  // namespace

[[gnu::noinline, gnu::no_sanitize("thread")]] uintptr_t switch_context(Context* from, Context* to, uintptr_t message) {
  void* own = __tsan_get_current_fiber();
  const void* here = __builtin_thread_pointer();
  fiber_of(here) = own;
  void*& target = fiber_of(to->fs);
  if (!target) target = __tsan_create_fiber(0);
  void* next = target;
  __tsan_switch_to_fiber(next, 0);
  current_of(here) = own;
  current_of(to->fs) = next;
  return weft_switch(from, to, message);
}

void announce_publication(const void* what) { __tsan_release(const_cast<void*>(what)); }
void announce_sight(const void* what) { __tsan_acquire(const_cast<void*>(what)); }

void forget_context(const void* thread_pointer) {
  void*& fiber = fiber_of(thread_pointer);
  if (fiber) __tsan_destroy_fiber(fiber);
  fiber = nullptr;
}

bool keeps_sanitizer_state(const void* base) {
  Dl_info info;
  return dladdr((const void*)&__tsan_create_fiber, &info) && info.dli_fbase == base;
}

}  // namespace weft

#endif
