// SPDX-License-Identifier: Apache-2.0
// The next definition of a symbol: what dlsym(RTLD_NEXT) finds, at a quarter of its price and without its side effects.
//
// dlsym locks, may allocate and forgets the program's dlerror(), so it could not be called whenever a hook is called first. And to look up
// every hooked function at the start is a tenth of the life of the short processes that a shell script is made of.
#pragma once

#include <cstdint>

namespace weft {

// The hash of DT_GNU_HASH.
constexpr uint32_t gnu_hash(const char* name) {
  uint32_t hash = 5381;
  for (; *name; name++) hash = hash * 33 + (unsigned char)*name;
  return hash;
}

// Of the modules behind this one in the order of the search, as they are now. `version` may be empty: the default version. Null where
// there is none. Async-signal-safe, and thread-safe once one call has returned.
void* next_symbol(const char* name, uint32_t hash, const char* version);

}  // namespace weft
