// SPDX-License-Identifier: Apache-2.0
// The library is preloaded or linked, never loaded later: dlopen says so in one line, and so it does for a module that is linked with it.
//
// usage: dlopen_refused LIBRARY…
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int count, char** libraries) {
  int failures = count < 2;
  for (int i = 1; i < count; i++) {
    void* loaded = dlopen(libraries[i], RTLD_NOW);
    const char* error = dlerror();
    if (loaded || !error || !strstr(error, "libweft.so") || !strstr(error, "cannot be dlopen()ed") ||
        strchr(error, '\n')) {
      fprintf(stderr, "%s: %s\n", libraries[i], loaded ? "was loaded" : error);
      failures++;
    }
  }
  if (!failures) printf("done\n");
  return failures ? 1 : 0;
}
