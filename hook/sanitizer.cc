// SPDX-License-Identifier: Apache-2.0
// Programs built with a sanitizer, whose runtime interposes pthread_create as weft does.
//
//   address  in front of weft it wraps each coroutine's start and keeps what it knows of a thread in a key's value, so coroutines are
//            threads to it. Its leak checker, though, looks for pointers on the stacks of kernel threads: coroutines' are told to it.
//            Behind weft it would know the carriers instead: native
//   thread   keeps a state for every kernel thread that allocates, weft's own too, which it does not see being made: native
#include <dlfcn.h>

#include "hook/real.h"
#include "hook/sanitizer.h"
#include "sched/runtime.h"

namespace weft {

namespace {

const void* module_with(const void* address) {
  Dl_info info;
  return address && dladdr(address, &info) ? info.dli_fbase : nullptr;
}

}  // namespace

const char* native_for_sanitizer() {
  if (dlsym(RTLD_DEFAULT, "__tsan_init")) return "ThreadSanitizer has to see every kernel thread being made";
  const void* address_sanitizer = dlsym(RTLD_DEFAULT, "__asan_init");
  if (!address_sanitizer) return nullptr;
  if (module_with((const void*)real().pthread_create.get()) == module_with(address_sanitizer))
    return "AddressSanitizer's library has to come before libweft.so in LD_PRELOAD; the launcher puts it there";
  auto find = [](auto& slot, const char* name) { slot = (decltype(+slot))dlsym(RTLD_DEFAULT, name); };
  find(real_calls.leak_root_begins, "__lsan_register_root_region");
  find(real_calls.leak_root_ends, "__lsan_unregister_root_region");
  return nullptr;
}

}  // namespace weft
