// SPDX-License-Identifier: Apache-2.0
// read, write and their kin on whatever the descriptor is.
//
//   sockets         as recv and send (socket.cc), but a read of nothing is the real call: it must not eat a datagram
//   pipes           preadv2 and pwritev2 with RWF_NOWAIT
//   ttys, eventfds, FIFOs, …   the same; where the kernel says EOPNOTSUPP, one look by poll and then the real call
//   signalfds       the real call in a region, whose kernel thread has the coroutine's signals
//   files           the real call: the page cache is fast, and the monitor covers a slow disk. What is sure to wait for the disk
//                   (O_DIRECT, O_DSYNC) hands the worker on first
#include "hook/io.h"

#include <fcntl.h>
#include <poll.h>

#include "hook/transfer.h"

namespace weft {

namespace {

constexpr int kNowait = 8;            // RWF_NOWAIT
constexpr size_t kPipeBuffer = 4096;  // PIPE_BUF: what a writable pipe takes without waiting

template <class Call>
long file_transfer(bool waits, Call call) {
  return waits ? blocking_call(RegionKind::lasting, call) : call();
}

long raw_readv(int fd, const iovec* vector, size_t count) {
  return count == 1 ? sys::call(SYS_read, fd, sys::word(vector->iov_base), (long)vector->iov_len)
                    : sys::call(SYS_readv, fd, sys::word(vector), (long)count);
}
long raw_writev(int fd, const iovec* vector, size_t count) {
  return count == 1 ? sys::call(SYS_write, fd, sys::word(vector->iov_base), (long)vector->iov_len)
                    : sys::call(SYS_writev, fd, sys::word(vector), (long)count);
}

// What nobody may read, or write, is never ready: the call would say so at once.
long not_ready(int fd, int forbids) {
  long status = sys::call(SYS_fcntl, fd, F_GETFL);
  return status >= 0 && (status & O_ACCMODE) == forbids ? -EBADF : -EAGAIN;
}

// A try that does not wait on something that is neither socket nor file.
long try_to_read(int fd, Descriptor* d, const iovec* vector, size_t count) {
  if (!has(d, Descriptor::kPollToRead)) {
    long got = sys::call(SYS_preadv2, fd, sys::word(vector), (long)count, -1, -1, kNowait);
    if (got != -EOPNOTSUPP && got != -ENOSYS) return got;
    d->flags |= Descriptor::kPollToRead;
  }
  if (!ready_now(fd, POLLIN)) return not_ready(fd, O_WRONLY);
  return raw_readv(fd, vector, count);
}

long try_to_write(int fd, Descriptor* d, const iovec* vector, size_t count) {
  if (!has(d, Descriptor::kPollToWrite)) {
    long put = sys::call(SYS_pwritev2, fd, sys::word(vector), (long)count, -1, -1, kNowait);
    if (put != -EOPNOTSUPP && put != -ENOSYS) return put;
    d->flags |= Descriptor::kPollToWrite;
  }
  if (!ready_now(fd, POLLOUT)) return not_ready(fd, O_RDONLY);
  if (kind_of(d) != DescriptorKind::pipe) return raw_writev(fd, vector, count);
  iovec piece = vector[0];
  if (count == 1 && piece.iov_len <= kPipeBuffer) return raw_writev(fd, vector, count);
  if (bytes_of(vector, (long)count) <= kPipeBuffer) return raw_writev(fd, vector, count);
  if (piece.iov_len > kPipeBuffer) piece.iov_len = kPipeBuffer;
  if (!piece.iov_len) return raw_writev(fd, vector, count);  // a vector that begins with nothing: rare, and may wait
  return raw_writev(fd, &piece, 1);
}

long read_vector(Coroutine* self, int fd, const iovec* vector, size_t count) {
  auto plain = [&] { return raw_readv(fd, vector, count); };
  for (int attempt = 0; attempt < 2; attempt++) {
    Descriptor* d = known(fd);
    if (!d) return cancellable_call(RegionKind::brief, plain);
    if (kind_of(d) == DescriptorKind::file) return file_transfer(has(d, Descriptor::kDirect), plain);
    if (kind_of(d) == DescriptorKind::internal) return -EBADF;
    size_t room = count == 1 ? vector->iov_len : bytes_of(vector, (long)count);
    if (room == 0 || room == SIZE_MAX) return plain();
    long result;
    if (is_socket(d)) {
      if (count == 1) {
        result = receive_buffer(self, fd, d, vector->iov_base, room, 0, nullptr, nullptr);
      } else {
        msghdr message = {};
        message.msg_iov = const_cast<iovec*>(vector);
        message.msg_iovlen = count;
        result = receive_message(self, fd, d, &message, 0);
      }
      if (result == -ENOTSOCK) continue;  // the entry has been renewed
      return result;
    }
    if (kind_of(d) == DescriptorKind::signals) return cancellable_call(RegionKind::lasting, plain);
    if (has(d, Descriptor::kNonblocking))
      return try_read(fd, d, room, Tells::drained, [&](int number) { return raw_readv(number, vector, count); });
    result = kMakeRealCall;
    if (!has(d, Descriptor::kUnpollable))
      result = weave_read(self, fd, d, room, Tells::drained,
                          [&](int number) { return try_to_read(number, d, vector, count); });
    if (result == kMakeRealCall) result = cancellable_call(RegionKind::lasting, plain);
    return result;
  }
  return cancellable_call(RegionKind::brief, plain);
}

long write_by_kind(Coroutine* self, int fd, const iovec* vector, size_t count) {
  auto plain = [&] { return raw_writev(fd, vector, count); };
  for (int attempt = 0; attempt < 2; attempt++) {
    Descriptor* d = known(fd);
    if (!d) return cancellable_call(RegionKind::brief, plain);
    if (kind_of(d) == DescriptorKind::file)
      return file_transfer(has(d, Descriptor::kDirect | Descriptor::kSynchronous), plain);
    if (kind_of(d) == DescriptorKind::internal) return -EBADF;
    size_t total = count == 1 ? vector->iov_len : bytes_of(vector, (long)count);
    if (total == 0 || total == SIZE_MAX) return plain();
    long result;
    if (is_socket(d)) {
      if (count == 1) {
        result = send_buffer(self, fd, d, vector->iov_base, total, 0, nullptr, 0);
      } else {
        msghdr message = {};
        message.msg_iov = const_cast<iovec*>(vector);
        message.msg_iovlen = count;
        result = send_message(self, fd, d, &message, 0);
      }
      if (result == -ENOTSOCK) continue;  // the entry has been renewed
      return result;
    }
    if (total > kMostAtOnce) total = kMostAtOnce;
    bool pipe = kind_of(d) == DescriptorKind::pipe;
    bool broken = false;
    auto attempt_write = [&](int number, size_t done) {
      iovec single;
      Slice rest = slice_from(vector, count, done, &single);
      long put = try_to_write(number, d, rest.vector, rest.count);
      broken |= put == -EPIPE;
      return put;
    };
    if (has(d, Descriptor::kNonblocking)) {
      result = try_write(fd, d, [&](int number, size_t) { return raw_writev(number, vector, count); });
      broken = result == -EPIPE;
    } else {
      result = kMakeRealCall;
      if (!has(d, Descriptor::kUnpollable)) result = weave_write(self, fd, d, total, !pipe, attempt_write);
      if (result == kMakeRealCall)
        result = cancellable_call(RegionKind::lasting, plain);  // its SIGPIPE is the kernel's
    }
    if (broken && pipe) broken_pipe(self);
    return result;
  }
  return cancellable_call(RegionKind::brief, plain);
}

long write_vector(Coroutine* self, int fd, const iovec* vector, size_t count) {
  long result = write_by_kind(self, fd, vector, count);
  if (result == -EFBIG) file_too_large(self);
  return result;
}

}  // namespace

long woven_read(Coroutine* self, int fd, void* buffer, size_t size) {
  enter_call(self);
  iovec single = {buffer, size};
  return read_vector(self, fd, &single, 1);
}

long woven_write(Coroutine* self, int fd, const void* buffer, size_t size) {
  enter_call(self);
  iovec single = {const_cast<void*>(buffer), size};
  return write_vector(self, fd, &single, 1);
}

}  // namespace weft

using namespace weft;

WEFT_EXPORT ssize_t read(int fd, void* buffer, size_t size) {
  Coroutine* self = woven();
  return self ? as_errno(woven_read(self, fd, buffer, size)) : real().read(fd, buffer, size);
}

WEFT_EXPORT ssize_t __read_chk(int fd, void* buffer, size_t size, size_t room) {
  Coroutine* self = woven();
  if (!self || size > room) return real().__read_chk(fd, buffer, size, room);
  return as_errno(woven_read(self, fd, buffer, size));
}

WEFT_EXPORT ssize_t readv(int fd, const iovec* vector, int count) {
  Coroutine* self = woven();
  if (!self || count <= 0 || count > 1024) return real().readv(fd, vector, count);
  enter_call(self);
  return as_errno(read_vector(self, fd, vector, (size_t)count));
}

WEFT_EXPORT ssize_t write(int fd, const void* buffer, size_t size) {
  Coroutine* self = woven();
  return self ? as_errno(woven_write(self, fd, buffer, size)) : real().write(fd, buffer, size);
}

WEFT_EXPORT ssize_t writev(int fd, const iovec* vector, int count) {
  Coroutine* self = woven();
  if (!self || count <= 0 || count > 1024) return real().writev(fd, vector, count);
  enter_call(self);
  return as_errno(write_vector(self, fd, vector, (size_t)count));
}
