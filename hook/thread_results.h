// SPDX-License-Identifier: Apache-2.0
// The results of C11's thread functions for the error numbers of POSIX's.
#pragma once

#include <cerrno>
#include <threads.h>

namespace weft {

inline int c11_result(int error) {
  switch (error) {
    case 0:
      return thrd_success;
    case EBUSY:
      return thrd_busy;
    case ENOMEM:
      return thrd_nomem;
    case ETIMEDOUT:
      return thrd_timedout;
    default:
      return thrd_error;
  }
}

}  // namespace weft
