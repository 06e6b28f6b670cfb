// SPDX-License-Identifier: Apache-2.0
// Where glibc's longjmp goes, in namespace weft:
//   jump_stack_pointer(environment), jump_pc(environment)   which glibc keeps mangled with the process's pointer guard
#pragma once

#include <csetjmp>
#include <cstdint>

#include "asm/architecture.h"
#include WEFT_FOR_CPU(jump_buffer)
