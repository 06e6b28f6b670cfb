// SPDX-License-Identifier: Apache-2.0
// What a thread leaves behind in libc when it ends: nothing that the next one finds, and no memory.
#include "check.h"

#include <dlfcn.h>
#include <locale.h>
#include <malloc.h>
#include <netdb.h>
#include <resolv.h>

enum { kRounds = 1500, kKeys = 200 };

static pthread_key_t keys[kKeys];

static void* leaves_an_error(void* unused) {
  CHECK(dlopen("./missing.so", RTLD_NOW) == NULL);
  errno = ENOTTY;
  h_errno = NO_RECOVERY;
  return unused;
}

static void* finds_none(void* unused) {
  const char* error = dlerror();
  say("error found: %s, errno %s, h_errno %d", error ? error : "none", name_of_errno(errno), h_errno);
  return unused;
}

static void* changes_resolver(void* unused) {
  CHECK(res_init() == 0);
  _res.options |= RES_DEBUG;
  return unused;
}

static void* finds_fresh_resolver(void* unused) {
  CHECK(res_init() == 0);
  say("resolver: debug %d", (_res.options & RES_DEBUG) != 0);
  return unused;
}

static void* uses_keys(void* value) {
  for (int i = 0; i < kKeys; i++) CHECK(pthread_getspecific(keys[i]) == NULL);
  for (int i = 0; i < kKeys; i++) CHECK(pthread_setspecific(keys[i], value) == 0);
  return NULL;
}

static void* uses_resolver(void* unused) {
  CHECK(res_init() == 0);
  return unused;
}

static void* fails_to_load(void* unused) {
  CHECK(dlopen("./missing.so", RTLD_NOW) == NULL);
  return unused;
}

static size_t grown_by(thread_start start) {
  for (int i = 0; i < 100; i++) in_thread(start, &keys);
  size_t before = mallinfo2().uordblks;
  for (int i = 0; i < kRounds; i++) in_thread(start, &keys);
  size_t after = mallinfo2().uordblks;
  return after > before ? after - before : 0;
}

int main(void) {
  for (int i = 0; i < 5; i++) {
    in_thread(leaves_an_error, NULL);
    in_thread(finds_none, NULL);
    in_thread(changes_resolver, NULL);
    in_thread(finds_fresh_resolver, NULL);
  }
  for (int i = 0; i < kKeys; i++) MUST(pthread_key_create(&keys[i], NULL) == 0);
  // A quarter of what a thread would lose if it lost all: 512 bytes for 32 keys, some dozen for a resolver or a message.
  say("keys keep memory: %d", grown_by(uses_keys) > kRounds * kKeys / 32 * 128);
  say("resolvers keep memory: %d", grown_by(uses_resolver) > kRounds * 4);
  say("messages keep memory: %d", grown_by(fails_to_load) > kRounds * 4);
  return finish();
}
