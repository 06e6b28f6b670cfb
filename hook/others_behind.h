// SPDX-License-Identifier: Apache-2.0
// Libraries behind libweft.so that interpose the same calls.
#pragma once

namespace weft {

// Why the threads of this program have to stay native; null: no such library is there.
const char* native_for_library_behind();

}  // namespace weft
