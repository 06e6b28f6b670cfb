// SPDX-License-Identifier: Apache-2.0
// What a signal has interrupted, as the kernel tells its handler, in namespace weft:
//   interrupted_pc(context), interrupted_sp(context)   where it was and its stack pointer
//   faulted_by_fetch(info, context)                    of a SIGSEGV: the instruction itself could not be fetched
#pragma once

#include <csignal>
#include <cstdint>
#include <ucontext.h>

#include "asm/architecture.h"
#include WEFT_FOR_CPU(signal_frame)
