// SPDX-License-Identifier: Apache-2.0
// What the tests of asm/context.h have to know of the CPU, in namespace processor:
//   Controls               the control words of floating point; controls(), load(Controls)
//   kUsual, kOther, kThird three values of them; kThird differs from kOther in what has happened alone
//   kWays, use(way)        how the thread pointer is set: by the processor, by the kernel; false: not here. forget(): as it was
//   frame_of(controls, run, argument)   a frame that begins with run(argument, message)
//   kept_sum(from, to)     1, 20, 300, 4000, 50000 in registers that a call preserves, then a switch; their sum
//   spoil()                sets those registers to 0
#pragma once

#include <cstdint>
#include <vector>

#include "asm/architecture.h"
#include "asm/context.h"
#include WEFT_FOR_CPU(processor)
