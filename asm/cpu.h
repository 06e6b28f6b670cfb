// SPDX-License-Identifier: Apache-2.0
// What the runtime asks of the CPU itself, in namespace weft::cpu:
//   pause()               says that the caller spins
//   time_stamp()          a clock that costs next to nothing: three billion a second, about; for lengths, not for times
//   thread_pointer_now()  the thread pointer, read at this very place. To the compiler __builtin_thread_pointer() is a constant of the
//                         function; who loads another one by weft_load_fs() has to read it by hand
//   fence_after_atomic()  after an atomic read-modify-write: makes it the full barrier that it is on x86. Two sides that each change a
//                         word and then read the other's need one in between, or both may read what was there before
#pragma once

#include <cstdint>

#include "asm/architecture.h"
#include WEFT_FOR_CPU(cpu)
