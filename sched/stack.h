// SPDX-License-Identifier: Apache-2.0
// Stacks: slabs of many stacks an mmap, each stack with a guard below it.
//
// The guard is MADV_GUARD_INSTALL where the kernel has it and a probe shows that it works: it splits no mapping. Elsewhere, and with
// WEFT_GUARDS=mprotect, it is mprotect, which needs two mappings a stack; when vm.max_map_count runs out, that is said.
#pragma once

#include <cstdint>

namespace weft {

struct StackMemory {
  char* low;      // lowest usable byte; the guard lies below
  uint64_t size;  // usable bytes
};

void stack_init();  // probes the guard
// A stack with at least `size` usable bytes. False: no memory (ENOMEM) or no mapping left.
bool stack_allocate(uint64_t size, uint64_t guard, StackMemory* stack);
// Gives the memory of a stack that nobody uses back to the kernel.
void stack_trim(char* low, uint64_t size);
// The lowest page in use of so many bytes from `low` on; null: there is none, or the kernel does not say.
char* stack_lowest_page(char* low, uint64_t size);
// From here on new stacks may be executed; and one that is there, with its guard. False: the kernel refuses.
void stacks_are_executable();
bool stack_make_executable(const char* low, uint64_t size, uint64_t guard);
// Unmaps what has been mapped for stacks to come.
void stack_give_back_rest();
const char* stack_guard_method();
void stack_reset();  // fork child

}  // namespace weft
