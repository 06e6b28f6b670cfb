// SPDX-License-Identifier: Apache-2.0
// Calls that only x86-64 has and that change what belongs to one kernel thread, as those of hook/kernel_state.cc: bases of segments, ports.
#include "hook/thread.h"

#include <asm/prctl.h>

using namespace weft;

WEFT_EXPORT int arch_prctl(int option, unsigned long value) noexcept {
  if (option == ARCH_SET_GS || option == ARCH_SET_FS || option == ARCH_SET_CPUID) kernel_state_changes();
  return real().arch_prctl(option, value);
}

WEFT_EXPORT int ioperm(unsigned long from, unsigned long count, int allowed) noexcept {
  kernel_state_changes();
  return real().ioperm(from, count, allowed);
}

WEFT_EXPORT int iopl(int level) noexcept {
  kernel_state_changes();
  return real().iopl(level);
}
