// SPDX-License-Identifier: Apache-2.0
// Streams of stdio that wait for their descriptor as read(2) and write(2) do.
#pragma once

namespace weft {

// Once, when the first coroutine is about to be made. Where the libc is not as expected, streams keep their kernel thread while they
// wait, which is said at the level debug.
void stdio_weave();

}  // namespace weft
