// SPDX-License-Identifier: Apache-2.0
// asm/ucontext.h for x86-64.
#pragma once

#define WEFT_UCONTEXT_R8 40
#define WEFT_UCONTEXT_R9 48
#define WEFT_UCONTEXT_R12 72
#define WEFT_UCONTEXT_R13 80
#define WEFT_UCONTEXT_R14 88
#define WEFT_UCONTEXT_R15 96
#define WEFT_UCONTEXT_RDI 104
#define WEFT_UCONTEXT_RSI 112
#define WEFT_UCONTEXT_RBP 120
#define WEFT_UCONTEXT_RBX 128
#define WEFT_UCONTEXT_RDX 136
#define WEFT_UCONTEXT_RCX 152
#define WEFT_UCONTEXT_RSP 160
#define WEFT_UCONTEXT_RIP 168
#define WEFT_UCONTEXT_FPREGS 224      // points to the x87 environment
#define WEFT_UCONTEXT_FPREGS_MEM 424  // where getcontext has it
#define WEFT_UCONTEXT_MXCSR 448

#ifndef __ASSEMBLER__
#define WEFT_UCONTEXT_HAS(name)                                                                                  \
  static_assert(offsetof(ucontext_t, uc_mcontext) + offsetof(mcontext_t, gregs) + sizeof(greg_t) * REG_##name == \
                WEFT_UCONTEXT_##name)
WEFT_UCONTEXT_HAS(R8);
WEFT_UCONTEXT_HAS(R9);
WEFT_UCONTEXT_HAS(R12);
WEFT_UCONTEXT_HAS(R13);
WEFT_UCONTEXT_HAS(R14);
WEFT_UCONTEXT_HAS(R15);
WEFT_UCONTEXT_HAS(RDI);
WEFT_UCONTEXT_HAS(RSI);
WEFT_UCONTEXT_HAS(RBP);
WEFT_UCONTEXT_HAS(RBX);
WEFT_UCONTEXT_HAS(RDX);
WEFT_UCONTEXT_HAS(RCX);
WEFT_UCONTEXT_HAS(RSP);
WEFT_UCONTEXT_HAS(RIP);
#undef WEFT_UCONTEXT_HAS
static_assert(offsetof(ucontext_t, uc_mcontext) + offsetof(mcontext_t, fpregs) == WEFT_UCONTEXT_FPREGS);
static_assert(offsetof(ucontext_t, __fpregs_mem) == WEFT_UCONTEXT_FPREGS_MEM);
static_assert(WEFT_UCONTEXT_FPREGS_MEM + offsetof(_libc_fpstate, mxcsr) == WEFT_UCONTEXT_MXCSR);

namespace weft {

constexpr int kArgumentsInRegisters = 6;
constexpr size_t kReturnWords = 1;

inline greg_t& argument_in(ucontext_t* context, int which) {
  constexpr int kRegisters[kArgumentsInRegisters] = {REG_RDI, REG_RSI, REG_RDX, REG_RCX, REG_R8, REG_R9};
  return context->uc_mcontext.gregs[kRegisters[which]];
}
inline void start_at(ucontext_t* context, void (*function)(), uintptr_t* stack, const uintptr_t* link) {
  stack[0] = (uintptr_t)weft_context_function_returns;
  greg_t* registers = context->uc_mcontext.gregs;
  registers[REG_RIP] = (greg_t)function;
  registers[REG_RBX] = (greg_t)link;
  registers[REG_RSP] = (greg_t)stack;
}
inline const void* stack_pointer_of(const ucontext_t* context) {
  return (const void*)context->uc_mcontext.gregs[REG_RSP];
}

}  // namespace weft
#endif
