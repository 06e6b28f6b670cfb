// SPDX-License-Identifier: Apache-2.0
// Nobody counts on a switch how deep a stack is: the kernel knows which pages have been touched.
#include "stack_use.h"

#include <algorithm>

#include "elf_image.h"

namespace weft::inspect {

std::optional<uint64_t> stack_used(const StackCopy& copy) {
  const Coroutine& c = copy.coroutine;
  if (!c.on_stack()) return std::nullopt;
  const uint64_t sp = c.runs() ? copy.registers.sp() : c.sp;
  if (sp < c.stack_low || sp >= c.stack_high()) return std::nullopt;
  return c.stack_high() - sp;
}

std::optional<uint64_t> stack_reached(Look& look, const StackCopy& copy) {
  const Coroutine& c = copy.coroutine;
  if (c.supplied_stack || !c.on_stack() || c.stack_size == 0) return std::nullopt;
  uint64_t reached = std::max(c.stack_reached, stack_used(copy).value_or(0));
  const uint64_t low = (c.stack_low + kPage - 1) & ~(kPage - 1);
  if (const auto page = look.target().lowest_page(low, c.stack_high() & ~(kPage - 1)))
    reached = std::max(reached, c.stack_high() - *page);
  return reached == 0 ? std::nullopt : std::optional(std::min(reached, c.stack_size));
}

}  // namespace weft::inspect
