// SPDX-License-Identifier: Apache-2.0
// What a context switch saves, for C++ and for assembly.
//
// A switched-out context is a stack pointer, a thread pointer (on x86-64 the fs base) and a count of switches. Everything else lies on
// its stack, in the frame that context_<cpu>.h pictures. The thread pointer is kept here and never read back from the CPU: on x86-64
// reading costs as much as a tenth of the switch.
//
// Of each CPU, in its file:
//   Frame                          what lies on the stack, WEFT_FRAME_SIZE bytes
//   first_frame(entry, argument)   of a context that has not run yet: it starts at `entry`, which finds the argument where
//                                  weft_context_entry does; its control words of floating point are the caller's
//   argument_of(frame)             that argument
//   WEFT_SAVED_REGISTERS(each)     each(number in DWARF, member of Frame), what an unwinder goes on with
//   switches_begin(by_kernel)      once, before the first switch; by_kernel: the thread pointer is set by a system call where the CPU
//                                  leaves a choice
#pragma once

#include "asm/architecture.h"

#define WEFT_CONTEXT_SP 0
#define WEFT_CONTEXT_FS 8
#define WEFT_CONTEXT_SEQUENCE 16

#ifndef __ASSEMBLER__
#include <cstddef>
#include <cstdint>

namespace weft {

// Packed, so that what comes behind it in a coroutine has the rest of the word.
struct [[gnu::packed, gnu::aligned(4)]] Context {
  void* sp;  // of the frame
  void* fs;  // thread pointer of the TLS block that goes with this stack
  // One more at each switch to it and from it: odd from before it goes on until it has been left. Others may read it, and what lies on the
  // stack: if it was even and is the same afterwards, nobody ran on it meanwhile.
  uint32_t sequence;
};

static_assert(offsetof(Context, sp) == WEFT_CONTEXT_SP);
static_assert(offsetof(Context, fs) == WEFT_CONTEXT_FS);
static_assert(offsetof(Context, sequence) == WEFT_CONTEXT_SEQUENCE);

}  // namespace weft

extern "C" {
// Saves the running context in *from and goes on in *to. Returns when somebody switches back, what that one gave as message: it
// goes by a register, because memory would have to be waited for. Async-signal-safe.
uintptr_t weft_switch(weft::Context* from, weft::Context* to, uintptr_t message);
// In it: where the saved frame is complete. An unwinder goes on from here with the saved stack pointer.
void weft_switched_out();

// Entry point of a new context: calls weft_coroutine_main(argument, message), which does not return. The unwinder stops here.
void weft_context_entry();
void weft_coroutine_main(void* argument, uintptr_t message);

// Saves the running context in *save, sets *flag to 1, wakes a futex waiter of it and ends the kernel thread without touching
// the stack again: another kernel thread may be running on it by then. Returns in that other kernel thread.
void weft_park_and_leave(weft::Context* save, int* flag);

// Runs run(argument) in a process of its own that shares this memory, until it execs or exits; the caller waits for that. No signal is sent
// at its end. Its pid, or -errno.
long weft_spawn(void* stack_top, void (*run)(void*), void* argument);

// Loads a thread pointer; the caller says what it is, nothing is read back.
void weft_load_fs(void* fs);
}
#endif

#include WEFT_FOR_CPU(context)
