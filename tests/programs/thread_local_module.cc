// SPDX-License-Identifier: Apache-2.0
// A library with thread-local objects that have destructors, for programs that load it late and close it early. The destructor of one
// makes another, and uses memory that the library keeps for each thread. No templates: a symbol that libstdc++ may bind to would
// keep the library loaded for ever.
#include <atomic>
#include <cstdlib>
#include <cstring>

namespace {

std::atomic<long>* made;
std::atomic<long>* ended;
std::atomic<long>* unloaded;
thread_local char scratch[3000];

struct Object {
  char* text;
  explicit Object(const char* what) : text(strdup(what)) { made->fetch_add(1); }
  ~Object();
};

Object& late() {
  thread_local Object object("late");
  return object;
}

Object::~Object() {
  if (text[0] == 'e') late().text[0] = 'L';
  memset(scratch, text[0], sizeof scratch);
  if (scratch[sizeof scratch - 1] == text[0]) ended->fetch_add(1);
  free(text);
}

__attribute__((destructor)) void at_unload() { unloaded->fetch_add(1); }

}  // namespace

extern "C" void module_begin(std::atomic<long>* counters) {
  made = &counters[0];
  ended = &counters[1];
  unloaded = &counters[2];
}

// How often this thread has called it; another when its memory is not what it left.
extern "C" int module_use() {
  thread_local Object object("early");
  thread_local int uses = 0;
  for (char byte : scratch)
    if (byte != uses) return -1;
  memset(scratch, ++uses, sizeof scratch);
  return object.text[0] == 'e' ? uses : -2;
}
