// SPDX-License-Identifier: Apache-2.0
// dlclose of a library with thread-local objects: of threads that have ended, that wait with their objects, and that end at the same
// moment. It stays until the last destructor has run, goes with the next look after that, and comes back as new.
#include "check.h"

#include <atomic>
#include <dlfcn.h>
#include <semaphore.h>

namespace {

constexpr int kThreads = 20, kRounds = 50;

const char* path;
std::atomic<long> counters[3];  // made, ended, unloaded
std::atomic<long>&made = counters[0], &ended = counters[1], &unloaded = counters[2];
sem_t go, used;

struct Library {
  void* handle = nullptr;
  int (*use)() = nullptr;
};

Library open_library() {
  Library library;
  library.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  MUST(library.handle != nullptr);
  library.use = reinterpret_cast<int (*)()>(dlsym(library.handle, "module_use"));
  auto begin = reinterpret_cast<void (*)(std::atomic<long>*)>(dlsym(library.handle, "module_begin"));
  MUST(library.use && begin);
  begin(counters);
  return library;
}

bool is_loaded() {
  void* handle = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
  if (handle) dlclose(handle);
  return handle != nullptr;
}

void report(const char* when) {
  bool loaded = is_loaded();  // the end of this look, too, unloads what nobody needs
  say("%s: made %ld, ended %ld, unloaded %ld, loaded %d", when, made.load(), ended.load(), unloaded.load(), loaded);
}

void* uses(void* library) {
  for (int i = 1; i <= 3; i++) {
    CHECK(static_cast<Library*>(library)->use() == i);
    sched_yield();
  }
  return nullptr;
}

void* uses_and_waits(void* library) {
  uses(library);
  sem_post(&used);
  sem_wait(&go);
  return nullptr;
}

void* uses_and_closes(void* unused) {
  Library library = open_library();
  uses(&library);
  say("closed by a thread with objects: %d", dlclose(library.handle));
  report("in it");
  return unused;
}

void* loads_uses_closes(void* unused) {
  for (int i = 0; i < kRounds; i++) {
    Library library = open_library();
    CHECK(library.use() == i + 1);
    CHECK(dlclose(library.handle) == 0);
    if (i % 8 == 0) sched_yield();
  }
  return unused;
}

void* closes(void* library) {
  sem_wait(&go);
  CHECK(dlclose(static_cast<Library*>(library)->handle) == 0);
  return nullptr;
}

void all() {
  pthread_t threads[kThreads];
  Library library = open_library();
  for (pthread_t& thread : threads) thread = start_thread(uses, &library);
  for (pthread_t& thread : threads) join_thread(thread);
  report("ended before");
  say("closed: %d", dlclose(library.handle));
  report("after that");

  library = open_library();
  for (pthread_t& thread : threads) thread = start_thread(uses_and_waits, &library);
  for (int i = 0; i < kThreads; i++) sem_wait(&used);
  say("closed while they wait: %d", dlclose(library.handle));
  report("while they wait");
  for (int i = 0; i < kThreads; i++) sem_post(&go);
  for (pthread_t& thread : threads) join_thread(thread);
  report("ended after");
  library = open_library();
  dlclose(library.handle);
  report("opened and closed once more");

  in_thread(uses_and_closes, nullptr);
  report("the thread has ended");
  library = open_library();
  dlclose(library.handle);

  // The end of a thread that has objects, and the close, at the same time; a new library each time, or the same.
  for (int round = 0; round < kRounds; round++) {
    library = open_library();
    for (int i = 1; i < kThreads; i++) threads[i] = start_thread(uses_and_waits, &library);
    for (int i = 1; i < kThreads; i++) sem_wait(&used);
    threads[0] = start_thread(closes, &library);
    for (int i = 0; i < kThreads; i++) sem_post(&go);
    for (pthread_t& thread : threads) join_thread(thread);
    CHECK(made == ended);
  }
  library = open_library();
  dlclose(library.handle);
  say("at the same time: made %ld, ended %ld, loaded %d", made.load(), ended.load(), is_loaded());

  for (int i = 0; i < 4; i++) threads[i] = start_thread(loads_uses_closes, nullptr);
  for (int i = 0; i < 4; i++) join_thread(threads[i]);
  library = open_library();
  dlclose(library.handle);
  say("by four: made %ld, ended %ld, loaded %d", made.load(), ended.load(), is_loaded());
}

}  // namespace

int main(int argc, char** argv) {
  MUST(argc > 1);
  path = argv[1];
  sem_init(&go, 0, 0);
  sem_init(&used, 0, 0);
  all();
  return finish();
}
