// SPDX-License-Identifier: Apache-2.0
// Calls on files that may wait for a disk, at a place that the call itself names: the ring of files makes them (sched/file_ring.h).
//
//   pread      first with RWF_NOWAIT, which takes what is in the page cache; only the rest waits. That costs a fifth more than a
//              plain call, which is made instead, but for one in 16, where the page cache had everything so far
//   pwrite     into the page cache, as natively; with O_DIRECT it waits
//   fsync      waits
//
// read and write move the description's position under a lock of the kernel's, which no request does: they are in io.cc. What the
// ring does not take, writes with O_DSYNC, and what natively ends with a signal are blocking regions.
#include <linux/io_uring.h>
#include <sys/uio.h>

#include "hook/transfer.h"
#include "sched/file_ring.h"

namespace weft {

namespace {

constexpr int kNowait = 8;  // RWF_NOWAIT

template <class Call>
long disk_call(Coroutine* self, const FileRequest& request, Call call) {
  long result = file_ring_call(request);
  if (signals_wanted(self)) [[unlikely]]
    deliver_signals_now();
  // EFBIG: natively a SIGXFSZ comes with it.
  if (result != kNotTaken && result != -EFBIG) return as_errno(result);
  return blocking_call(RegionKind::lasting, call);
}

FileRequest transfer(uint8_t operation, int fd, const iovec* vector, int count, off_t offset) {
  FileRequest request = {};
  request.operation = operation;
  request.fd = fd;
  request.address = (uint64_t)(uintptr_t)vector;
  request.length = (uint32_t)count;
  request.offset = (uint64_t)offset;
  return request;
}

constexpr uint8_t kTrusted = 16;

bool expects_cached(Descriptor* d) {
  uint8_t cached = d->cached.load(std::memory_order_relaxed);
  if (cached < kTrusted) return false;
  d->cached.store(cached < 2 * kTrusted - 2 ? (uint8_t)(cached + 1) : (uint8_t)(kTrusted - 1),
                  std::memory_order_relaxed);
  return true;
}

void note_cached(Descriptor* d, bool cached) {
  d->cached.store(cached ? (uint8_t)(d->cached.load(std::memory_order_relaxed) + 1) : uint8_t{0},
                  std::memory_order_relaxed);
}

// What the page cache has of it: a count, all of it or up to the end of the file; -EAGAIN: the disk is to be waited for. The kernel is
// the first to look at the program's vector.
long read_cached(int fd, Descriptor* d, const iovec* vector, int count, off_t offset) {
  long got = sys::call(SYS_preadv2, fd, sys::word(vector), count, offset, 0, kNowait);
  if (got == -EOPNOTSUPP || got == -ENOSYS) d->flags |= Descriptor::kPollToRead;
  if (got <= 0) return got;
  size_t total = bytes_of(vector, count), done = (size_t)got;
  if (total > kMostAtOnce) total = kMostAtOnce;
  while (done < total) {
    iovec single;
    Slice rest = slice_from(vector, (size_t)count, done, &single);
    got = sys::call(SYS_preadv2, fd, sys::word(rest.vector), (long)rest.count, offset + (off_t)done, 0, kNowait);
    if (got == -EAGAIN) return got;
    if (got <= 0) break;
    done += (size_t)got;
  }
  return (long)done;
}

// `call`: for real.
template <class Call>
ssize_t read_at(int fd, const iovec* vector, int count, off_t offset, Call call) {
  Coroutine* self = woven();
  if (!self) return call();
  enter_call(self);
  Descriptor* d = known(fd);
  if (!d || kind_of(d) != DescriptorKind::file || count <= 0 || offset < 0) return call();
  if (!has(d, Descriptor::kDirect)) {
    if (has(d, Descriptor::kPollToRead) || expects_cached(d)) return call();
    long got = read_cached(fd, d, vector, count, offset);
    if (has(d, Descriptor::kPollToRead)) return call();
    note_cached(d, got != -EAGAIN);
    if (got != -EAGAIN) return as_errno(got);
  }
  return disk_call(self, transfer(IORING_OP_READV, fd, vector, count, offset), call);
}

template <class Call>
ssize_t write_at(int fd, const iovec* vector, int count, off_t offset, Call call) {
  Coroutine* self = woven();
  if (!self) return call();
  enter_call(self);
  const Descriptor* d = known(fd);
  bool file = d && kind_of(d) == DescriptorKind::file && count > 0 && offset >= 0;
  if (file && has(d, Descriptor::kDirect))
    return disk_call(self, transfer(IORING_OP_WRITEV, fd, vector, count, offset), call);
  // The ring makes one write of a file after the other, each with the disk's wait in it.
  if (file && has(d, Descriptor::kSynchronous)) return blocking_call(RegionKind::lasting, call);
  ssize_t result = call();
  if (result < 0 && errno == EFBIG) file_too_large(self);
  return result;
}

template <class Call>
int synchronise(int fd, uint32_t flags, Call call) {
  Coroutine* self = woven();
  if (!self) return call();
  enter_call(self);
  const Descriptor* d = known(fd);
  if (!d || kind_of(d) != DescriptorKind::file) return blocking_call(RegionKind::lasting, call);
  FileRequest request = {};
  request.operation = IORING_OP_FSYNC;
  request.fd = fd;
  request.flags = flags;
  return (int)disk_call(self, request, call);
}

}  // namespace
}  // namespace weft

using namespace weft;

WEFT_EXPORT int fdatasync(int fd) {
  return synchronise(fd, IORING_FSYNC_DATASYNC, [&] { return real().fdatasync(fd); });
}

WEFT_EXPORT int fsync(int fd) {
  return synchronise(fd, 0, [&] { return real().fsync(fd); });
}

WEFT_EXPORT ssize_t pread(int fd, void* buffer, size_t size, off_t offset) {
  iovec single = {buffer, size};
  return read_at(fd, &single, 1, offset, [&] { return real().pread(fd, buffer, size, offset); });
}

WEFT_EXPORT ssize_t preadv(int fd, const iovec* vector, int count, off_t offset) {
  return read_at(fd, vector, count, offset, [&] { return real().preadv(fd, vector, count, offset); });
}

WEFT_EXPORT ssize_t pwrite(int fd, const void* buffer, size_t size, off_t offset) {
  iovec single = {const_cast<void*>(buffer), size};
  return write_at(fd, &single, 1, offset, [&] { return real().pwrite(fd, buffer, size, offset); });
}

WEFT_EXPORT ssize_t pwritev(int fd, const iovec* vector, int count, off_t offset) {
  return write_at(fd, vector, count, offset, [&] { return real().pwritev(fd, vector, count, offset); });
}
