// SPDX-License-Identifier: Apache-2.0
// Stacks that code may run on, where the program or a library asks for them by its PT_GNU_STACK: functions that gcc puts on the stack,
// mostly. glibc then makes the stacks it has allocated executable; those of coroutines are ours.
//
// What is loaded before the first thread is looked at then, and all stacks are mapped so. What is loaded later makes itself known by
// the first instruction that is not to be had: the fault asks, all stacks become executable, the instruction is tried again. ld.so
// gives no other notice between the loading of a library and the call of its constructors.
#pragma once

#include <csignal>

namespace weft {

// When the runtime starts: are they wanted?
void executable_stacks_init();

// In a handler of SIGSEGV. True: the fault was that of an instruction on a coroutine's stack that may run; it is to be returned from.
bool executable_stack_fault(int signal, const siginfo_t* info, const void* context);

}  // namespace weft
