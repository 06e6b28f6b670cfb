// SPDX-License-Identifier: Apache-2.0
// Moving data inside the kernel: sendfile, splice, tee, vmsplice, copy_file_range.
//
// None of them can be told not to wait for a socket. So each side is waited for first, and sendfile goes in pieces that
// fit into what a writable socket has free; where a call waits nevertheless, the worker is handed on.
#include "hook/transfer.h"

#include <poll.h>
#include <sys/sendfile.h>

namespace weft {

namespace {

bool waits(const Descriptor* d) {
  return d && kind_of(d) != DescriptorKind::file && kind_of(d) != DescriptorKind::internal &&
         !has(d, Descriptor::kNonblocking | Descriptor::kUnpollable);
}

// Parks until one look says that a side is ready. 0, or -errno as the call ends then; kMakeRealCall.
long wait_ready(Coroutine* self, int fd, Direction direction) {
  Descriptor* d = known(fd);
  if (!waits(d)) return 0;
  short events = direction == Direction::read ? POLLIN : POLLOUT;
  Waiting waiting(self, fd, d);
  long result = 0;
  for (;;) {
    uint32_t seen = events_seen(waiting.d, direction);
    if (ready_now(waiting.fd, events)) break;
    result = waiting.wait(direction, seen);
    if (result) break;
  }
  waiting.end();
  return result;
}

// A writable TCP socket has a third of its buffer free; a piece that fits there, seen with its overhead.
size_t piece_for(int fd) {
  int room = 0;
  socklen_t length = sizeof room;
  constexpr size_t kLeast = 4096;
  if (sys::call(SYS_getsockopt, fd, SOL_SOCKET, SO_SNDBUF, sys::word(&room), sys::word(&length)) < 0 || room < 0)
    return kLeast;
  size_t piece = (size_t)room / 6;
  return piece < kLeast ? kLeast : piece;
}

// SIGPIPE went to the carrier, where it is blocked.
long settled(Coroutine* self, long result) { return result == -EPIPE ? broken_pipe(self) : result; }

long woven_sendfile(Coroutine* self, int out, int in, off_t* offset, size_t count) {
  Descriptor* d = known(out);
  if (!waits(d) || !is_socket(d))
    return settled(self, blocking_call(RegionKind::brief, [&] {
                     return sys::call(SYS_sendfile, out, in, sys::word(offset), (long)count);
                   }));
  if (count > kMostAtOnce) count = kMostAtOnce;
  size_t piece = count <= 4096 ? count : piece_for(out), done = 0;
  long result = 0;
  do {
    result = wait_ready(self, out, Direction::write);
    if (result == kMakeRealCall) result = 0;
    if (result < 0) break;
    size_t next = count - done < piece ? count - done : piece;
    result = blocking_call(RegionKind::brief,
                           [&] { return sys::call(SYS_sendfile, out, in, sys::word(offset), (long)next); });
    if (result > 0) done += (size_t)result;
  } while (result > 0 && done < count);
  if (result == -EPIPE) {
    take_back_signal(SIGPIPE);
    if (!done) raise_own(self, SIGPIPE);
  }
  return done ? (long)done : result;
}

// sendfile cannot throw, so it is no cancellation point, though it waits.
long uncancelled_sendfile(Coroutine* self, int out, int in, off_t* offset, size_t count) {
  check_turn(self);
  uint8_t state = self->cancel_state;
  self->cancel_state = PTHREAD_CANCEL_DISABLE;
  long result = woven_sendfile(self, out, in, offset, count);
  self->cancel_state = state;
  return result;
}

// A call between two descriptors, of which the pipes obey SPLICE_F_NONBLOCK. -1: no such side.
template <class Call>
long between(Coroutine* self, int in, int out, unsigned flags, Call call) {
  if (flags & SPLICE_F_NONBLOCK) return settled(self, call(flags));
  if (in >= 0) {
    long ready = wait_ready(self, in, Direction::read);
    if (ready < 0 && ready != kMakeRealCall) return ready;
  }
  if (out >= 0) {
    long ready = wait_ready(self, out, Direction::write);
    if (ready < 0 && ready != kMakeRealCall) return ready;
  }
  long result = blocking_call(RegionKind::brief, [&] { return call(flags | SPLICE_F_NONBLOCK); });
  if (result != -EAGAIN) return settled(self, result);
  return cancellable_call(RegionKind::lasting, [&] { return call(flags); });  // somebody else was faster
}

}  // namespace
}  // namespace weft

using namespace weft;

WEFT_EXPORT ssize_t copy_file_range(int in, off64_t* in_offset, int out, off64_t* out_offset, size_t size,
                                    unsigned flags) {
  Coroutine* self = woven();
  if (!self) return real().copy_file_range(in, in_offset, out, out_offset, size, flags);
  enter_call(self);
  return blocking_call(RegionKind::brief,
                       [&] { return real().copy_file_range(in, in_offset, out, out_offset, size, flags); });
}

WEFT_EXPORT ssize_t sendfile(int out, int in, off_t* offset, size_t count) noexcept {
  Coroutine* self = woven();
  if (!self) return real().sendfile(out, in, offset, count);
  return as_errno(uncancelled_sendfile(self, out, in, offset, count));
}

WEFT_EXPORT ssize_t sendfile64(int out, int in, off64_t* offset, size_t count) noexcept {
  Coroutine* self = woven();
  if (!self) return real().sendfile64(out, in, offset, count);
  return as_errno(uncancelled_sendfile(self, out, in, offset, count));
}

WEFT_EXPORT ssize_t splice(int in, off64_t* in_offset, int out, off64_t* out_offset, size_t size, unsigned flags) {
  Coroutine* self = woven();
  if (!self) return real().splice(in, in_offset, out, out_offset, size, flags);
  enter_call(self);
  return as_errno(between(self, in, out, flags, [&](unsigned used) {
    return sys::call(SYS_splice, in, sys::word(in_offset), out, sys::word(out_offset), (long)size, used);
  }));
}

WEFT_EXPORT ssize_t tee(int in, int out, size_t size, unsigned flags) {
  Coroutine* self = woven();
  if (!self) return real().tee(in, out, size, flags);
  enter_call(self);
  return as_errno(
      between(self, in, out, flags, [&](unsigned used) { return sys::call(SYS_tee, in, out, (long)size, used); }));
}

WEFT_EXPORT ssize_t vmsplice(int fd, const iovec* vector, size_t count, unsigned flags) {
  Coroutine* self = woven();
  if (!self) return real().vmsplice(fd, vector, count, flags);
  enter_call(self);
  long access = sys::call(SYS_fcntl, fd, F_GETFL);
  bool reads = access >= 0 && (access & O_ACCMODE) == O_RDONLY;
  return as_errno(between(self, reads ? fd : -1, reads ? -1 : fd, flags, [&](unsigned used) {
    return sys::call(SYS_vmsplice, fd, sys::word(vector), (long)count, used);
  }));
}
