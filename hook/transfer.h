// SPDX-License-Identifier: Apache-2.0
// The two loops behind every woven read and write: try without blocking, wait for an edge, try again.
//
//   attempt   a raw system call that does not block: a count, or -errno; -EAGAIN is waited for
//   weave_read, weave_write   their result is that of the blocking call, as a raw one gives it (-errno), or
//   kMakeRealCall
//
// What a blocking call does natively and these must too: a read ends with the first data, a write of a stream with all
// of it; what was moved before a timeout, a signal or an error is the result; with SO_RCVTIMEO or SO_SNDTIMEO set a
// signal always ends the call.
#pragma once

#include <climits>
#include <sys/uio.h>

#include "hook/fd_table.h"
#include "hook/hook.h"
#include "sched/sys.h"

namespace weft {

// The descriptor cannot be woven: the call is to be made for real, in a lasting region.
constexpr long kMakeRealCall = LONG_MIN;

// The waiting of one call.
struct Waiting {
  Coroutine* self;
  int original;   // as the program gave it
  int fd;         // the same, or a private duplicate since the original was closed
  Descriptor* d;  // of fd
  bool waited = false;
  bool restarts = true;  // a handler with SA_RESTART does not end the call
  uint64_t deadline = kNever;

  Waiting(Coroutine* self_, int fd_, Descriptor* d_) : self(self_), original(fd_), fd(fd_), d(d_) {}
  // Parks until another try is worth while: 0. -EAGAIN: timed out. -EINTR, -ECANCELED, -ETIMEDOUT: it was ended. kMakeRealCall.
  long wait(Direction direction, uint32_t seen);
  // The same for a call that has moved something already and cannot be made anew: where epoll does not help, poll() in a region.
  long wait_for_rest(Direction direction, uint32_t seen);
  // To be called last: gives a private duplicate back.
  void end() {
    if (fd != original) [[unlikely]]
      release_duplicate(fd, original);
  }
};

// A short read has taken everything there was: the next edge comes with the next data.
inline bool short_read_drains(const Descriptor* d) {
  DescriptorKind kind = kind_of(d);
  return (kind == DescriptorKind::stream || kind == DescriptorKind::pipe) && !has(d, Descriptor::kNoDrainHint) &&
         short_reads_drain.load(std::memory_order_relaxed);
}

inline void note_read(Descriptor* d, uint32_t seen, long got, size_t room) {
  if (got > 0 && (size_t)got < room && short_read_drains(d)) {
    if (!has(d, Descriptor::kShortRead)) d->flags |= Descriptor::kShortRead;
    mark_drained(d, Direction::read, seen);
  } else {
    pass_on(d, Direction::read);
  }
}

// What a read tells of those after it. A look (MSG_PEEK) tells nothing: it may begin behind data that is there (SO_PEEK_OFF).
enum class Tells : bool { nothing, drained };

// One try, for a descriptor or a call that does not block. It lets poll() know what it found.
template <class Attempt>
long try_read(int fd, Descriptor* d, size_t room, Tells tells, Attempt attempt) {
  uint32_t seen = events_seen(d, Direction::read);
  long got = attempt(fd);
  if (tells == Tells::nothing) return got;
  if (got == -EAGAIN)
    mark_drained(d, Direction::read, seen);
  else
    note_read(d, seen, got, room);
  return got;
}

template <class Attempt>
long try_write(int fd, Descriptor* d, Attempt attempt) {
  uint32_t seen = events_seen(d, Direction::write);
  long sent = attempt(fd, 0);
  if (sent == -EAGAIN) mark_drained(d, Direction::write, seen);
  return sent;
}

template <class Attempt>
long weave_read(Coroutine* self, int fd, Descriptor* d, size_t room, Tells tells, Attempt attempt) {
  Waiting waiting(self, fd, d);
  long result;
  for (;;) {
    uint32_t seen = events_seen(waiting.d, Direction::read);
    if (worth_trying(waiting.d, Direction::read)) {
      result = attempt(waiting.fd);
      if (result != -EAGAIN) {
        if (tells == Tells::drained)
          note_read(waiting.d, seen, result, room);
        else
          pass_on(waiting.d, Direction::read);
        break;
      }
      if (tells == Tells::drained) mark_drained(waiting.d, Direction::read, seen);
      if (has(waiting.d, Descriptor::kNonblocking)) break;
    }
    long waited = waiting.wait(Direction::read, seen);
    if (waited == 0) continue;
    result = waited;
    // As the kernel does: what came with the timeout is taken. (A write is not tried again.)
    if (waited == -EAGAIN) result = attempt(waiting.fd);
    break;
  }
  waiting.end();
  if (result > 0) charge(self, (unsigned long)result);
  return result;
}

// `message`: the call moves one message or nothing, there is no rest to go on with.
template <class Attempt>
long weave_write(Coroutine* self, int fd, Descriptor* d, size_t total, bool message, Attempt attempt) {
  Waiting waiting(self, fd, d);
  size_t done = 0;
  long result;
  for (;;) {
    uint32_t seen = events_seen(waiting.d, Direction::write);
    result = -EAGAIN;
    // An error behind a part that was sent is the next call's: a try would take it away.
    if (done && has(waiting.d, Descriptor::kHungUp)) break;
    if (worth_trying(waiting.d, Direction::write)) {
      result = attempt(waiting.fd, done);
      if (result >= 0) {
        done += (size_t)result;
        if (message || done >= total || !result) {
          pass_on(waiting.d, Direction::write);
          break;
        }
        continue;
      }
      if (result != -EAGAIN) break;
      mark_drained(waiting.d, Direction::write, seen);
      if (has(waiting.d, Descriptor::kNonblocking)) break;
    }
    long waited = done ? waiting.wait_for_rest(Direction::write, seen) : waiting.wait(Direction::write, seen);
    if (waited == 0) continue;
    result = waited;
    break;
  }
  waiting.end();
  charge(self, done);
  return done ? (long)done : result;
}

// A vector of buffers from `done` bytes on. `single` is room for the rest of a buffer that is cut.
struct Slice {
  const iovec* vector;
  size_t count;
};
inline Slice slice_from(const iovec* vector, size_t count, size_t done, iovec* single) {
  while (count && done >= vector->iov_len) {
    done -= vector->iov_len;
    vector++;
    count--;
  }
  if (!done) return {vector, count};
  *single = {(char*)vector->iov_base + done, vector->iov_len - done};
  return {single, 1};
}

// Bytes of a vector; SIZE_MAX where the kernel will refuse it.
inline size_t bytes_of(const iovec* vector, long count) {
  if (count < 0 || count > 1024) return SIZE_MAX;
  size_t total = 0;
  for (long i = 0; i < count; i++)
    if (__builtin_add_overflow(total, vector[i].iov_len, &total)) return SIZE_MAX;
  return total > (size_t)SSIZE_MAX ? SIZE_MAX : total;
}

constexpr size_t kMostAtOnce = 0x7ffff000;  // the kernel moves no more in one call

// Calls on sockets, for every hook that has a socket before it. Results as a raw call gives them.
long receive_buffer(Coroutine* self, int fd, Descriptor* d, void* buffer, size_t size, int flags, sockaddr* from,
                    socklen_t* from_length);
long receive_message(Coroutine* self, int fd, Descriptor* d, msghdr* message, int flags);
long send_buffer(Coroutine* self, int fd, Descriptor* d, const void* buffer, size_t size, int flags, const sockaddr* to,
                 socklen_t to_length);
long send_message(Coroutine* self, int fd, Descriptor* d, const msghdr* message, int flags);
inline bool is_socket(const Descriptor* d) {
  DescriptorKind kind = kind_of(d);
  return kind == DescriptorKind::stream || kind == DescriptorKind::socket || kind == DescriptorKind::listener;
}

bool ready_now(int fd, short events);  // one look by poll
// A signal that a raw call left pending on the carrier. False: there was none.
bool take_back_signal(int signal);
long broken_pipe(Coroutine* self);  // SIGPIPE for the coroutine instead of the carrier; gives -EPIPE
// EFBIG: where it is RLIMIT_FSIZE that is passed, SIGXFSZ for the coroutine instead of the carrier.
void file_too_large(Coroutine* self);

}  // namespace weft
