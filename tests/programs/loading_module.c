// SPDX-License-Identifier: Apache-2.0
// A library that loads another, which only its own RUNPATH leads to.
#include <dlfcn.h>
#include <stddef.h>

int value_of_other(void) {
  void* other = dlopen("libprograms_found_by_runpath.so", RTLD_NOW);
  int (*value)(void) = other == NULL ? NULL : (int (*)(void))dlsym(other, "value");
  return value == NULL ? -1 : value();
}
