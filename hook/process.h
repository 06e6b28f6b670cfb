// SPDX-License-Identifier: Apache-2.0
// Processes that are made past libc's fork.
#pragma once

namespace weft {

// clone as a system call without a stack of its own: what syscall() returns, in both processes. `flags` without CLONE_VM.
long clone_process(long flags, long (*call)(void*), void* argument);

}  // namespace weft
