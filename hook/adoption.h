// SPDX-License-Identifier: Apache-2.0
// Whether the program's own threads become coroutines.
#pragma once

namespace weft {

// Preloaded, the library adopts them. A program that is linked with it, and not run with it preloaded, makes its coroutines itself by
// co_spawn, and its threads stay threads.
bool threads_are_adopted();

}  // namespace weft
