// SPDX-License-Identifier: Apache-2.0
// Where a ucontext_t of glibc's keeps the registers, for C++ and for assembly, and what makecontext has to write. Of each CPU, in its
// file and in namespace weft:
//   kArgumentsInRegisters        so many arguments of a function are in registers
//   kReturnWords                 words on the stack, below those arguments that no register holds, that its call would have pushed
//   argument_in(context, which)  the register of an argument
//   start_at(context, function, stack, link)   the context begins with a call of the function, which returns to
//                                              weft_context_function_returns; *link is where it goes on then
//   stack_pointer_of(context)
#pragma once

#include "asm/architecture.h"

#ifndef __ASSEMBLER__
#include <cstddef>
#include <cstdint>
#include <ucontext.h>

extern "C" {
// Where the function of a context made by makecontext returns to: goes on with the context whose address `link` points at, or ends the
// process where there is none.
void weft_context_function_returns();
}
#endif

#include WEFT_FOR_CPU(ucontext)
