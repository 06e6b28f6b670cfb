// SPDX-License-Identifier: Apache-2.0
// Opening and closing files and streams: a number may be reused, or end, past the hooks of descriptor.cc.
//
// open waits for a disk, for the other end of a FIFO, for what a device likes; or nearly always for nothing.
//
//   first       openat2 with RESOLVE_CACHED, in an interruptible region: opens what is in memory, at the price of openat; a FIFO waits here
//   EAGAIN      the path is not in memory: the ring looks it up (hook/path.h), and the same is tried again
//   while slow  what that cannot open (O_CREAT, O_TRUNC, file systems that ask a server) the ring opens, if it is a file or a directory:
//               an open of those waits as for a disk, past signals (and so for a lease of another process, which they would end)
//   plain       all else, and where that fails: as libc makes it, in an interruptible region; the monitor hands the worker on if it lasts
#include <cstdarg>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio_ext.h>

#include "hook/path.h"
#include "hook/transfer.h"

namespace weft {

namespace {

bool makes_file(int flags) { return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE; }

// Those of openat2: slow where a file system asks a server. After EAGAIN the ring does the first few, since some file systems never say
// what they have in memory.
constinit LookUps cached_opens(0, 4), uncached_opens(16, 16);

struct Opening {
  int directory;
  const char* path;
  int flags;
  mode_t mode;
};

// Linux 5.12. What it does not know is found before it takes a number or looks at anything.
bool kernel_opens_cached() {
  static constinit std::atomic<int8_t> known{0};
  int8_t now = known.load(std::memory_order_relaxed);
  if (!now) [[unlikely]] {
    open_how how = {};
    how.resolve = RESOLVE_CACHED;
    now = sys::call(SYS_openat2, -1, sys::word(""), sys::word(&how), sizeof how) == -ENOENT ? 1 : -1;
    known.store(now, std::memory_order_relaxed);
  }
  return now > 0;
}

// openat2 knows these as openat does. Of others one takes no notice where the other has an error.
bool has_cached_form(int flags) {
  constexpr int kSame = O_WRONLY | O_RDWR | O_APPEND | O_NONBLOCK | O_DSYNC | O_SYNC | O_DIRECT | O_LARGEFILE |
                        O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_NOCTTY | O_ASYNC;
  return !(flags & ~kSame) && (flags & O_ACCMODE) != O_ACCMODE && kernel_opens_cached();
}

long open_cached(const Opening& o) {
  open_how how = {};
  how.flags = (unsigned)o.flags;
  how.resolve = RESOLVE_CACHED;
  return cancellable_call(RegionKind::interruptible, [&] {
    return sys::call(SYS_openat2, o.directory, sys::word(o.path), sys::word(&how), sizeof how);
  });
}

// What the plain call would say as well. Other errors may be a filter's, or the kernel's that has another opinion of the flags.
bool is_last_word(long result) { return result >= 0 || result == -ENOENT || result == -EINTR; }

template <class Call>
int open_plainly(LookUps* look_ups, Call call) {
  uint64_t begun = LookUps::now();
  int fd = blocking_call(RegionKind::interruptible, call);
  if (look_ups) look_ups->note(begun);
  return fd;
}

// The path is not in memory, or opening is slow at present.
template <class Call>
int open_slow(Coroutine* self, const Opening& o, bool tries_cached, Call call) {
  struct statx found;
  int flags = AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC | (o.flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0);
  long looked = look_up(self, o.directory, o.path, flags, STATX_TYPE, &found);
  if (looked != kNotTaken && tries_cached) {
    long result = open_cached(o);
    if (is_last_word(result)) return (int)as_errno(result);
  }
  bool made = looked == -ENOENT && (o.flags & O_CREAT);
  if (made || (looked == 0 && (S_ISREG(found.stx_mode) || S_ISDIR(found.stx_mode)))) {
    int fd = open_in_ring(self, o.directory, o.path, o.flags, o.mode);
    if (fd >= 0) return fd;
  }
  return open_plainly(nullptr, call);
}

template <class Call>
int open_woven(Coroutine* self, const Opening& o, Call call) {
  if (!paths_by_ring(self)) return open_plainly(nullptr, call);
  bool cached = has_cached_form(o.flags);
  LookUps* opens = cached ? &cached_opens : &plain_look_ups;
  if (opens->by_ring()) return open_slow(self, o, false, call);
  if (!cached) return open_plainly(opens, call);
  uint64_t begun = LookUps::now();
  long result = open_cached(o);
  if (is_last_word(result)) {
    opens->note(begun);
    return (int)as_errno(result);
  }
  if (result != -EAGAIN) return open_plainly(nullptr, call);
  return uncached_opens.by_ring() ? open_slow(self, o, true, call) : open_plainly(&uncached_opens, call);
}

template <class Call>
int opening(int directory, const char* path, int flags, mode_t mode, Call call) {
  Coroutine* self = woven();
  int fd;
  if (self) {
    enter_call(self);
    fd = open_woven(self, {directory, path, flags, mode}, call);
  } else {
    fd = call();
  }
  if (fd >= 0) note_unknown(fd);
  return fd;
}

// Fortified: without a mode a file may not be made, and libc ends a program that asks for one.
template <class Call>
int opening_without_mode(int directory, const char* path, int flags, Call call) {
  if (makes_file(flags)) return call();
  return opening(directory, path, flags, 0, call);
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
mode_t mode_of(int flags, va_list list) { return makes_file(flags) ? va_arg(list, mode_t) : 0; }

}  // namespace
}  // namespace weft

using namespace weft;

WEFT_EXPORT int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = mode_of(flags, list);
  va_end(list);
  return opening(AT_FDCWD, path, flags, mode, [&] { return real().open(path, flags, mode); });
}

WEFT_EXPORT int open64(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = mode_of(flags, list);
  va_end(list);
  return opening(AT_FDCWD, path, flags, mode, [&] { return real().open64(path, flags, mode); });
}

WEFT_EXPORT int openat(int directory, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = mode_of(flags, list);
  va_end(list);
  return opening(directory, path, flags, mode, [&] { return real().openat(directory, path, flags, mode); });
}

WEFT_EXPORT int openat64(int directory, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = mode_of(flags, list);
  va_end(list);
  return opening(directory, path, flags, mode, [&] { return real().openat64(directory, path, flags, mode); });
}

WEFT_EXPORT int __open_2(const char* path, int flags) {
  return opening_without_mode(AT_FDCWD, path, flags, [&] { return real().__open_2(path, flags); });
}

WEFT_EXPORT int __open64_2(const char* path, int flags) {
  return opening_without_mode(AT_FDCWD, path, flags, [&] { return real().__open64_2(path, flags); });
}

WEFT_EXPORT int __openat_2(int directory, const char* path, int flags) {
  return opening_without_mode(directory, path, flags, [&] { return real().__openat_2(directory, path, flags); });
}

WEFT_EXPORT int __openat64_2(int directory, const char* path, int flags) {
  return opening_without_mode(directory, path, flags, [&] { return real().__openat64_2(directory, path, flags); });
}

WEFT_EXPORT int creat(const char* path, mode_t mode) {
  return opening(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode, [&] { return real().creat(path, mode); });
}

WEFT_EXPORT int creat64(const char* path, mode_t mode) {
  return opening(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode, [&] { return real().creat64(path, mode); });
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
