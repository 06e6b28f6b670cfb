// SPDX-License-Identifier: Apache-2.0
// An exception that nobody catches in a thread ends the process with the library's message and SIGABRT.
#include "check.h"

#include <sys/resource.h>

#include <stdexcept>
#include <thread>

int main() {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  say("about to throw");
  std::thread([] {
    std::this_thread::yield();
    throw std::runtime_error("nobody catches this");
  }).join();
  say("not reached");
  return 0;
}
