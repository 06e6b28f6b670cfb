// SPDX-License-Identifier: Apache-2.0
// What the hooks call while the next definitions are being resolved: raw system calls for the few functions that a malloc
// implementation or ld.so may call then. The process has one thread at that time, so locks are free.
#pragma once

#include <cerrno>
#include <cstdarg>

#include "hook/real.h"
#include "sched/sys.h"

namespace weft {

namespace early {

inline long result(long value) {
  if (value < 0) {
    errno = (int)-value;
    return -1;
  }
  return value;
}
inline ssize_t read(int fd, void* buffer, size_t size) {
  return result(sys::call(SYS_read, fd, sys::word(buffer), (long)size));
}
inline ssize_t write(int fd, const void* buffer, size_t size) {
  return result(sys::call(SYS_write, fd, sys::word(buffer), (long)size));
}
inline int close(int fd) { return (int)result(sys::call(SYS_close, fd)); }
inline int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  long mode = va_arg(list, int);
  va_end(list);
  return (int)result(sys::call(SYS_openat, AT_FDCWD, sys::word(path), flags, mode));
}
inline int openat(int directory, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  long mode = va_arg(list, int);
  va_end(list);
  return (int)result(sys::call(SYS_openat, directory, sys::word(path), flags, mode));
}
inline int fcntl(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  long argument = va_arg(list, long);
  va_end(list);
  return (int)result(sys::call(SYS_fcntl, fd, command, argument));
}
inline long syscall(long number, ...) noexcept {
  va_list list;
  va_start(list, number);
  long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long);
  long d = va_arg(list, long), e = va_arg(list, long), f = va_arg(list, long);
  va_end(list);
  return result(sys::call(number, a, b, c, d, e, f));
}
inline int sched_yield() noexcept { return (int)result(sys::call(SYS_sched_yield)); }
inline int nanosleep(const timespec* time, timespec* left) {
  return (int)result(sys::call(SYS_nanosleep, sys::word(time), sys::word(left)));
}
inline int mutex_free(pthread_mutex_t*) noexcept { return 0; }
inline int once(pthread_once_t* control, void (*routine)()) {
  if (*control != 2) {
    *control = 2;
    routine();
  }
  return 0;
}

}  // namespace early

constexpr Real early_table() {
  Real table = {};
  table.read = early::read;
  table.write = early::write;
  table.close = early::close;
  table.open = early::open;
  table.open64 = early::open;
  table.openat = early::openat;
  table.openat64 = early::openat;
  table.fcntl = early::fcntl;
  table.fcntl64 = early::fcntl;
  table.syscall = early::syscall;
  table.sched_yield = early::sched_yield;
  table.nanosleep = early::nanosleep;
  table.pthread_mutex_lock = early::mutex_free;
  table.pthread_mutex_trylock = early::mutex_free;
  table.pthread_mutex_unlock = early::mutex_free;
  table.pthread_once = early::once;
  return table;
}

}  // namespace weft
