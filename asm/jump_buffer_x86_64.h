// SPDX-License-Identifier: Apache-2.0
// asm/jump_buffer.h for x86-64: the guard is in the thread's control block.
#pragma once

namespace weft {

inline const void* unmangled(long kept) {
  uint64_t value = (uint64_t)kept;
  asm("ror $17, %0\n\txor %%fs:0x30, %0" : "+r"(value) : : "cc");
  return (const void*)value;
}
inline const void* jump_stack_pointer(const __jmp_buf_tag* environment) { return unmangled(environment->__jmpbuf[6]); }
inline const void* jump_pc(const __jmp_buf_tag* environment) { return unmangled(environment->__jmpbuf[7]); }

}  // namespace weft
