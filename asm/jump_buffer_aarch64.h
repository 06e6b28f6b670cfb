// SPDX-License-Identifier: Apache-2.0
// asm/jump_buffer.h for aarch64: the guard is a variable of ld.so's, in every glibc that has one.
#pragma once

extern "C" [[gnu::weak, gnu::visibility("default")]] const uintptr_t __pointer_chk_guard;

namespace weft {

inline const void* unmangled(unsigned long long kept) {
  return (const void*)(kept ^ (&__pointer_chk_guard ? __pointer_chk_guard : 0));
}
inline const void* jump_stack_pointer(const __jmp_buf_tag* environment) { return unmangled(environment->__jmpbuf[13]); }
inline const void* jump_pc(const __jmp_buf_tag* environment) { return unmangled(environment->__jmpbuf[11]); }

}  // namespace weft
