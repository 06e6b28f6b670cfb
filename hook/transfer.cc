// SPDX-License-Identifier: Apache-2.0
// The slow half of the woven read and write loops: waiting, and a broken pipe.
#include "hook/transfer.h"

#include <poll.h>
#include <signal.h>

namespace weft {

long Waiting::wait(Direction direction, uint32_t seen) {
  if (!waited) {
    waited = true;
    uint64_t timeout = 0;
    if (has(d, Descriptor::kTimed))
      timeout = (direction == Direction::read ? d->receive_timeout : d->send_timeout).load(std::memory_order_relaxed);
    if (timeout) {
      deadline = deadline_in(timeout);
      restarts = false;
    }
  }
  FdWake wake = wait_fd(&fd, direction, seen, deadline);
  if (fd < 0) {
    fd = original;
    return -EBADF;
  }
  if (fd != original) d = descriptor(fd);
  switch (wake) {
    case FdWake::ready:
      return 0;
    case FdWake::timed_out:
      return -EAGAIN;
    case FdWake::unpollable:
      return kMakeRealCall;
    case FdWake::interrupted:
      break;
  }
  if (cancel_wanted(self)) {
    end();  // the thread is unwound from here
    fd = original;
    cancellation_point(self);
  }
  return -interrupted_call_ends(self, restarts);
}

long Waiting::wait_for_rest(Direction direction, uint32_t seen) {
  long result = wait(direction, seen);
  if (result != kMakeRealCall) return result;
  pollfd look = {fd, (short)(direction == Direction::read ? POLLIN : POLLOUT), 0};
  uint64_t now = now_ns();
  timespec left = to_timespec(deadline > now ? deadline - now : 0);
  long found = cancellable_call(RegionKind::lasting, [&] {
    return sys::call(SYS_ppoll, sys::word(&look), 1, deadline == kNever ? 0 : sys::word(&left), 0, 8);
  });
  return found > 0 ? 0 : found == 0 ? -EAGAIN : found;
}

bool ready_now(int fd, short events) {
  pollfd look = {fd, events, 0};
  timespec at_once = {};
  return sys::call(SYS_ppoll, sys::word(&look), 1, sys::word(&at_once), 0, 8) != 0;
}

bool take_back_signal(int signal) {
  uint64_t set = uint64_t{1} << (signal - 1);
  timespec at_once = {};
  long taken;
  do taken = sys::call(SYS_rt_sigtimedwait, sys::word(&set), 0, sys::word(&at_once), 8);
  while (taken == -EINTR);
  return taken == signal;
}

long broken_pipe(Coroutine* self) {
  take_back_signal(SIGPIPE);
  raise_own(self, SIGPIPE);
  return -EPIPE;
}

void file_too_large(Coroutine* self) {
  int error = errno;
  bool beyond_limit = take_back_signal(SIGXFSZ);
  errno = error;
  if (beyond_limit) raise_own(self, SIGXFSZ);
}

}  // namespace weft
