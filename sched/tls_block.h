// SPDX-License-Identifier: Apache-2.0
// TLS blocks: TCB, static TLS and DTV of a coroutine, on the upper end of its stack.
//
//   mould     one block harvested from glibc: a real pthread on our stack whose kernel thread left. It never runs and holds nothing
//   cast      a copy of the mould's TCB with TLS and DTV from ld.so, in glibc's list of threads (thread_list.h)
//   reset     a cast used again: the TCB anew, every module's TLS back to its image, libc's own module excepted
//
// Where a self-test finds glibc not as expected, blocks are harvested one by one; where that fails too, threads stay native.
#pragma once

#include <cstddef>
#include <cstdint>

#include "asm/tls_layout.h"

struct dl_phdr_info;

namespace weft {

struct Coroutine;

// glibc's struct pthread, the TCB, whose address is the pthread_t, and the thread pointer of the same thread. From the moment on that the
// runtime begins.
extern size_t tcb_size;
inline char* thread_pointer_of(const void* tcb) { return (char*)tcb + (kVariablesBelow ? 0 : tcb_size); }
inline char* tcb_of(const void* thread_pointer) { return (char*)thread_pointer - (kVariablesBelow ? 0 : tcb_size); }

// Makes the mould and tests it. False: not to be had here; *why says it.
bool tls_block_init(const char** why);

// Bytes at the upper end of a stack that the block takes.
uint64_t tls_block_size();
uint64_t tls_static_size();  // what glibc puts on the stack of a thread: static TLS and the TCB

// Lays a block into [low, low + size), or renews the one that is there, and prepares the first frame. 0, or ENOMEM.
int tls_block_make(Coroutine* coroutine, char* low, uint64_t size);
void tls_block_renew(Coroutine* coroutine);
// First thing on the new stack.
void tls_block_started(Coroutine* coroutine);
// Last thing of the thread on its own stack: C++ thread_local destructors, key destructors; then every module's TLS as new.
void tls_block_run_destructors();
void tls_block_reset_modules(Coroutine* coroutine);

// Ends a block for good: a kernel thread of glibc's making puts it on and dies in it, so that glibc gives back what its malloc keeps for
// a thread. Not from a coroutine. False: no thread was to be had, and the block is as it was.
bool tls_block_bury(Coroutine* coroutine);

// Where the thread's kernel tid is kept: the kernel clears main's when main's kernel thread has ended.
const int* tls_block_tid_of(const void* thread_pointer);
// The threads glibc believes in that are kernel threads.
unsigned kernel_thread_count();

// dl_iterate_phdr for the runtime and the hooks. A fork child has ld.so's lock as it was, held for ever if another thread was in such a
// walk, so there is none while a process forks: false then, and nothing has been visited.
bool modules_walk(int (*visit)(dl_phdr_info*, size_t, void*), void* argument, int* result = nullptr);
// Around the real fork, in the forking thread.
void modules_before_fork();
void modules_after_fork();  // in the parent
// Threads stay native: glibc shall not count harvested ones among them.
void tls_block_give_up();
void tls_block_reset();  // fork child

// The self-test's body, run by weft_coroutine_main when it gets no coroutine.
[[noreturn]] void tls_block_self_test();

// setuid() has sent its signal to the kernel thread because the running coroutine's TCB says that one's number: this one has it, too.
// Async-signal-safe.
void tls_block_setxid_came();

// For locks the kernel takes part in: the TCB says the kernel's tid from here on, and the kernel knows the robust list.
// The coroutine must be pinned. Own thread only.
void tls_block_use_kernel_tid(Coroutine* coroutine);

// What the kernel does for the robust mutexes that a thread holds when it dies: the pinned coroutine's end. Its TCB is used again
// before its kernel thread has ended, so the kernel cannot. Own thread only.
void tls_block_release_robust_mutexes(Coroutine* coroutine);

// The first frame of a coroutine on its stack, or on one that the program supplied.
void tls_block_prepare_frame(Coroutine* coroutine);

// A key was made: its destructor is looked for from now on.
void tls_key_created(unsigned key);

// Replaces glibc's handlers of the signals it keeps for itself (setxid, cancellation) by ones that work on a carrier.
void tls_guard_internal_signals();

}  // namespace weft
