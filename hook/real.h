// SPDX-License-Identifier: Apache-2.0
// The next definitions of the hooked functions (libc's, or those of a preload behind us), each typed by its own declaration.
//
// Resolved in one guarded pass at the first need. dlsym may call malloc and malloc may call a hook: calls that come in meanwhile
// find the raw system calls of early.cc in the table.
#pragma once

#include "hook/declarations.h"

namespace weft {

// Programs still call some that new code is told not to.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
struct Real {
#define WEFT_HOOK(family, name, version, why) decltype(&::name) name;
#define WEFT_ALIAS(family, alias, name)
#include "hook/functions.def"
#undef WEFT_HOOK
#undef WEFT_ALIAS
};
#pragma GCC diagnostic pop

extern Real real_table;
extern bool real_resolved;
void real_resolve();

inline const Real& real() {
  if (!real_resolved) [[unlikely]]
    real_resolve();
  return real_table;
}

}  // namespace weft
