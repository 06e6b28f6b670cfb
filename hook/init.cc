// SPDX-License-Identifier: Apache-2.0
// The library's beginning: what the runtime needs of the next definitions, the options, the runtime's preparation. It is the one
// constructor, and comes after those of the libraries that the program is linked with: who makes threads there begins it earlier.
//
// Before the first thread nothing else happens: no kernel thread, no descriptor, no TLS block.
#include "hook/hook.h"
#include "hook/next_symbol.h"
#include "hook/others_behind.h"
#include "hook/path.h"
#include "hook/sanitizer.h"
#include "hook/stdio.h"
#include "sched/options.h"
#include "sched/runtime.h"

namespace weft {

constinit Real real_table = {};

void* real_find(RealName name) {
  // Texts in place: with pointers the table would have to be relocated in every process.
  struct Entry {
    char name[36];
    char version[12];
    uint32_t hash;
  };
  static constexpr Entry kEntries[] = {
#define WEFT_HOOK(family, name, version, why) {#name, version, gnu_hash(#name)},
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

void real_find_all() {
  static bool found = false;
  if (__atomic_load_n(&found, __ATOMIC_RELAXED)) return;
#define WEFT_HOOK(family, name, version, why) real_table.name.get();
#define WEFT_ALIAS(family, alias, name)
#include "hook/functions.def"
#undef WEFT_HOOK
#undef WEFT_ALIAS
  __atomic_store_n(&found, true, __ATOMIC_RELAXED);
}

void library_begin() {
  static bool begun = false;
  if (begun) return;
  begun = true;
  real_calls.pthread_create = (decltype(real_calls.pthread_create))real().pthread_create.get();
  real_calls.pthread_join = (decltype(real_calls.pthread_join))real().pthread_join.get();
  real_calls.pthread_exit = (decltype(real_calls.pthread_exit))real().pthread_exit.get();
  real_calls.sigaction = (decltype(real_calls.sigaction))real().sigaction.get();
  real_calls.cancel_now = cancel_now;
  real_calls.stdio_weave = stdio_weave;
  real_calls.native_because = [] {
    if (library_behind_has_files()) options.files = FileWay::region;
    if (library_behind_has_paths()) paths_stay_plain();
    const char* why = native_for_sanitizer();
    return why ? why : native_for_library_behind();
  };
  runtime_prepare();
}

namespace {

[[gnu::constructor]] void initialise() { library_begin(); }

// exit(3), after what the program registered with atexit. _exit has a hook of its own.
[[gnu::destructor]] void finish() { write_stats(); }

}  // namespace
}  // namespace weft
