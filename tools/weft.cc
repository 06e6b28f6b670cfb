// SPDX-License-Identifier: Apache-2.0
// weft's entry: the first word says which command is meant; any other word is a program to run. Only libc is linked,
// because this process becomes the program and its start is paid for by every run.
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "message.h"
#include "preload.h"
#include "run.h"

namespace weft {
namespace {

// These are in an executable of their own, which has the libraries to read and unwind other processes.
constexpr const char* kInspector[] = {"ps", "bt", "top", "lint", "flame", "snap", "diff", "stat", "trace"};

bool is_inspection(const char* word) {
  for (const char* command : kInspector) {
    if (strcmp(word, command) == 0) return true;
  }
  return false;
}

[[noreturn]] void inspect(char** arguments) {
  const char* command = arguments[1];
  const char* directory = own_directory();
  arguments[0] = text("%s/weft-inspect", directory);
  execv(arguments[0], arguments);
  if (errno != ENOENT) fail(kOwnFailure, "cannot execute %s: %s. Install it again.", arguments[0], strerror(errno));
  fail(kOwnFailure,
       "weft %s needs weft-inspect, which is not in %s. Install it there. To run a program of that name: weft run %s.",
       command, directory, command);
}

}  // namespace

bool is_subcommand(const char* word) {
  return strcmp(word, "run") == 0 || strcmp(word, "check") == 0 || is_inspection(word);
}

}  // namespace weft

int main(int count, char** arguments) {
  const char* word = count > 1 ? arguments[1] : "";
  if (strcmp(word, "check") == 0) weft::check(count - 1, arguments + 1);
  if (weft::is_inspection(word)) weft::inspect(arguments);
  if (strcmp(word, "run") == 0) weft::run(count - 1, arguments + 1);
  weft::run(count, arguments);
}
