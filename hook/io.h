// SPDX-License-Identifier: Apache-2.0
// One buffer read from or written to whatever the descriptor is, for every caller that has one: read(2), write(2) and stdio.
#pragma once

#include "hook/hook.h"

namespace weft {

// As the blocking system call: a count, or -errno. A cancellation point; others get their turn.
long woven_read(Coroutine* self, int fd, void* buffer, size_t size);
long woven_write(Coroutine* self, int fd, const void* buffer, size_t size);

}  // namespace weft
