// SPDX-License-Identifier: Apache-2.0
// Opening and closing files and streams: a number may be reused, or end, past the hooks of descriptor.cc.
//
// open is a real call in an interruptible region: nearly always it ends at once; a FIFO's waits for the other end or a
// signal, and the monitor hands the worker on then.
#include "hook/transfer.h"

#include <cstdarg>
#include <stdio_ext.h>

namespace weft {

namespace {

template <class Call>
int opening(Call call) {
  Coroutine* self = woven();
  int fd;
  if (self) {
    cancellation_point(self);
    check_turn(self);
    fd = blocking_call(RegionKind::interruptible, call);
  } else {
    fd = call();
  }
  if (fd >= 0) note_unknown(fd);
  return fd;
}

template <class Call>
FILE* opening_stream(Call call) {
  FILE* stream = woven() ? blocking_call(RegionKind::interruptible, call) : call();
  if (stream && tracking()) note_unknown(fileno(stream));
  return stream;
}

// The descriptor of a stream about to be closed; a stream without one is no error.
void note_closing_stream(FILE* stream) {
  if (!tracking() || !stream) return;
  int error = errno;
  note_closing(fileno(stream));
  errno = error;
}

// What a stream still has to write goes out before its descriptor is forgotten: a woven write would make it known again. Once only: what
// cannot be written is dropped, as closing does. 0 or an errno.
int flush_before_close(FILE* stream) {
  if (!woven() || !stream || !__fpending(stream) || fflush(stream) == 0) return 0;
  int error = errno;
  __fpurge(stream);
  return error;
}

// No region: in it nobody parks.
template <class Call>
FILE* reopening_stream(FILE* stream, Call call) {
  flush_before_close(stream);
  note_closing_stream(stream);
  FILE* reopened = call();
  if (reopened && tracking()) note_unknown(fileno(reopened));
  return reopened;
}

// The mode is there only if a file may be made.
mode_t mode_of(int flags, va_list list) {
  return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(list, mode_t) : 0;
}

}  // namespace
}  // namespace weft

using namespace weft;

WEFT_EXPORT int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = mode_of(flags, list);
  va_end(list);
  return opening([&] { return real().open(path, flags, mode); });
}

WEFT_EXPORT int open64(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = mode_of(flags, list);
  va_end(list);
  return opening([&] { return real().open64(path, flags, mode); });
}

WEFT_EXPORT int openat(int directory, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = mode_of(flags, list);
  va_end(list);
  return opening([&] { return real().openat(directory, path, flags, mode); });
}

WEFT_EXPORT int openat64(int directory, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = mode_of(flags, list);
  va_end(list);
  return opening([&] { return real().openat64(directory, path, flags, mode); });
}

WEFT_EXPORT int __open_2(const char* path, int flags) {
  return opening([&] { return real().__open_2(path, flags); });
}

WEFT_EXPORT int __open64_2(const char* path, int flags) {
  return opening([&] { return real().__open64_2(path, flags); });
}

WEFT_EXPORT int __openat_2(int directory, const char* path, int flags) {
  return opening([&] { return real().__openat_2(directory, path, flags); });
}

WEFT_EXPORT int __openat64_2(int directory, const char* path, int flags) {
  return opening([&] { return real().__openat64_2(directory, path, flags); });
}

WEFT_EXPORT int creat(const char* path, mode_t mode) {
  return opening([&] { return real().creat(path, mode); });
}

WEFT_EXPORT int creat64(const char* path, mode_t mode) {
  return opening([&] { return real().creat64(path, mode); });
}

WEFT_EXPORT FILE* fopen(const char* path, const char* mode) {
  return opening_stream([&] { return real().fopen(path, mode); });
}

WEFT_EXPORT FILE* fopen64(const char* path, const char* mode) {
  return opening_stream([&] { return real().fopen64(path, mode); });
}

WEFT_EXPORT FILE* freopen(const char* path, const char* mode, FILE* stream) {
  return reopening_stream(stream, [&] { return real().freopen(path, mode, stream); });
}

WEFT_EXPORT FILE* freopen64(const char* path, const char* mode, FILE* stream) {
  return reopening_stream(stream, [&] { return real().freopen64(path, mode, stream); });
}

WEFT_EXPORT int fclose(FILE* stream) {
  int error = flush_before_close(stream);
  note_closing_stream(stream);
  int result = real().fclose(stream);
  if (!error || result) return result;
  errno = error;
  return EOF;
}

WEFT_EXPORT int pclose(FILE* stream) {
  note_closing_stream(stream);
  // glibc waits for the child with cancellation disabled.
  if (woven()) return blocking_call(RegionKind::lasting, [&] { return real().pclose(stream); });
  return real().pclose(stream);
}

WEFT_EXPORT int closedir(DIR* directory) {
  if (tracking()) note_closing(dirfd(directory));
  return real().closedir(directory);
}
