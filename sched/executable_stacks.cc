// SPDX-License-Identifier: Apache-2.0
// Who asks for executable stacks, and the fault that finds out.
#include "sched/executable_stacks.h"

#include <link.h>
#include <sys/auxv.h>

#include "asm/signal_frame.h"
#include "sched/coroutine.h"
#include "sched/stack.h"
#include "sched/sys.h"
#include "sched/tls_block.h"

namespace weft {

namespace {

// As ld.so sees it, for which a module that does not say wants one. The kernel's own module is not of its loading.
int asks(dl_phdr_info* module, size_t, void* kernels) {
  if ((uintptr_t)module->dlpi_phdr - (uintptr_t)kernels < 4096) return 0;
  for (int i = 0; i < module->dlpi_phnum; i++)
    if (module->dlpi_phdr[i].p_type == PT_GNU_STACK) return (module->dlpi_phdr[i].p_flags & PF_X) != 0;
  return 1;
}

bool some_module_asks() {
  auto* kernels = (void*)getauxval(AT_SYSINFO_EHDR);
  constexpr int kTries = 1000;  // others fork meanwhile
  for (int i = 0; i < kTries; i++) {
    int found = 0;
    if (modules_walk(asks, kernels, &found)) return found;
    sys::call(SYS_sched_yield);
  }
  return dl_iterate_phdr(asks, kernels);  // the fork waits for us: its handlers fault
}

const Coroutine* owner_of(const char* address) {
  for (uint32_t i = 0; i < coroutine_slots(); i++) {
    const Coroutine* coroutine = coroutine_at(i);
    const char* low = __atomic_load_n(&coroutine->saved_low, __ATOMIC_ACQUIRE);
    if (low && address >= low && address < low + coroutine->saved_size) return coroutine;
  }
  return nullptr;
}

bool make_executable(const Coroutine* coroutine) {
  const char* low = __atomic_load_n(&coroutine->saved_low, __ATOMIC_ACQUIRE);
  return low && stack_make_executable(low, coroutine->saved_size, coroutine->guard_size);
}

}  // namespace

void executable_stacks_init() {
  if (some_module_asks()) stacks_are_executable();
}

bool executable_stack_fault(int signal, const siginfo_t* info, const void* context) {
  if (signal != SIGSEGV || info->si_code != SEGV_ACCERR || !faulted_by_fetch(info, context)) return false;
  const Coroutine* owner = owner_of((const char*)info->si_addr);
  if (!owner || !some_module_asks()) return false;
  stacks_are_executable();
  for (uint32_t i = 0; i < coroutine_slots(); i++) make_executable(coroutine_at(i));
  return make_executable(owner);
}

}  // namespace weft
