// SPDX-License-Identifier: Apache-2.0
// Prints whose definition each way of asking for a function finds: references with a version as binaries of several ages have them, and
// dlsym.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

// clang-format off
#define REFERENCES(with)                                \
  with(accept, "GLIBC_2.2.5", accept_old)               \
  with(pthread_cond_signal, "GLIBC_2.3.2", signal_old)  \
  with(pthread_cond_wait, "GLIBC_2.3.2", wait_old)      \
  with(pthread_create, "GLIBC_2.2.5", create_old)       \
  with(pthread_create, "GLIBC_2.34", create_new)        \
  with(pthread_join, "GLIBC_2.34", join_new)            \
  with(pthread_mutex_lock, "GLIBC_2.2.5", lock_old)     \
  with(read, "GLIBC_2.2.5", read_old)                   \
  with(sem_wait, "GLIBC_2.34", sem_wait_new)
// clang-format on

#define DECLARE(name, version, own) \
  extern char own[];                \
  __asm__(".symver " #own ", " #name "@" version);
REFERENCES(DECLARE)

static void say(const char* how, const char* name, void* address) {
  Dl_info info = {0};
  const char* file = address && dladdr(address, &info) ? strrchr(info.dli_fname, '/') + 1 : "none";
  printf("%s %s %s\n", how, name, file);
}

int main(void) {
#define SAY(name, version, own) say(version, #name, own);
  REFERENCES(SAY)
#define ASK(name, version, own) say("dlsym", #name, dlsym(RTLD_DEFAULT, #name));
  REFERENCES(ASK)
  say("dlsym", "weft_version", dlsym(RTLD_DEFAULT, "weft_version"));
  say("WEFT_0.1", "weft_version", dlvsym(RTLD_DEFAULT, "weft_version", "WEFT_0.1"));
  return 0;
}
