// SPDX-License-Identifier: Apache-2.0
// Tables far larger than what is used of them: address space, of which the kernel fills what is touched. Also in a program that has
// everything locked which is mapped from then on (mlockall), and filled at once.
#pragma once

#include <cstddef>

namespace weft {

// Null: no memory.
void* reserve(size_t size);

// What is mapped from here on is locked, or not any more. Returns what it was.
bool maps_are_locked(bool locked);
bool maps_are_locked();

}  // namespace weft
