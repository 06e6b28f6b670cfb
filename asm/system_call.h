// SPDX-License-Identifier: Apache-2.0
// The system call instruction, in namespace weft::cpu:
//   system_call(number, six words)   the result, or -errno
//   kEpollWait                       the number of epoll_wait; that of no call where there is only epoll_pwait
//   kVdsoClockGettime                what the kernel's own library calls its clock_gettime
#pragma once

#include "asm/architecture.h"
#include WEFT_FOR_CPU(system_call)
