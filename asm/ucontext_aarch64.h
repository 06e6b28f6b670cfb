// SPDX-License-Identifier: Apache-2.0
// asm/ucontext.h for aarch64. Registers of floating point are in a record of the kernel's kind, which getcontext writes first.
#pragma once

#define WEFT_UCONTEXT_X0 184
#define WEFT_UCONTEXT_X18 328
#define WEFT_UCONTEXT_X30 424
#define WEFT_UCONTEXT_SP 432
#define WEFT_UCONTEXT_PC 440
#define WEFT_UCONTEXT_PSTATE 448
#define WEFT_UCONTEXT_RECORDS 464
#define WEFT_UCONTEXT_FPSR 472
#define WEFT_UCONTEXT_FPCR 476
#define WEFT_UCONTEXT_Q8 608
#define WEFT_UCONTEXT_LAST_RECORD 992
#define WEFT_FPSIMD_MAGIC 0x46508001
#define WEFT_FPSIMD_SIZE 528

#ifndef __ASSEMBLER__
#include <asm/sigcontext.h>

static_assert(offsetof(ucontext_t, uc_mcontext) + offsetof(mcontext_t, regs) == WEFT_UCONTEXT_X0);
static_assert(WEFT_UCONTEXT_X0 + 18 * 8 == WEFT_UCONTEXT_X18 && WEFT_UCONTEXT_X0 + 30 * 8 == WEFT_UCONTEXT_X30);
static_assert(offsetof(ucontext_t, uc_mcontext) + offsetof(mcontext_t, sp) == WEFT_UCONTEXT_SP);
static_assert(offsetof(ucontext_t, uc_mcontext) + offsetof(mcontext_t, pc) == WEFT_UCONTEXT_PC);
static_assert(offsetof(ucontext_t, uc_mcontext) + offsetof(mcontext_t, pstate) == WEFT_UCONTEXT_PSTATE);
static_assert(offsetof(ucontext_t, uc_mcontext) + offsetof(mcontext_t, __reserved) == WEFT_UCONTEXT_RECORDS);
static_assert(WEFT_UCONTEXT_RECORDS + offsetof(fpsimd_context, fpsr) == WEFT_UCONTEXT_FPSR);
static_assert(WEFT_UCONTEXT_RECORDS + offsetof(fpsimd_context, fpcr) == WEFT_UCONTEXT_FPCR);
static_assert(WEFT_UCONTEXT_RECORDS + offsetof(fpsimd_context, vregs) + 8 * 16 == WEFT_UCONTEXT_Q8);
static_assert(WEFT_UCONTEXT_RECORDS + sizeof(fpsimd_context) == WEFT_UCONTEXT_LAST_RECORD);
static_assert(FPSIMD_MAGIC == WEFT_FPSIMD_MAGIC && sizeof(fpsimd_context) == WEFT_FPSIMD_SIZE);

namespace weft {

constexpr int kArgumentsInRegisters = 8;
constexpr size_t kReturnWords = 0;

inline unsigned long long& argument_in(ucontext_t* context, int which) { return context->uc_mcontext.regs[which]; }
inline void start_at(ucontext_t* context, void (*function)(), uintptr_t* stack, const uintptr_t* link) {
  context->uc_mcontext.regs[19] = (uintptr_t)link;
  context->uc_mcontext.regs[29] = 0;
  context->uc_mcontext.regs[30] = (uintptr_t)weft_context_function_returns;
  context->uc_mcontext.pc = (uintptr_t)function;
  context->uc_mcontext.sp = (uintptr_t)stack;
}
inline const void* stack_pointer_of(const ucontext_t* context) { return (const void*)context->uc_mcontext.sp; }

}  // namespace weft
#endif
