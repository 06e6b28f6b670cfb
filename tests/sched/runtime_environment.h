// SPDX-License-Identifier: Apache-2.0
// Starts the runtime once for a test program, with two workers and the real functions that the hooks would have found.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <dlfcn.h>

#include "sched/runtime.h"

namespace weft {

class Runtime : public testing::Environment {
 public:
  void SetUp() override {
    setenv("WEFT_WORKERS", "2", 1);
    find(real_calls.pthread_create, "pthread_create");
    find(real_calls.pthread_join, "pthread_join");
    find(real_calls.pthread_exit, "pthread_exit");
    find(real_calls.sigaction, "sigaction");
    real_calls.stdio_weave = [] {};
    runtime_prepare();
    ASSERT_TRUE(runtime_start());
  }

 private:
  template <class Function>
  static void find(Function& slot, const char* name) {
    slot = (Function)dlsym(RTLD_NEXT, name);
  }
};

inline const auto* const runtime_environment = testing::AddGlobalTestEnvironment(new Runtime);

}  // namespace weft
