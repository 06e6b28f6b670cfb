// SPDX-License-Identifier: Apache-2.0
// The next definitions of the hooked functions (libc's, or those of a preload behind us), each typed by its own declaration.
//
// Each is looked up at its first call. That needs no lock and allocates nothing, so it may happen in a signal handler, in a vfork
// child, inside malloc or before the library's constructor has run.
#pragma once

#include "hook/declarations.h"

namespace weft {

enum class RealName : unsigned {
#define WEFT_HOOK(family, name, version, why) name,
#define WEFT_ALIAS(family, alias, name)
#include "hook/functions.def"
#undef WEFT_HOOK
#undef WEFT_ALIAS
};
void* real_find(RealName name);
// Before a fork: or each child would look up by itself what it calls first, through pages that it does not share any more.
void real_find_all();

// Called like the function it stands for.
template <class Pointer, RealName kName>
struct RealFunction {
  Pointer get() const {
    Pointer found = __atomic_load_n(&pointer, __ATOMIC_RELAXED);
    if (!found) [[unlikely]] {
      found = (Pointer)real_find(kName);
      __atomic_store_n(&pointer, found, __ATOMIC_RELAXED);
    }
    return found;
  }
  operator Pointer() const { return get(); }

  mutable Pointer pointer;
};

// Programs still call some that new code is told not to.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#pragma GCC diagnostic ignored "-Wignored-attributes"
struct Real {
#define WEFT_HOOK(family, name, version, why) RealFunction<decltype(&::name), RealName::name> name;
#define WEFT_ALIAS(family, alias, name)
#include "hook/functions.def"
#undef WEFT_HOOK
#undef WEFT_ALIAS
};
#pragma GCC diagnostic pop

extern Real real_table;
inline const Real& real() { return real_table; }

}  // namespace weft
