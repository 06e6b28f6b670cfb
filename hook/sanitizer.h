// SPDX-License-Identifier: Apache-2.0
// Programs that bring a sanitizer's runtime.
#pragma once

namespace weft {

// Why the threads of this program have to stay native; null: they need not, and its leak checker, if it has one, will be told of stacks.
const char* native_for_sanitizer();

}  // namespace weft
