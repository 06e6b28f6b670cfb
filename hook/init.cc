// SPDX-License-Identifier: Apache-2.0
// The library's beginning: what the runtime needs of the next definitions, the options, the runtime's preparation. It is the one
// constructor.
//
// Before the first thread nothing else happens: no kernel thread, no descriptor, no TLS block.
#include "hook/hook.h"
#include "hook/next_symbol.h"
#include "sched/runtime.h"

namespace weft {

constinit Real real_table = {};

void* real_find(RealName name) {
  struct Entry {
    const char* name;
    uint32_t hash;
    const char* version;
  };
  static constexpr Entry kEntries[] = {
#define WEFT_HOOK(family, name, version, why) {#name, gnu_hash(#name), version},
#define WEFT_ALIAS(family, alias, name)
#include "hook/functions.def"
#undef WEFT_HOOK
#undef WEFT_ALIAS
  };
  const Entry& entry = kEntries[(unsigned)name];
  void* address = next_symbol(entry.name, entry.hash, entry.version);
  // Not in the list of modules behind us as we understand it: ld.so may know better.
  if (!address && entry.version[0]) address = dlvsym(RTLD_NEXT, entry.name, entry.version);
  return address ? address : dlsym(RTLD_NEXT, entry.name);
}

namespace {

[[gnu::constructor]] void initialise() {
  real_calls.pthread_create = (decltype(real_calls.pthread_create))real().pthread_create.get();
  real_calls.pthread_join = (decltype(real_calls.pthread_join))real().pthread_join.get();
  real_calls.pthread_exit = (decltype(real_calls.pthread_exit))real().pthread_exit.get();
  real_calls.sigaction = (decltype(real_calls.sigaction))real().sigaction.get();
  real_calls.cancel_now = cancel_now;
  runtime_prepare();
}

// exit(3), after what the program registered with atexit. _exit has a hook of its own.
[[gnu::destructor]] void finish() { write_stats(); }

}  // namespace
}  // namespace weft
