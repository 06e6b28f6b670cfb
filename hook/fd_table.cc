// SPDX-License-Identifier: Apache-2.0
// Finding out what a descriptor is, and keeping it.
//
// A description is shared when two numbers, or two processes, have it: then O_NONBLOCK and the timeouts may change through the other
// one. A change through a hook raises an epoch, and every entry that may have the same description, by its inode, is looked up
// again before its next use; a change by another process is found by the monitor's look at waits that last.
#include "hook/fd_table.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>

#include "sched/log.h"
#include "sched/sys.h"

namespace weft {

namespace {

constexpr unsigned kMemoryDevices = 1;  // major number of /dev/null and its like, which are always ready
constexpr unsigned kKernelLog = 11;     // the one among them that is not

int socket_option(int fd, int option) {
  int value = 0;
  socklen_t length = sizeof value;
  return sys::call(SYS_getsockopt, fd, SOL_SOCKET, option, sys::word(&value), sys::word(&length)) < 0 ? -1 : value;
}

// A layer on TCP, such as kernel TLS, ends reads where its records end.
bool has_upper_layer(int fd) {
  char name[16];
  socklen_t length = sizeof name;
  return sys::call(SYS_getsockopt, fd, IPPROTO_TCP, TCP_ULP, sys::word(name), sys::word(&length)) == 0 && length;
}

uint64_t socket_timeout(int fd, int option) {
  timeval value = {};
  socklen_t length = sizeof value;
  if (sys::call(SYS_getsockopt, fd, SOL_SOCKET, option, sys::word(&value), sys::word(&length)) < 0) return 0;
  return (uint64_t)value.tv_sec * 1'000'000'000u + (uint64_t)value.tv_usec * 1000u;
}

void look_up_timeouts(int fd, Descriptor* d) {
  uint64_t receive = socket_timeout(fd, SO_RCVTIMEO), send = socket_timeout(fd, SO_SNDTIMEO);
  d->receive_timeout.store(receive, std::memory_order_relaxed);
  d->send_timeout.store(send, std::memory_order_relaxed);
  if (receive || send) d->flags |= Descriptor::kTimed;
  if (socket_option(fd, SO_RCVLOWAT) > 1)
    d->flags |= Descriptor::kLowWater;
  else
    d->flags &= (uint16_t)~Descriptor::kLowWater;
}

struct SocketKind {
  DescriptorKind kind;
  uint16_t flags;
};

SocketKind socket_kind(int domain, int type, int protocol) {
  uint16_t flags = 0;
  if (domain == AF_UNIX) flags |= Descriptor::kUnixSocket;
  if (type != SOCK_STREAM) flags |= Descriptor::kDatagram;
  bool internet = domain == AF_INET || domain == AF_INET6;
  if (internet && type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP))
    return {DescriptorKind::stream, (uint16_t)(flags | Descriptor::kTcp)};
  return {DescriptorKind::socket, flags};
}

DescriptorKind kind_by_mode(const struct stat& status) {
  switch (status.st_mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFBLK:
    case S_IFLNK:
      return DescriptorKind::file;
    case S_IFIFO:
      return DescriptorKind::pipe;
    case S_IFCHR:
      return major(status.st_rdev) == kMemoryDevices && minor(status.st_rdev) != kKernelLog ? DescriptorKind::file
                                                                                            : DescriptorKind::special;
    default:
      return DescriptorKind::special;
  }
}

bool is_signalfd(int fd) {
  char path[40], target[32];
  format_text(path, sizeof path, "/proc/self/fd/%d", fd);
  constexpr char kName[] = "anon_inode:[signalfd]";
  long length = sys::call(SYS_readlinkat, AT_FDCWD, sys::word(path), sys::word(target), sizeof target);
  return length == sizeof kName - 1 && __builtin_memcmp(target, kName, sizeof kName - 1) == 0;
}

// Numbers with the same description have the same inode; others may, and are then looked up once too often.
uint32_t group_of(const struct stat& status) {
  uint64_t mixed = (status.st_ino + status.st_dev * 31) * 0x9e3779b97f4a7c15u;
  return (uint32_t)(mixed >> 32) % kDescriptionGroups;
}

void mark_shared(int fd, Descriptor* d) {
  if (has(d, Descriptor::kShared)) return;
  struct stat status;
  uint32_t group = sys::call(SYS_fstat, fd, sys::word(&status)) < 0 ? 0 : group_of(status);
  d->group.store(group, std::memory_order_relaxed);
  d->epoch.store(description_epochs[group].load(std::memory_order_acquire), std::memory_order_relaxed);
  d->flags |= Descriptor::kShared;
}

void store(Descriptor* d, DescriptorKind kind, uint16_t flags) {
  d->flags.store(flags, std::memory_order_relaxed);
  // Release: who sees the kind sees the flags, as far as the program itself hands the number on.
  d->kind.store((uint8_t)kind, std::memory_order_release);
}

template <class Visit>
void each_descriptor(const msghdr* message, Visit visit) {
  if (!message->msg_control || message->msg_controllen < sizeof(cmsghdr)) return;
  msghdr* walked = const_cast<msghdr*>(message);
  for (cmsghdr* c = CMSG_FIRSTHDR(walked); c; c = CMSG_NXTHDR(walked, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(0)) continue;
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      __builtin_memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      visit(fd);
    }
  }
}

}  // namespace

Descriptor* classify(int fd) {
  Descriptor* d = descriptor(fd);
  if (!d) return nullptr;
  struct stat status;
  if (sys::call(SYS_fstat, fd, sys::word(&status)) < 0) return nullptr;
  uint32_t group = group_of(status), epoch = description_epochs[group].load(std::memory_order_acquire);
  long open_flags = sys::call(SYS_fcntl, fd, F_GETFL);
  if (open_flags < 0) return nullptr;
  note_known_fd(fd);
  uint16_t flags = Descriptor::kShared;
  if (open_flags & O_NONBLOCK) flags |= Descriptor::kNonblocking;
  DescriptorKind kind = kind_by_mode(status);
  if (kind == DescriptorKind::pipe && (open_flags & O_DIRECT)) flags |= Descriptor::kNoDrainHint;
  if (kind == DescriptorKind::file && (open_flags & O_DIRECT)) flags |= Descriptor::kDirect;
  if (kind == DescriptorKind::file && (open_flags & O_DSYNC)) flags |= Descriptor::kSynchronous;
  if (open_flags & O_PATH) kind = DescriptorKind::file;
  if (!(status.st_mode & S_IFMT) && is_signalfd(fd)) kind = DescriptorKind::signals;
  if (S_ISSOCK(status.st_mode) && !(open_flags & O_PATH)) {
    int domain = socket_option(fd, SO_DOMAIN), type = socket_option(fd, SO_TYPE);
    if (domain < 0 || type < 0) return nullptr;  // forbidden to ask: nothing is known of its calls
    SocketKind found = socket_kind(domain, type, socket_option(fd, SO_PROTOCOL));
    kind = socket_option(fd, SO_ACCEPTCONN) > 0 ? DescriptorKind::listener : found.kind;
    flags |= found.flags;
    if (has_upper_layer(fd)) flags |= Descriptor::kNoDrainHint;
    look_up_timeouts(fd, d);
    flags |= d->flags.load(std::memory_order_relaxed) & (Descriptor::kLowWater | Descriptor::kTimed);
  }
  d->group.store(group, std::memory_order_relaxed);
  d->epoch.store(epoch, std::memory_order_relaxed);
  store(d, kind, flags);
  return d;
}

void look_up_shared(int fd, Descriptor* d) {
  uint32_t group = d->group.load(std::memory_order_relaxed);
  d->epoch.store(description_epochs[group].load(std::memory_order_acquire), std::memory_order_relaxed);
  long open_flags = sys::call(SYS_fcntl, fd, F_GETFL);
  if (open_flags < 0) return;
  if (open_flags & O_NONBLOCK)
    d->flags |= Descriptor::kNonblocking;
  else
    d->flags &= (uint16_t)~Descriptor::kNonblocking;
  DescriptorKind kind = kind_of(d);
  if (kind == DescriptorKind::stream || kind == DescriptorKind::socket || kind == DescriptorKind::listener)
    look_up_timeouts(fd, d);
}

void note_made(int fd, DescriptorKind kind, uint16_t flags) {
  if (fd < 0 || !tracking()) return;
  renew_descriptor(fd);
  if (Descriptor* d = descriptor(fd)) store(d, kind, flags);
}

void note_unknown(int fd) {
  if (fd >= 0 && tracking()) renew_descriptor(fd);
}

void note_socket(int fd, int domain, int type, int protocol) {
  if (fd < 0 || !tracking()) return;
  SocketKind found = socket_kind(domain, type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), protocol);
  uint16_t nonblocking = (type & SOCK_NONBLOCK) ? Descriptor::kNonblocking : 0;
  note_made(fd, found.kind, found.flags | nonblocking);
}

void note_accepted(int fd, int listener, int accept_flags) {
  if (fd < 0 || !tracking()) return;
  Descriptor* from = known(listener);
  if (!from || kind_of(from) != DescriptorKind::listener) return note_unknown(fd);
  constexpr uint16_t kInherited =
      Descriptor::kUnixSocket | Descriptor::kDatagram | Descriptor::kTcp | Descriptor::kLowWater | Descriptor::kTimed;
  uint16_t flags = from->flags.load(std::memory_order_relaxed) & kInherited;
  if (accept_flags & SOCK_NONBLOCK) flags |= Descriptor::kNonblocking;
  uint64_t receive = from->receive_timeout.load(std::memory_order_relaxed);
  uint64_t send = from->send_timeout.load(std::memory_order_relaxed);
  renew_descriptor(fd);
  Descriptor* d = descriptor(fd);
  if (!d) return;
  if (flags & Descriptor::kTimed) {
    d->receive_timeout.store(receive, std::memory_order_relaxed);
    d->send_timeout.store(send, std::memory_order_relaxed);
  }
  store(d, (flags & Descriptor::kTcp) ? DescriptorKind::stream : DescriptorKind::socket, flags);
}

void note_duplicate(int fd, int copy) {
  if (copy < 0 || !tracking()) return;
  if (fd != copy) renew_descriptor(copy);
  Descriptor* d = descriptor(fd);
  if (!d || kind_of(d) == DescriptorKind::unknown || kind_of(d) == DescriptorKind::internal) return;
  Descriptor* other = descriptor(copy);
  mark_shared(fd, d);
  if (!other || fd == copy) return;
  other->receive_timeout.store(d->receive_timeout.load(std::memory_order_relaxed), std::memory_order_relaxed);
  other->send_timeout.store(d->send_timeout.load(std::memory_order_relaxed), std::memory_order_relaxed);
  other->group.store(d->group.load(std::memory_order_relaxed), std::memory_order_relaxed);
  other->epoch.store(d->epoch.load(std::memory_order_relaxed), std::memory_order_relaxed);
  store(other, kind_of(d), d->flags.load(std::memory_order_relaxed));
}

void note_received(const msghdr* message) {
  if (tracking()) each_descriptor(message, [](int fd) { note_unknown(fd); });
}

void note_sent(const msghdr* message) {
  if (!tracking()) return;
  each_descriptor(message, [](int fd) {
    Descriptor* d = descriptor(fd);
    if (d && kind_of(d) != DescriptorKind::unknown) mark_shared(fd, d);
  });
}

void note_direct(Descriptor* d, bool on) {
  if (on)
    d->flags |= Descriptor::kDirect;
  else
    d->flags &= (uint16_t)~Descriptor::kDirect;
}

void note_description_changed(int fd) {
  Descriptor* d = tracking() ? descriptor(fd) : nullptr;
  if (!d || (!has(d, Descriptor::kShared) && kind_of(d) != DescriptorKind::unknown)) return;
  struct stat status;
  uint32_t group = d->group.load(std::memory_order_relaxed);
  if (kind_of(d) == DescriptorKind::unknown) {
    if (sys::call(SYS_fstat, fd, sys::word(&status)) < 0) return;
    group = group_of(status);
  }
  description_epochs[group].fetch_add(1);
}

void note_nonblocking(int fd, bool on) {
  if (fd < 0 || !tracking()) return;
  Descriptor* d = descriptor(fd);
  if (!d) return;
  bool was = has(d, Descriptor::kNonblocking);
  if (on)
    d->flags |= Descriptor::kNonblocking;
  else
    d->flags &= (uint16_t)~Descriptor::kNonblocking;
  if (was != on || kind_of(d) == DescriptorKind::unknown) note_description_changed(fd);
}

void note_closing(int fd) {
  if (fd >= 0 && tracking()) forget_descriptor(fd);
}

}  // namespace weft
