// SPDX-License-Identifier: Apache-2.0
// Contexts of <ucontext.h>: stacks that the program makes and switches by itself, in one thread or from one to another. A coroutine runs
// and parks on them as on its own. The signal mask that goes with each is the coroutine's, which the kernel does not know, so libc's
// functions, which ask the kernel, are not called. The registers: asm/ucontext.h.
#include "hook/hook.h"

#include <cstdarg>
#include <cstring>

#include "asm/ucontext.h"
#include "sched/handler_entry.h"
#include "sched/idle_stacks.h"

using namespace weft;

namespace {

// The kernel's eight bytes are all that libc's getcontext writes of a mask.
constexpr size_t kMaskBytes = 8;

void set_mask(const ucontext_t* to) {
  sigset_t set = {};
  memcpy(&set, &to->uc_sigmask, kMaskBytes);
  pthread_sigmask(SIG_SETMASK, &set, nullptr);
}

}  // namespace

extern "C" void weft_context_saved(ucontext_t* context) {
  sigset_t set;
  pthread_sigmask(SIG_SETMASK, nullptr, &set);
  memcpy(&context->uc_sigmask, &set, kMaskBytes);
}

// A handler that swaps away may be come back to: its window stays open.
extern "C" void weft_context_swapped(ucontext_t* from, const ucontext_t* to) {
  weft_context_saved(from);
  set_mask(to);
}

extern "C" void weft_context_left(const ucontext_t* to) {
  if (Coroutine* self = thread_state.identity) {
    if (self->window) signal_window_leave(stack_pointer_of(to), true);
    handler_entry_left(self);
  }
  set_mask(to);
}

// The stack that the function finds: where it returns to, the arguments that no register holds, the link.
WEFT_EXPORT void makecontext(ucontext_t* context, void (*function)(void), int count, ...) noexcept {
  idle_stacks_stay();
  size_t by_stack = count > kArgumentsInRegisters ? (size_t)(count - kArgumentsInRegisters) : 0;
  uintptr_t top = (uintptr_t)context->uc_stack.ss_sp + context->uc_stack.ss_size;
  constexpr size_t kWord = sizeof(uintptr_t);
  auto* arguments = (uintptr_t*)((top - (by_stack + 1) * kWord) & ~uintptr_t{15});
  uintptr_t* link = &arguments[by_stack];
  *link = (uintptr_t)context->uc_link;
  start_at(context, function, arguments - kReturnWords, link);
  va_list list;
  va_start(list, count);
  for (int i = 0; i < count; i++) {
    greg_t argument = va_arg(list, greg_t);
    if (i < kArgumentsInRegisters)
      argument_in(context, i) = argument;
    else
      arguments[i - kArgumentsInRegisters] = (uintptr_t)argument;
  }
  va_end(list);
}
