// SPDX-License-Identifier: Apache-2.0
// Calls that make, double, end or change descriptor numbers, other than by opening files (open.cc).
//
// Guests call these too, and the table must be right for everyone: only a vfork child touches nothing. Numbers of
// weft's own answer as closed ones do: close says EBADF, ranges leave them out, and a dup2 onto one moves it away
// first.
#include "hook/thread.h"
#include "hook/transfer.h"

#include <cstdarg>
#include <initializer_list>
#include <sys/file.h>
#include <sys/resource.h>

namespace weft {

namespace {

bool hidden(int fd) { return tracking() && is_internal_fd(fd); }

// Before a number is replaced. False: it is weft's and cannot be given up.
bool prepare_target(int fd) {
  if (!tracking() || fd < 0) return true;
  if (is_internal_fd(fd)) return relocate_internal_fd(fd);
  forget_descriptor(fd);
  return true;
}

int dup_to(int fd, int target, int flags, bool plain) {
  if (hidden(fd)) return (int)as_errno(-EBADF);
  if (fd == target) return plain ? real().dup2(fd, target) : real().dup3(fd, target, flags);
  // A call that fails must leave the target as it is: what makes it fail is looked at first.
  if (tracking() && sys::call(SYS_fcntl, fd, F_GETFD) >= 0 && (flags & ~O_CLOEXEC) == 0 && !prepare_target(target))
    return (int)as_errno(-EBUSY);
  int copy = plain ? real().dup2(fd, target) : real().dup3(fd, target, flags);
  note_duplicate(fd, copy);
  return copy;
}

void forget_range(unsigned first, unsigned last) {
  if (!tracking()) return;
  int highest = highest_known_fd();
  if (highest < 0 || first > (unsigned)highest) return;
  unsigned end = last < (unsigned)highest ? last : (unsigned)highest;
  for (unsigned fd = first; fd <= end; fd++)
    if (!is_internal_fd((int)fd)) forget_descriptor((int)fd);
}

// Closes everything in the range but weft's own. 0 or -errno.
long close_all_in(unsigned first, unsigned last, unsigned flags) {
  forget_range(first, last);
  while (first <= last) {
    int internal = tracking() && first <= INT_MAX ? next_internal_fd((int)first) : -1;
    unsigned end = internal >= 0 && (unsigned)internal <= last ? (unsigned)internal : last + 1;
    if (end != first) {
      long result = sys::call(SYS_close_range, first, end - 1, flags);
      if (result < 0) return result;
    }
    if (end == last + 1 || internal < 0) break;
    first = end + 1;
  }
  return 0;
}

template <class Call>
int changing_limit(bool of_descriptors, Call call) {
  if (!of_descriptors || !tracking()) return call();
  descriptor_limit_begin();
  int result = call();
  int error = errno;
  descriptor_limit_end();
  errno = error;
  return result;
}

// Locks of files: the kernel is asked without waiting first, so that only a call that waits costs a hand-over.
long wait_for_lock(int fd, int command, int at_once, void* lock) {
  long result = sys::call(SYS_fcntl, fd, at_once, sys::word(lock));
  if (result != -EAGAIN && result != -EACCES) return result;
  return cancellable_call(RegionKind::lasting, [&] { return sys::call(SYS_fcntl, fd, command, sys::word(lock)); });
}

// Its signals go to one thread, which the kernel has to know.
int own_by_thread(int fd, const f_owner_ex* wanted) {
  f_owner_ex owner = *wanted;
  owner.pid = pinned_tid(owner.pid);
  return real().fcntl(fd, F_SETOWN_EX, &owner);
}

int fcntl_hook(int fd, int command, void* argument) {
  if (hidden(fd)) return (int)as_errno(-EBADF);
  Coroutine* self = woven();
  auto* owner = (f_owner_ex*)argument;
  if (command == F_SETOWN_EX && tracking() && owner && owner->type == F_OWNER_TID) return own_by_thread(fd, owner);
  if (self && (command == F_SETLKW || command == F_OFD_SETLKW)) {
    enter_call(self);
    return (int)as_errno(wait_for_lock(fd, command, command == F_SETLKW ? F_SETLK : F_OFD_SETLK, argument));
  }
  int result = real().fcntl(fd, command, argument);
  if (result < 0 || !tracking()) return result;
  if (command == F_GETOWN_EX) {
    if (owner->type == F_OWNER_TID) owner->pid = tid_seen_by_program(owner->pid);
  } else if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) {
    note_duplicate(fd, result);
  } else if (command == F_SETFL) {
    long status = (long)argument;
    note_nonblocking(fd, status & O_NONBLOCK);
    Descriptor* d = descriptor(fd);
    if (d && kind_of(d) == DescriptorKind::pipe && (status & O_DIRECT)) d->flags |= Descriptor::kNoDrainHint;
    if (d && kind_of(d) == DescriptorKind::file) note_direct(d, status & O_DIRECT);
  }
  return result;
}

}  // namespace
}  // namespace weft

using namespace weft;

WEFT_EXPORT int close(int fd) {
  Coroutine* self = woven();
  if (self) cancellation_point(self);
  if (hidden(fd)) return (int)as_errno(-EBADF);
  note_closing(fd);
  if (!self) return real().close(fd);
  return (int)as_errno(sys::close(fd));
}

WEFT_EXPORT int close_range(unsigned first, unsigned last, int flags) noexcept {
  constexpr int kUnshare = 2, kCloexec = 4;
  if (!tracking() || first > last) return real().close_range(first, last, flags);
  if (flags & kUnshare) {
    kernel_state_changes();
    int result = real().close_range(first, last, flags);
    if (result == 0) descriptors_part();
    return result;
  }
  if (flags & kCloexec) return real().close_range(first, last, flags);
  return (int)as_errno(close_all_in(first, last, (unsigned)flags));
}

WEFT_EXPORT void closefrom(int first) noexcept {
  if (!tracking()) return real().closefrom(first);
  if (first < 0) first = 0;
  if (close_all_in((unsigned)first, ~0u, 0) == 0) return;
  struct rlimit limit = {};
  sys::call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, sys::word(&limit));
  for (int fd = first; (uint64_t)fd < limit.rlim_cur && fd < kMaxDescriptors; fd++)
    if (!is_internal_fd(fd)) sys::close(fd);
}

WEFT_EXPORT int dup(int fd) noexcept {
  if (hidden(fd)) return (int)as_errno(-EBADF);
  int copy = real().dup(fd);
  note_duplicate(fd, copy);
  return copy;
}

WEFT_EXPORT int dup2(int fd, int target) noexcept { return dup_to(fd, target, 0, true); }

WEFT_EXPORT int dup3(int fd, int target, int flags) noexcept { return dup_to(fd, target, flags, false); }

WEFT_EXPORT int eventfd(unsigned initial, int flags) noexcept {
  int fd = real().eventfd(initial, flags);
  note_made(fd, DescriptorKind::special, (flags & EFD_NONBLOCK) ? Descriptor::kNonblocking : 0);
  return fd;
}

WEFT_EXPORT int fcntl(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  void* argument = va_arg(list, void*);
  va_end(list);
  return fcntl_hook(fd, command, argument);
}

WEFT_EXPORT int fcntl64(int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  void* argument = va_arg(list, void*);
  va_end(list);
  return fcntl_hook(fd, command, argument);
}

WEFT_EXPORT int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list list;
  va_start(list, request);
  void* argument = va_arg(list, void*);
  va_end(list);
  int result = real().ioctl(fd, request, argument);
  if (request == FIONBIO && result == 0) note_nonblocking(fd, *(int*)argument != 0);
  return result;
}

WEFT_EXPORT int pipe(int fds[2]) noexcept {
  int result = real().pipe(fds);
  if (result == 0)
    for (int i : {0, 1}) note_made(fds[i], DescriptorKind::pipe, 0);
  return result;
}

WEFT_EXPORT int pipe2(int fds[2], int flags) noexcept {
  int result = real().pipe2(fds, flags);
  uint16_t bits = (uint16_t)((flags & O_NONBLOCK ? Descriptor::kNonblocking : 0) |
                             (flags & O_DIRECT ? Descriptor::kNoDrainHint : 0));
  if (result == 0)
    for (int i : {0, 1}) note_made(fds[i], DescriptorKind::pipe, bits);
  return result;
}

WEFT_EXPORT int prlimit(pid_t process, __rlimit_resource resource, const rlimit* limit, rlimit* old) noexcept {
  bool own = process == 0 || process == sys::getpid();
  return changing_limit(own && limit && resource == RLIMIT_NOFILE,
                        [&] { return real().prlimit(process, resource, limit, old); });
}

WEFT_EXPORT int setrlimit(__rlimit_resource_t resource, const rlimit* limit) noexcept {
  return changing_limit(resource == RLIMIT_NOFILE, [&] { return real().setrlimit(resource, limit); });
}
