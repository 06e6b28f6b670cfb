// SPDX-License-Identifier: Apache-2.0
// What a context switch saves, for C++ and for assembly.
//
// A switched-out context is a stack pointer, an fs base and a count of switches. Everything else lies on its stack, lowest address first:
//   +0 mxcsr (4 bytes)  +4 x87 control word (2 bytes, 2 of padding)  +8 r15  +16 r14  +24 r13  +32 r12  +40 rbx  +48 rbp  +56 rip
// The fs base is kept here and never read back from the CPU: reading costs as much as a tenth of the switch.
#pragma once

#define WEFT_CONTEXT_SP 0
#define WEFT_CONTEXT_FS 8
#define WEFT_CONTEXT_SEQUENCE 16
#define WEFT_FRAME_SIZE 64

#ifndef __ASSEMBLER__
#include <cstddef>
#include <cstdint>

namespace weft {

// Packed, so that what comes behind it in a coroutine has the rest of the word.
struct [[gnu::packed, gnu::aligned(4)]] Context {
  void* sp;  // of the frame pictured above
  void* fs;  // thread pointer of the TLS block that goes with this stack
  // One more at each switch to it and from it: odd from before it goes on until it has been left. Others may read it, and what lies on the
  // stack: if it was even and is the same afterwards, nobody ran on it meanwhile.
  uint32_t sequence;
};

static_assert(offsetof(Context, sp) == WEFT_CONTEXT_SP);
static_assert(offsetof(Context, fs) == WEFT_CONTEXT_FS);
static_assert(offsetof(Context, sequence) == WEFT_CONTEXT_SEQUENCE);

// The frame of a context that has not run yet: it starts at `rip` with r12 as its argument.
struct Frame {
  unsigned mxcsr = 0x1f80;      // as a process begins: nearest, every exception masked
  unsigned short x87 = 0x037f;  // the same, with 64 bits of mantissa
  unsigned short padding = 0;
  void *r15 = nullptr, *r14 = nullptr, *r13 = nullptr, *r12 = nullptr, *rbx = nullptr, *rbp = nullptr;
  void* rip = nullptr;
};
static_assert(sizeof(Frame) == WEFT_FRAME_SIZE);

}  // namespace weft

extern "C" {
// Saves the running context in *from and goes on in *to. Returns when somebody switches back, what that one gave as message: it
// goes by a register, because memory would have to be waited for. Async-signal-safe.
uintptr_t weft_switch(weft::Context* from, weft::Context* to, uintptr_t message);
// In it: where the saved frame is complete. An unwinder goes on from here with the saved stack pointer.
void weft_switched_out();

// Entry point of a new context: calls weft_coroutine_main(r12, message), which does not return. The unwinder stops here.
void weft_context_entry();
void weft_coroutine_main(void* argument, uintptr_t message);

// Saves the running context in *save, sets *flag to 1, wakes a futex waiter of it and ends the kernel thread without touching
// the stack again: another kernel thread may be running on it by then. Returns in that other kernel thread.
void weft_park_and_leave(weft::Context* save, int* flag);

// Runs run(argument) in a process of its own that shares this memory, until it execs or exits; the caller waits for that. No signal is sent
// at its end. Its pid, or -errno.
long weft_spawn(void* stack_top, void (*run)(void*), void* argument);

// Loads an fs base; the caller says what it is, nothing is read back.
void weft_load_fs(void* fs);

// 1 where the kernel lets user code write fs (FSGSBASE); 0: arch_prctl is used instead. Set once before the first switch.
extern unsigned char weft_has_fsgsbase;
}
#endif
