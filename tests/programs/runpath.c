// SPDX-License-Identifier: Apache-2.0
// dlopen looks at who calls it: a library's own RUNPATH leads to the library that it loads, in main and in a thread.
#include "check.h"

#include <dlfcn.h>

static int (*value_of_other)(void);

static void* loads(void* unused) {
  say("the other one says %d", value_of_other());
  return unused;
}

int main(int argc, char** argv) {
  MUST(argc == 2);
  void* module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  MUST(module != NULL);
  MUST((value_of_other = (int (*)(void))dlsym(module, "value_of_other")) != NULL);
  in_thread(loads, NULL);
  loads(NULL);
  CHECK(dlopen("there-is-no-such-library.so", RTLD_NOW) == NULL && dlerror() != NULL);
  return finish();
}
