// SPDX-License-Identifier: Apache-2.0
// Sending and receiving on sockets: recv, send and their kin.
//
// Each is the raw call with MSG_DONTWAIT inside the loops of transfer.h; O_NONBLOCK is never set. MSG_NOSIGNAL is
// always added, because the signal would hit the carrier: SIGPIPE is raised for the coroutine instead, where the kernel
// would send it.
//
// Real calls in a region: SO_RCVLOWAT above 1 (MSG_DONTWAIT ignores it); MSG_ZEROCOPY and MSG_FASTOPEN (a call must
// stay one call); addressed sends on AF_UNIX datagram sockets that would wait (no edge ever comes for them).
#include "hook/transfer.h"

#include <netinet/tcp.h>
#include <sys/ioctl.h>

namespace weft {

namespace {

// A stream's MSG_WAITALL. attempt(fd, done): receives behind what is there already.
template <class Attempt>
long weave_read_all(Coroutine* self, int fd, Descriptor* d, size_t total, Attempt attempt) {
  Waiting waiting(self, fd, d);
  size_t done = 0;
  long result;
  for (;;) {
    uint32_t seen = events_seen(waiting.d, Direction::read);
    result = -EAGAIN;
    if (done && has(waiting.d, Descriptor::kHungUp)) {
      // The error behind the last data is the next call's: a try would take it away.
      int left = 0;
      if (sys::call(SYS_ioctl, waiting.fd, FIONREAD, sys::word(&left)) == 0 && left == 0) break;
    }
    if (worth_trying(waiting.d, Direction::read)) {
      result = attempt(waiting.fd, done);
      if (result > 0) {
        done += (size_t)result;
        if (done >= total) {
          pass_on(waiting.d, Direction::read);
          break;
        }
        continue;
      }
      if (result != -EAGAIN) break;
      mark_drained(waiting.d, Direction::read, seen);
    }
    long waited = done ? waiting.wait_for_rest(Direction::read, seen) : waiting.wait(Direction::read, seen);
    if (waited == 0) continue;
    result = waited;
    break;
  }
  waiting.end();
  return done ? (long)done : result;
}

// MSG_PEEK with MSG_WAITALL: everything is looked at again after every edge, until there is enough or no more can come.
template <class Attempt>
long weave_peek_all(Coroutine* self, int fd, Descriptor* d, size_t total, Attempt attempt) {
  Waiting waiting(self, fd, d);
  long result;
  for (;;) {
    uint32_t seen = events_seen(waiting.d, Direction::read);
    bool nothing_new_follows = has(waiting.d, Descriptor::kNoDrainHint) && waiting.waited;
    result = attempt(waiting.fd, 0);
    if (result != -EAGAIN && (result <= 0 || (size_t)result >= total || nothing_new_follows)) break;
    long waited = waiting.wait(Direction::read, seen);
    if (waited == 0) continue;
    if (result < 0) result = waited;
    break;
  }
  pass_on(waiting.d, Direction::read);
  waiting.end();
  return result;
}

// attempt(fd, done) makes the call with `*mode` among its flags.
template <class Attempt>
long receive(Coroutine* self, int fd, Descriptor* d, size_t room, int flags, int* mode, Attempt attempt) {
  *mode = MSG_DONTWAIT;
  auto first = [&](int number) { return attempt(number, 0); };
  long result = kMakeRealCall;
  Tells tells = (flags & MSG_PEEK) ? Tells::nothing : Tells::drained;
  if (flags & (MSG_ERRQUEUE | MSG_OOB)) return first(fd);
  if ((flags & MSG_DONTWAIT) || has(d, Descriptor::kNonblocking)) return try_read(fd, d, room, tells, first);
  if (!has(d, Descriptor::kLowWater | Descriptor::kUnpollable)) {
    if ((flags & MSG_WAITALL) && !has(d, Descriptor::kDatagram))
      result =
          (flags & MSG_PEEK) ? weave_peek_all(self, fd, d, room, attempt) : weave_read_all(self, fd, d, room, attempt);
    else
      result = weave_read(self, fd, d, room, tells, first);
  }
  if (result == kMakeRealCall) {
    *mode = 0;
    result = cancellable_call(RegionKind::lasting, [&] { return first(fd); });
  }
  return result;
}

// The same for sends; `addressed`: to an address of its own.
template <class Attempt>
long transmit(Coroutine* self, int fd, Descriptor* d, size_t total, int flags, bool addressed, int* mode,
              Attempt attempt) {
  *mode = MSG_DONTWAIT | MSG_NOSIGNAL;
  constexpr uint16_t kUnixMessages = Descriptor::kUnixSocket | Descriptor::kDatagram;
  bool unix_messages = (d->flags.load(std::memory_order_relaxed) & kUnixMessages) == kUnixMessages;
  bool message = has(d, Descriptor::kDatagram);
  long result = kMakeRealCall;
  if ((flags & MSG_DONTWAIT) || has(d, Descriptor::kNonblocking)) {
    result = try_write(fd, d, attempt);
  } else if (addressed && unix_messages) {
    result = attempt(fd, 0);
    if (result == -EAGAIN) result = kMakeRealCall;
  } else if (!(flags & (MSG_ZEROCOPY | MSG_FASTOPEN | MSG_OOB)) && !has(d, Descriptor::kUnpollable)) {
    result = weave_write(self, fd, d, total, message, attempt);
  }
  if (result == kMakeRealCall) {
    *mode = MSG_NOSIGNAL;
    result = cancellable_call(RegionKind::lasting, [&] { return attempt(fd, 0); });
  }
  if (result == -EPIPE && !message && !(flags & MSG_NOSIGNAL)) raise_own(self, SIGPIPE);
  return result;
}

// The table said socket, the kernel says otherwise: the number was reused past the hooks.
void renew_if_stale(int fd, long result) {
  if (result == -ENOTSOCK) [[unlikely]]
    renew_descriptor(fd);
}

bool woven_socket(const Descriptor* d) { return d && is_socket(d); }

}  // namespace

long receive_buffer(Coroutine* self, int fd, Descriptor* d, void* buffer, size_t size, int flags, sockaddr* from,
                    socklen_t* from_length) {
  int mode;
  long result = receive(self, fd, d, size, flags, &mode, [&](int number, size_t done) {
    if (done)
      return sys::call(SYS_recvfrom, number, sys::word((char*)buffer + done), (long)(size - done), flags | mode);
    return sys::call(SYS_recvfrom, number, sys::word(buffer), (long)size, flags | mode, sys::word(from),
                     sys::word(from_length));
  });
  renew_if_stale(fd, result);
  return result;
}

long receive_message(Coroutine* self, int fd, Descriptor* d, msghdr* message, int flags) {
  int mode;
  size_t room = bytes_of(message->msg_iov, (long)message->msg_iovlen);
  long result = receive(self, fd, d, room, flags, &mode, [&](int number, size_t done) {
    if (!done) return sys::call(SYS_recvmsg, number, sys::word(message), flags | mode);
    iovec single;
    Slice rest = slice_from(message->msg_iov, message->msg_iovlen, done, &single);
    msghdr further = {};
    further.msg_iov = const_cast<iovec*>(rest.vector);
    further.msg_iovlen = rest.count;
    return sys::call(SYS_recvmsg, number, sys::word(&further), flags | mode);
  });
  renew_if_stale(fd, result);
  if (result >= 0 && message->msg_controllen) note_received(message);
  return result;
}

long send_buffer(Coroutine* self, int fd, Descriptor* d, const void* buffer, size_t size, int flags, const sockaddr* to,
                 socklen_t to_length) {
  int mode;
  if (size > kMostAtOnce && !has(d, Descriptor::kDatagram)) size = kMostAtOnce;
  long result = transmit(self, fd, d, size, flags, to != nullptr, &mode, [&](int number, size_t done) {
    return sys::call(SYS_sendto, number, sys::word((const char*)buffer + done), (long)(size - done), flags | mode,
                     sys::word(to), to_length);
  });
  renew_if_stale(fd, result);
  return result;
}

long send_message(Coroutine* self, int fd, Descriptor* d, const msghdr* message, int flags) {
  int mode;
  size_t total = bytes_of(message->msg_iov, (long)message->msg_iovlen);
  if (message->msg_controllen) note_sent(message);
  long result = transmit(self, fd, d, total, flags, message->msg_name != nullptr, &mode, [&](int number, size_t done) {
    if (!done) return sys::call(SYS_sendmsg, number, sys::word(message), flags | mode);
    iovec single;
    Slice rest = slice_from(message->msg_iov, message->msg_iovlen, done, &single);
    msghdr further = {};
    further.msg_iov = const_cast<iovec*>(rest.vector);
    further.msg_iovlen = rest.count;
    return sys::call(SYS_sendmsg, number, sys::word(&further), flags | mode);
  });
  renew_if_stale(fd, result);
  return result;
}

namespace {

ssize_t recvfrom_hook(Coroutine* self, int fd, void* buffer, size_t size, int flags, sockaddr* from,
                      socklen_t* length) {
  enter_call(self);
  Descriptor* d = known(fd);
  if (!woven_socket(d))
    return blocking_call(RegionKind::brief, [&] { return real().recvfrom(fd, buffer, size, flags, from, length); });
  return as_errno(receive_buffer(self, fd, d, buffer, size, flags, from, length));
}

ssize_t sendto_hook(Coroutine* self, int fd, const void* buffer, size_t size, int flags, const sockaddr* to,
                    socklen_t length) {
  enter_call(self);
  Descriptor* d = known(fd);
  if (!woven_socket(d))
    return blocking_call(RegionKind::brief, [&] { return real().sendto(fd, buffer, size, flags, to, length); });
  return as_errno(send_buffer(self, fd, d, buffer, size, flags, to, length));
}

ssize_t sendmsg_hook(Coroutine* self, int fd, const msghdr* message, int flags) {
  Descriptor* d = known(fd);
  if (!woven_socket(d) || !message)
    return blocking_call(RegionKind::brief, [&] { return real().sendmsg(fd, message, flags); });
  return as_errno(send_message(self, fd, d, message, flags));
}

}  // namespace
}  // namespace weft

using namespace weft;

WEFT_EXPORT ssize_t recv(int fd, void* buffer, size_t size, int flags) {
  Coroutine* self = woven();
  if (!self) return real().recv(fd, buffer, size, flags);
  return recvfrom_hook(self, fd, buffer, size, flags, nullptr, nullptr);
}

WEFT_EXPORT ssize_t __recv_chk(int fd, void* buffer, size_t size, size_t room, int flags) {
  Coroutine* self = woven();
  if (!self || size > room) return real().__recv_chk(fd, buffer, size, room, flags);
  return recvfrom_hook(self, fd, buffer, size, flags, nullptr, nullptr);
}

WEFT_EXPORT ssize_t recvfrom(int fd, void* buffer, size_t size, int flags, sockaddr* from, socklen_t* length) {
  Coroutine* self = woven();
  if (!self) return real().recvfrom(fd, buffer, size, flags, from, length);
  return recvfrom_hook(self, fd, buffer, size, flags, from, length);
}

WEFT_EXPORT ssize_t __recvfrom_chk(int fd, void* buffer, size_t size, size_t room, int flags, sockaddr* from,
                                   socklen_t* length) {
  Coroutine* self = woven();
  if (!self || size > room) return real().__recvfrom_chk(fd, buffer, size, room, flags, from, length);
  return recvfrom_hook(self, fd, buffer, size, flags, from, length);
}

WEFT_EXPORT ssize_t recvmsg(int fd, msghdr* message, int flags) {
  Coroutine* self = woven();
  if (!self) {
    ssize_t result = real().recvmsg(fd, message, flags);
    if (result >= 0 && message->msg_controllen && tracking()) note_received(message);
    return result;
  }
  enter_call(self);
  Descriptor* d = known(fd);
  if (!woven_socket(d) || !message)
    return blocking_call(RegionKind::brief, [&] { return real().recvmsg(fd, message, flags); });
  return as_errno(receive_message(self, fd, d, message, flags));
}

// The timeout is looked at after each message only, as natively: without one the call waits for the first for ever.
WEFT_EXPORT int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  Coroutine* self = woven();
  if (!self) return real().recvmmsg(fd, messages, count, flags, timeout);
  enter_call(self);
  Descriptor* d = known(fd);
  if (!woven_socket(d) || !messages || !count)
    return blocking_call(RegionKind::brief, [&] { return real().recvmmsg(fd, messages, count, flags, timeout); });
  if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999'999'999))
    return (int)as_errno(-EINVAL);
  uint64_t end =
      timeout ? deadline_in((uint64_t)timeout->tv_sec * 1'000'000'000u + (uint64_t)timeout->tv_nsec) : kNever;
  unsigned got = 0;
  long result;
  for (;;) {
    int mode;
    result = receive(self, fd, d, 0, flags & ~MSG_WAITALL, &mode, [&](int number, size_t) {
      return sys::call(SYS_recvmmsg, number, sys::word(messages + got), count - got, flags | mode, 0);
    });
    if (result < 0) break;
    for (unsigned i = 0; i < (unsigned)result; i++)
      if (messages[got + i].msg_hdr.msg_controllen) note_received(&messages[got + i].msg_hdr);
    got += (unsigned)result;
    if (got >= count || (flags & (MSG_WAITFORONE | MSG_DONTWAIT)) || has(d, Descriptor::kNonblocking)) break;
    if (timeout && now_ns() >= end) break;
  }
  if (timeout && got) {
    uint64_t now = now_ns();
    *timeout = to_timespec(end > now ? end - now : 0);
  }
  return got ? (int)got : (int)as_errno(result);
}

WEFT_EXPORT ssize_t send(int fd, const void* buffer, size_t size, int flags) {
  Coroutine* self = woven();
  if (!self) return real().send(fd, buffer, size, flags);
  return sendto_hook(self, fd, buffer, size, flags, nullptr, 0);
}

WEFT_EXPORT ssize_t sendto(int fd, const void* buffer, size_t size, int flags, const sockaddr* to, socklen_t length) {
  Coroutine* self = woven();
  if (!self) return real().sendto(fd, buffer, size, flags, to, length);
  return sendto_hook(self, fd, buffer, size, flags, to, length);
}

WEFT_EXPORT ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  Coroutine* self = woven();
  if (!self) {
    if (tracking() && message && message->msg_controllen) note_sent(message);
    return real().sendmsg(fd, message, flags);
  }
  enter_call(self);
  return sendmsg_hook(self, fd, message, flags);
}

WEFT_EXPORT int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  Coroutine* self = woven();
  if (!self) return real().sendmmsg(fd, messages, count, flags);
  enter_call(self);
  if (count > 1024) count = 1024;  // as the kernel has it
  for (unsigned sent = 0; sent < count; sent++) {
    ssize_t result = sendmsg_hook(self, fd, &messages[sent].msg_hdr, flags);
    if (result < 0) return sent ? (int)sent : -1;
    messages[sent].msg_len = (unsigned)result;
    // A stream that took a part takes no further message: the call does not block.
    if ((flags & MSG_DONTWAIT) &&
        (size_t)result < bytes_of(messages[sent].msg_hdr.msg_iov, (long)messages[sent].msg_hdr.msg_iovlen))
      return (int)sent + 1;
  }
  return (int)count;
}
