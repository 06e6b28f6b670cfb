// SPDX-License-Identifier: Apache-2.0
// Libraries behind libweft.so that interpose the same calls.
#pragma once

namespace weft {

// Why the threads of this program have to stay native; null: no such library is there.
const char* native_for_library_behind();

// Does such a library have a call on files of its own (libeatmydata)? Then they are made for real.
bool library_behind_has_files();
bool library_behind_has_paths();  // or one that looks up paths of its own (fakechroot)?

}  // namespace weft
