// SPDX-License-Identifier: Apache-2.0
// Raw system calls for the runtime: they return -errno, never touch errno, and never meet a hook of ours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sys/syscall.h>
#include <linux/futex.h>
#include <time.h>

#include "asm/system_call.h"

namespace weft::sys {

inline long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  return cpu::system_call(number, a, b, c, d, e, f);
}
template <class T>
long word(T value) {
  return (long)(uintptr_t)value;
}

// Waits while *address is expected; deadline is absolute CLOCK_MONOTONIC, null for none. 0, -EAGAIN, -EINTR or -ETIMEDOUT.
inline long futex_wait(const void* address, uint32_t expected, const timespec* deadline = nullptr) {
  return call(SYS_futex, word(address), FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, word(deadline), 0,
              FUTEX_BITSET_MATCH_ANY);
}
inline long futex_wake(const void* address, int count) {
  return call(SYS_futex, word(address), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count);
}
inline long write(int fd, const void* data, size_t size) { return call(SYS_write, fd, word(data), (long)size); }
inline long close(int fd) { return call(SYS_close, fd); }
inline long getpid() { return call(SYS_getpid); }
inline long gettid() { return call(SYS_gettid); }
inline void* mmap(void* at, size_t size, int protection, int flags) {
  return (void*)call(SYS_mmap, word(at), (long)size, protection, flags, -1, 0);
}
inline bool failed(const void* address) { return (uintptr_t)address >= (uintptr_t)-4095; }
inline long munmap(void* at, size_t size) { return call(SYS_munmap, word(at), (long)size); }
inline long madvise(void* at, size_t size, int advice) { return call(SYS_madvise, word(at), (long)size, advice); }
inline long mprotect(void* at, size_t size, int protection) {
  return call(SYS_mprotect, word(at), (long)size, protection);
}
inline long sigprocmask(int how, const uint64_t* set, uint64_t* old) {
  return call(SYS_rt_sigprocmask, how, word(set), word(old), 8);
}

}  // namespace weft::sys
