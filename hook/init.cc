// SPDX-License-Identifier: Apache-2.0
// The library's beginning: resolves the next definitions, reads the options, prepares the runtime. It is the one constructor.
//
// Before the first thread nothing else happens: no kernel thread, no descriptor, no TLS block.
#include "hook/hook.h"
#include "hook/early.h"
#include "sched/runtime.h"

namespace weft {

constinit Real real_table = early_table();
constinit bool real_resolved = false;

namespace {

struct Entry {
  void** slot;
  const char* name;
  const char* version;
};

bool resolving;

}  // namespace

void real_resolve() {
  if (resolving) return;  // a call from inside dlsym: the early table serves it
  resolving = true;
  Real found = {};
  const Entry entries[] = {
#define WEFT_HOOK(family, name, version, why) {(void**)&found.name, #name, version},
#define WEFT_ALIAS(family, alias, name)
#include "hook/functions.def"
#undef WEFT_HOOK
#undef WEFT_ALIAS
  };
  for (const Entry& entry : entries) {
    void* address = entry.version[0] ? dlvsym(RTLD_NEXT, entry.name, entry.version) : nullptr;
    if (!address) address = dlsym(RTLD_NEXT, entry.name);
    *entry.slot = address;
  }
  real_table = found;
  real_calls.pthread_create = (decltype(real_calls.pthread_create))found.pthread_create;
  real_calls.pthread_exit = (decltype(real_calls.pthread_exit))found.pthread_exit;
  real_calls.sigaction = (decltype(real_calls.sigaction))found.sigaction;
  real_calls.cancel_now = cancel_now;
  real_resolved = true;
  resolving = false;
}

namespace {

[[gnu::constructor]] void initialise() {
  real_resolve();
  runtime_prepare();
}

// exit(3), after what the program registered with atexit. _exit has a hook of its own.
[[gnu::destructor]] void finish() { write_stats(); }

}  // namespace
}  // namespace weft
