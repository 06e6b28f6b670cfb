// SPDX-License-Identifier: Apache-2.0
// Waits that no descriptor's readiness tells of: file locks, and the message queues and semaphores of the system.
//
// Each is a blocking region that hands its worker on. Where the kernel can be asked without waiting, it is asked first, so that only a
// call that waits costs a hand-over.
#include "hook/hook.h"
#include "sched/sys.h"

namespace weft {

namespace {

enum class Cancels : bool { no, yes };  // a function that cannot throw is no cancellation point

// attempt: the call told not to wait, as a raw result; `waits` is its way of saying that it would have to.
template <class Attempt, class Call>
auto lasting_call(Cancels cancels, bool told_not_to_wait, long waits, Attempt attempt, Call call) -> decltype(call()) {
  Coroutine* self = woven();
  if (!self) return call();
  if (cancels == Cancels::yes) cancellation_point(self);
  check_turn(self);
  long result = attempt();
  if (result != waits || told_not_to_wait) return (decltype(call()))as_errno(result);
  return blocking_call(RegionKind::lasting, call);
}

constexpr timespec kLongAgo = {};

template <class Call>
ssize_t receiving(mqd_t queue, char* buffer, size_t size, unsigned* priority, Call call) {
  return lasting_call(
      Cancels::yes, false, -ETIMEDOUT,
      [&] {
        return sys::call(SYS_mq_timedreceive, queue, sys::word(buffer), (long)size, sys::word(priority),
                         sys::word(&kLongAgo));
      },
      call);
}

template <class Call>
int sending(mqd_t queue, const char* buffer, size_t size, unsigned priority, Call call) {
  return lasting_call(
      Cancels::yes, false, -ETIMEDOUT,
      [&] { return sys::call(SYS_mq_timedsend, queue, sys::word(buffer), (long)size, priority, sys::word(&kLongAgo)); },
      call);
}

// A timeout of nothing: -EAGAIN where the operations would wait, but also where one of them says IPC_NOWAIT.
template <class Call>
int operating(int id, sembuf* operations, size_t count, Call call) {
  return lasting_call(
      Cancels::no, false, -EAGAIN,
      [&] { return sys::call(SYS_semtimedop, id, sys::word(operations), (long)count, sys::word(&kLongAgo)); }, call);
}

}  // namespace
}  // namespace weft

using namespace weft;

WEFT_EXPORT int flock(int fd, int operation) noexcept {
  return lasting_call(
      Cancels::no, operation & LOCK_NB, -EAGAIN, [&] { return sys::call(SYS_flock, fd, operation | LOCK_NB); },
      [&] { return real().flock(fd, operation); });
}

WEFT_EXPORT int lockf(int fd, int command, off_t size) {
  Coroutine* self = woven();
  if (command != F_LOCK || !self) return real().lockf(fd, command, size);
  enter_call(self);
  int error = errno;
  int result = real().lockf(fd, F_TLOCK, size);
  if (result == 0 || (errno != EAGAIN && errno != EACCES)) return result;
  errno = error;
  return blocking_call(RegionKind::lasting, [&] { return real().lockf(fd, command, size); });
}

WEFT_EXPORT ssize_t mq_receive(mqd_t queue, char* buffer, size_t size, unsigned* priority) {
  return receiving(queue, buffer, size, priority, [&] { return real().mq_receive(queue, buffer, size, priority); });
}

WEFT_EXPORT int mq_send(mqd_t queue, const char* buffer, size_t size, unsigned priority) {
  return sending(queue, buffer, size, priority, [&] { return real().mq_send(queue, buffer, size, priority); });
}

WEFT_EXPORT ssize_t mq_timedreceive(mqd_t queue, char* buffer, size_t size, unsigned* priority,
                                    const timespec* deadline) {
  return receiving(queue, buffer, size, priority,
                   [&] { return real().mq_timedreceive(queue, buffer, size, priority, deadline); });
}

WEFT_EXPORT int mq_timedsend(mqd_t queue, const char* buffer, size_t size, unsigned priority,
                             const timespec* deadline) {
  return sending(queue, buffer, size, priority,
                 [&] { return real().mq_timedsend(queue, buffer, size, priority, deadline); });
}

WEFT_EXPORT ssize_t msgrcv(int id, void* message, size_t size, long type, int flags) {
  return lasting_call(
      Cancels::yes, flags & IPC_NOWAIT, -ENOMSG,
      [&] { return sys::call(SYS_msgrcv, id, sys::word(message), (long)size, type, flags | IPC_NOWAIT); },
      [&] { return real().msgrcv(id, message, size, type, flags); });
}

WEFT_EXPORT int msgsnd(int id, const void* message, size_t size, int flags) {
  return lasting_call(
      Cancels::yes, flags & IPC_NOWAIT, -EAGAIN,
      [&] { return sys::call(SYS_msgsnd, id, sys::word(message), (long)size, flags | IPC_NOWAIT); },
      [&] { return real().msgsnd(id, message, size, flags); });
}

WEFT_EXPORT int semop(int id, sembuf* operations, size_t count) noexcept {
  return operating(id, operations, count, [&] { return real().semop(id, operations, count); });
}

WEFT_EXPORT int semtimedop(int id, sembuf* operations, size_t count, const timespec* timeout) noexcept {
  return operating(id, operations, count, [&] { return real().semtimedop(id, operations, count, timeout); });
}
