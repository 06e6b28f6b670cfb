// SPDX-License-Identifier: Apache-2.0
// Starts the runtime once for a test program, with two workers, or as many as WEFT_WORKERS says, and the real functions that the hooks would have found.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <dlfcn.h>

#include "sched/runtime.h"

namespace weft {

class Runtime : public testing::Environment {
 public:
  void SetUp() override {
    setenv("WEFT_WORKERS", "2", 0);
    void* libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    // Of the sanitizer, where there is one: it has to know the kernel threads.
    find(real_calls.pthread_create, "pthread_create", RTLD_DEFAULT);
    find(real_calls.pthread_join, "pthread_join", libc);
    find(real_calls.pthread_exit, "pthread_exit", libc);
    find(real_calls.sigaction, "sigaction", libc);
    real_calls.stdio_weave = [] {};
    runtime_prepare();
    ASSERT_TRUE(runtime_start());
  }

 private:
  template <class Function>
  static void find(Function& slot, const char* name, void* handle) {
    slot = (Function)dlsym(handle, name);
  }
};

inline const auto* const runtime_environment = testing::AddGlobalTestEnvironment(new Runtime);

}  // namespace weft
