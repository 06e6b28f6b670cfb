// SPDX-License-Identifier: Apache-2.0
// The futex system call for callers that share the parking lot.
#pragma once

#include <cstdint>
#include <ctime>

namespace weft {

// As syscall(SYS_futex, …): sets errno. Only where the runtime has started.
long futex(uint32_t* word, int operation, uint32_t value, const timespec* timeout, uint32_t* second, uint32_t third);

}  // namespace weft
