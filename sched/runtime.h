// SPDX-License-Identifier: Apache-2.0
// The runtime's life: prepared by the library's constructor, started by the first thread, fresh again in a fork child.
#pragma once

#include <cstddef>

#include <cstdint>

namespace weft {

// In the constructor: options, clock, log. Makes no thread, no descriptor and no TLS block.
void runtime_prepare();

// True when threads can be woven; starts workers, mould and monitor at the first call. False: native, said once.
bool runtime_start();
bool runtime_started();
// Main's kernel thread, of a runtime that has been started. That of another process in the same memory (CLONE_VM) is not.
bool runtime_on_main();
bool runtime_disabled();  // WEFT_DISABLE, excluded, or the machine is not as expected

// Around fork, in the forking thread. The child has no coroutine and no worker: the forking one goes on as a guest. False: nothing has
// been started, and the other two need not be called; a shell's child shall not copy pages for it.
bool runtime_before_fork();
void runtime_after_fork_parent();
void runtime_after_fork_child();

// Just before main's real pthread_exit: the process ends when the last coroutine and native thread have ended.
void runtime_main_exits();

// The real functions the runtime itself must call; set by hook/init before runtime_prepare returns. sched/ never includes hook/.
struct RealCalls {
  int (*pthread_create)(unsigned long*, const void*, void* (*)(void*), void*);
  int (*pthread_join)(unsigned long, void**);
  void (*pthread_exit)(void*);
  int (*sigaction)(int, const void*, void*);
  void (*cancel_now)();   // hook/cancel.cc's: an asynchronous cancellation acts in the midst of a computation
  void (*stdio_weave)();  // hook/stdio.cc's: before the first coroutine
  // hook/sanitizer.cc's: why threads have to stay native, or null. It sets the two others where the program has a leak checker, which is
  // to look for pointers there as well.
  const char* (*native_because)();
  void (*leak_root_begins)(const void*, size_t);
  void (*leak_root_ends)(const void*, size_t);
};
extern RealCalls real_calls;

}  // namespace weft
