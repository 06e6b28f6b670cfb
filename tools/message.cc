// SPDX-License-Identifier: Apache-2.0
// Messages and the text they are made of. Control characters in names of files are shown as '?', so that a line stays a
// line.
#include "message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace weft {
namespace {

void write_all(const char* bytes, size_t size) {
  while (size > 0) {
    ssize_t written = write(STDERR_FILENO, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    bytes += written;
    size -= static_cast<size_t>(written);
  }
}

[[noreturn]] void out_of_memory() {
  static constexpr char kWords[] =
      "weft: no memory left for the launcher itself. Raise ulimit -v or free some memory.\n";
  write_all(kWords, sizeof(kWords) - 1);
  _exit(kOwnFailure);
}

char* format_text(const char* format, va_list arguments) {
  char* result = nullptr;
  if (vasprintf(&result, format, arguments) < 0) out_of_memory();
  return result;
}

void say_line(const char* format, va_list arguments) {
  char* words = format_text(format, arguments);
  for (char* c = words; *c != '\0'; c++) {
    if (static_cast<unsigned char>(*c) < ' ' || *c == 0x7f) *c = '?';
  }
  char* line = text("weft: %s\n", words);
  write_all(line, strlen(line));
  free(line);
  free(words);
}

}  // namespace

char* text(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char* result = format_text(format, arguments);
  va_end(arguments);
  return result;
}

char* text(std::string_view bytes) {
  char* result = static_cast<char*>(memory(bytes.size() + 1, 1));
  memcpy(result, bytes.data(), bytes.size());
  return result;
}

void* memory(unsigned long count, unsigned long size) {
  void* result = calloc(count, size);
  if (result == nullptr) out_of_memory();
  return result;
}

void say(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say_line(format, arguments);
  va_end(arguments);
}

void fail(int status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say_line(format, arguments);
  va_end(arguments);
  exit(status);
}

void finish(int status) {
  if (fflush(stdout) != 0 || ferror(stdout) != 0) {
    fail(kOwnFailure, "cannot write to standard output: %s.", strerror(errno));
  }
  exit(status);
}

}  // namespace weft
