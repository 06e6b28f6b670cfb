// SPDX-License-Identifier: Apache-2.0
// Stops kernel threads of another process for the moment in which they are looked at, and lets them go whatever happens to us.
#pragma once

#include <sys/types.h>

#include <string>

#include "target.h"

namespace weft::inspect {

// PTRACE_SEIZE and INTERRUPT: the thread gets no signal, and a stopped process stays stopped. Detached by the destructor, and by the
// handlers of the signals that would end this process.
class ThreadStop {
 public:
  ThreadStop(pid_t tid, unsigned timeout_ms);
  ~ThreadStop();
  ThreadStop(ThreadStop&& other) noexcept;
  ThreadStop& operator=(ThreadStop&&) = delete;

  bool holds() const { return tid_ != 0; }
  int error() const { return error_; }  // errno of what failed; ETIMEDOUT; ESRCH: it ended
  bool registers(Registers* to) const;

 private:
  pid_t tid_ = 0;
  int error_ = 0;
};

}  // namespace weft::inspect
