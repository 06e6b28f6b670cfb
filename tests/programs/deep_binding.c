// SPDX-License-Identifier: Apache-2.0
// A library loaded with RTLD_DEEPBIND by a program that makes no thread, as interpreters load their extensions: it works,
// and nothing is said about it.
#include "check.h"

#include <dlfcn.h>

int main(void) {
  void* library = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  MUST(library != NULL);
  double (*root)(double) = (double (*)(double))dlsym(library, "sqrt");
  MUST(root != NULL);
  say("the root of 81 is %d", (int)root(81));
  CHECK(dlclose(library) == 0);
  return finish();
}
