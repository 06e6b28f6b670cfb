// SPDX-License-Identifier: Apache-2.0
// Numbers of syscall() that older CPUs have: aarch64 has none of them.
#include "hook/system_call.h"

namespace weft {

Answer older_call(long, const Arguments&) { return kNotOurs; }

}  // namespace weft
