// SPDX-License-Identifier: Apache-2.0
// Tests of hook/next_symbol.h against dlsym: for everything behind the program itself the two must agree.
#include "hook/next_symbol.h"

#include <cstring>
#include <dlfcn.h>
#include <gtest/gtest.h>

namespace {

struct Name {
  const char* name;
  const char* version;
};
constexpr Name kHooked[] = {
#define WEFT_HOOK(family, name, version, why) {#name, version},
#define WEFT_ALIAS(family, alias, name)
#include "hook/functions.def"
#undef WEFT_HOOK
#undef WEFT_ALIAS
};

void* found(const char* name, const char* version = "") {
  return weft::next_symbol(name, weft::gnu_hash(name), version);
}

TEST(NextSymbolTest, FindsWhatDlsymFinds) {
  unsigned defined = 0;
  for (const Name& hooked : kHooked) {
    void* expected = hooked.version[0] ? dlvsym(RTLD_NEXT, hooked.name, hooked.version) : nullptr;
    if (!expected && !hooked.version[0]) expected = dlsym(RTLD_NEXT, hooked.name);
    EXPECT_EQ(found(hooked.name, hooked.version), expected) << hooked.name << " " << hooked.version;
    defined += expected != nullptr;
  }
  EXPECT_GT(defined, 200u);
}

TEST(NextSymbolTest, TakesTheDefaultVersionAndTheOneAskedFor) {
  void *newest = dlsym(RTLD_NEXT, "pthread_cond_wait"), *old = dlvsym(RTLD_NEXT, "pthread_cond_wait", "GLIBC_2.2.5");
  ASSERT_NE(newest, old);
  EXPECT_EQ(found("pthread_cond_wait"), newest);
  EXPECT_EQ(found("pthread_cond_wait", "GLIBC_2.2.5"), old);
}

TEST(NextSymbolTest, CallsAnIndirectFunction) {
  auto length = (size_t(*)(const char*))found("strlen");
  ASSERT_NE(length, nullptr);
  EXPECT_EQ(length("weft"), 4u);
}

TEST(NextSymbolTest, FindsOtherModulesThanLibc) {
  void* allocate = found("_Znwm");
  EXPECT_NE(allocate, nullptr);
  EXPECT_EQ(allocate, dlsym(RTLD_NEXT, "_Znwm"));
}

TEST(NextSymbolTest, DoesNotFindWhatIsNotThere) {
  EXPECT_EQ(found("there_is_no_such_function"), nullptr);
  EXPECT_EQ(found("strlen", "GLIBC_0.0"), nullptr);
}

TEST(NextSymbolTest, LeavesTheProgramsErrorAlone) {
  EXPECT_EQ(dlopen("/nowhere/libnothing.so", RTLD_NOW), nullptr);
  found("there_is_no_such_function");
  const char* error = dlerror();
  ASSERT_NE(error, nullptr);
  EXPECT_NE(strstr(error, "/nowhere/libnothing.so"), nullptr);
}

}  // namespace
