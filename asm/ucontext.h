// SPDX-License-Identifier: Apache-2.0
// Where a ucontext_t of glibc's keeps the registers, for C++ and for assembly.
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
#include <cstddef>
#include <ucontext.h>

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

extern "C" {
// Where the function of a context made by makecontext returns to: goes on with the context whose address rbx points at, or ends the
// process where there is none.
void weft_context_function_returns();
}
#endif
