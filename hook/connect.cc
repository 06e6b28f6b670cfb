// SPDX-License-Identifier: Apache-2.0
// Making sockets and connections: socket, connect, listen, accept, shutdown, and the options that change how a wait
// ends.
//
// connect   A fresh TCP socket that nobody else has is made non-blocking for the first call alone. When the connection
// is there or has
//           failed, a second connect fetches the result, as that leaves the socket in the state a blocking one leaves
//           it in (SO_ERROR alone would not: the next connect would fail). Everything else is a real call in a region.
// accept    No flag keeps accept from waiting, so one look by poll comes first; a lost race is a blocking call, and the
// worker is
//           handed on then.
#include "hook/transfer.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/time.h>

namespace weft {

namespace {

long raw_accept(int fd, sockaddr* address, socklen_t* length, int flags) {
  return sys::call(SYS_accept4, fd, sys::word(address), sys::word(length), flags);
}

long woven_accept(Coroutine* self, int fd, sockaddr* address, socklen_t* length, int flags) {
  Descriptor* d = known(fd);
  auto call = [&] { return raw_accept(fd, address, length, flags); };
  if (!d || kind_of(d) != DescriptorKind::listener) return cancellable_call(RegionKind::interruptible, call);
  uint32_t seen = events_seen(d, Direction::read);
  if (has(d, Descriptor::kNonblocking)) {
    long result = call();
    if (result == -EAGAIN) mark_drained(d, Direction::read, seen);
    return result;
  }
  long result = kMakeRealCall;
  if (!has(d, Descriptor::kUnpollable)) {
    // What is left in the queue is seen by the next one's look: a connection is one edge, but so may be several.
    result = weave_read(self, fd, d, 0, Tells::drained, [&](int number) {
      if (!ready_now(number, POLLIN)) return (long)-EAGAIN;
      return raw_accept(number, address, length, flags);
    });
  }
  if (result == kMakeRealCall) result = cancellable_call(RegionKind::lasting, call);
  return result;
}

int accept_hook(int fd, sockaddr* address, socklen_t* length, int flags) {
  Coroutine* self = woven();
  if (!self) {
    int made = flags ? real().accept4(fd, address, length, flags) : real().accept(fd, address, length);
    note_accepted(made, fd, flags);
    return made;
  }
  enter_call(self);
  long made = woven_accept(self, fd, address, length, flags);
  note_accepted((int)made, fd, flags);
  return (int)as_errno(made);
}

bool toggles(const Descriptor* d) { return kind_of(d) == DescriptorKind::stream && !has(d, Descriptor::kShared); }

// The result of a connect that is under way, parked until it is there.
long await_connection(Coroutine* self, int fd, Descriptor* d, const sockaddr* address, socklen_t length,
                      uint32_t seen) {
  Waiting waiting(self, fd, d);
  long result;
  for (;;) {
    long waited = waiting.wait(Direction::write, seen);
    if (waited == -EAGAIN) {
      result = -EINPROGRESS;
      break;
    }
    if (waited < 0) {
      result = waited;
      break;
    }
    seen = events_seen(waiting.d, Direction::write);
    if (!ready_now(waiting.fd, POLLOUT)) continue;
    result = sys::call(SYS_connect, waiting.fd, sys::word(address), length);
    break;
  }
  waiting.end();
  return result;
}

long woven_connect(Coroutine* self, int fd, const sockaddr* address, socklen_t length) {
  Descriptor* d = known(fd);
  auto call = [&] { return sys::call(SYS_connect, fd, sys::word(address), length); };
  if (!d) return cancellable_call(RegionKind::interruptible, call);
  if (has(d, Descriptor::kNonblocking) || has(d, Descriptor::kDatagram)) return call();
  if (!toggles(d) || has(d, Descriptor::kUnpollable)) return cancellable_call(RegionKind::interruptible, call);
  // What was seen of an earlier connection of this socket says nothing of this one.
  d->flags &= (uint16_t) ~(Descriptor::kNoDrainHint | Descriptor::kHungUp);
  uint32_t seen = events_seen(d, Direction::write);
  int on = 1, off = 0;
  if (sys::call(SYS_ioctl, fd, FIONBIO, sys::word(&on)) < 0) return cancellable_call(RegionKind::interruptible, call);
  long result = call();
  sys::call(SYS_ioctl, fd, FIONBIO, sys::word(&off));
  if (result == -EINPROGRESS || result == -EALREADY) result = await_connection(self, fd, d, address, length, seen);
  if (result == kMakeRealCall) result = cancellable_call(RegionKind::lasting, call);
  return result;
}

// A timeout as the kernel takes it; a negative one means that a call that would wait fails at once.
uint64_t timeout_of(const timeval* value) {
  if (value->tv_sec < 0) return 1;
  if (!value->tv_sec && !value->tv_usec) return 0;
  uint64_t nanoseconds;
  if (__builtin_mul_overflow((uint64_t)value->tv_sec, 1'000'000'000u, &nanoseconds)) return 0;
  return nanoseconds + (uint64_t)value->tv_usec * 1000u;
}

void note_option(int fd, int level, int option, const void* value, socklen_t length) {
  Descriptor* d = descriptor(fd);
  if (!d) return;
  if (level == IPPROTO_TCP && option == 31 /* TCP_ULP */) {
    d->flags |= Descriptor::kNoDrainHint;
    return;
  }
  if (level != SOL_SOCKET) return;
  if (option == SO_RCVTIMEO || option == SO_RCVTIMEO_NEW || option == SO_SNDTIMEO || option == SO_SNDTIMEO_NEW)
    d->flags |= Descriptor::kTimed;
  switch (option) {
    case SO_RCVTIMEO:
    case SO_RCVTIMEO_NEW:
      d->receive_timeout.store(timeout_of((const timeval*)value), std::memory_order_relaxed);
      break;
    case SO_SNDTIMEO:
    case SO_SNDTIMEO_NEW:
      d->send_timeout.store(timeout_of((const timeval*)value), std::memory_order_relaxed);
      break;
    case SO_RCVLOWAT:
      if (length >= sizeof(int) && (*(const int*)value > 1 || *(const int*)value < 0))
        d->flags |= Descriptor::kLowWater;
      else
        d->flags &= (uint16_t)~Descriptor::kLowWater;
      break;
    default:
      return;
  }
  note_description_changed(fd);
}

}  // namespace
}  // namespace weft

using namespace weft;

WEFT_EXPORT int accept(int fd, sockaddr* address, socklen_t* length) { return accept_hook(fd, address, length, 0); }

WEFT_EXPORT int accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  return accept_hook(fd, address, length, flags);
}

WEFT_EXPORT int bind(int fd, const sockaddr* address, socklen_t length) noexcept {
  return real().bind(fd, address, length);
}

WEFT_EXPORT int connect(int fd, const sockaddr* address, socklen_t length) {
  Coroutine* self = woven();
  if (!self) return real().connect(fd, address, length);
  enter_call(self);
  return (int)as_errno(woven_connect(self, fd, address, length));
}

WEFT_EXPORT int getsockopt(int fd, int level, int option, void* value, socklen_t* length) noexcept {
  return real().getsockopt(fd, level, option, value, length);
}

WEFT_EXPORT int listen(int fd, int backlog) noexcept {
  int result = real().listen(fd, backlog);
  if (result == 0 && tracking()) {
    Descriptor* d = descriptor(fd);
    if (d && kind_of(d) != DescriptorKind::unknown)
      d->kind.store((uint8_t)DescriptorKind::listener, std::memory_order_relaxed);
  }
  return result;
}

WEFT_EXPORT int setsockopt(int fd, int level, int option, const void* value, socklen_t length) noexcept {
  int result = real().setsockopt(fd, level, option, value, length);
  if (result == 0 && tracking()) note_option(fd, level, option, value, length);
  return result;
}

WEFT_EXPORT int shutdown(int fd, int how) noexcept {
  int result = real().shutdown(fd, how);
  if (result == 0 && tracking()) wake_descriptor(fd);
  return result;
}

WEFT_EXPORT int socket(int domain, int type, int protocol) noexcept {
  int fd = real().socket(domain, type, protocol);
  note_socket(fd, domain, type, protocol);
  return fd;
}

WEFT_EXPORT int socketpair(int domain, int type, int protocol, int fds[2]) noexcept {
  int result = real().socketpair(domain, type, protocol, fds);
  if (result == 0) {
    note_socket(fds[0], domain, type, protocol);
    note_socket(fds[1], domain, type, protocol);
  }
  return result;
}
