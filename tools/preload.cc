// SPDX-License-Identifier: Apache-2.0
// Finds the library by the launcher's own place, and puts LD_PRELOAD together.
#include "preload.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "libraries.h"
#include "message.h"
#include "this_cpu.h"

namespace weft {
namespace {

constexpr char kSeparators[] = " :";                           // of LD_PRELOAD; ld.so knows no way to quote them
constexpr const char* kNames[] = {WEFT_SONAME, "libweft.so"};  // first the one of this version, wherever both are
constexpr const char* kDirectories[] = {".", WEFT_LIBDIR_FROM_BINDIR, "../lib", "../lib/" WEFT_MULTIARCH};

bool is_address_sanitizer(const char* name) {
  return strncmp(name, "libasan.so", strlen("libasan.so")) == 0 ||
         strncmp(name, "libclang_rt.asan", strlen("libclang_rt.asan")) == 0;
}

// Does the list hold this entry, or (by_base_name) one with the base name of this one?
bool holds(const char* list, const char* entry, bool by_base_name) {
  const auto base_of = [](const char* path) {
    const char* slash = strrchr(path, '/');
    return slash == nullptr ? path : slash + 1;
  };
  while (*list != '\0') {
    const size_t length = strcspn(list, kSeparators);
    const char* word = text(std::string_view(list, length));
    if (strcmp(by_base_name ? base_of(word) : word, by_base_name ? base_of(entry) : entry) == 0) return true;
    list += length;
    if (*list != '\0') list++;
  }
  return false;
}

// The sanitizer's library that the program itself NEEDs, as LD_PRELOAD wants it; null: none. One that only a library
// brings in comes too late natively as well.
const char* needed_sanitizer(const char* program) {
  const ElfFile file(program);
  const LoadedFile loaded{program, program, nullptr, &file, nullptr};
  size_t cursor = 0;
  for (const char* name; file.format() == FileFormat::native && (name = file.next_needed(cursor)) != nullptr;) {
    if (!is_address_sanitizer(name)) continue;
    const char* path = find_library(loaded, name);
    // The bare name is searched for by ld.so in the same places.
    return text("%s", path == nullptr || strpbrk(path, kSeparators) != nullptr ? name : path);
  }
  return nullptr;
}

}  // namespace

const char* own_directory() {
  char* path = realpath("/proc/self/exe", nullptr);
  // Without /proc: the name that the kernel was given, if it has not changed its meaning meanwhile.
  if (path == nullptr) path = realpath(reinterpret_cast<const char*>(getauxval(AT_EXECFN)), nullptr);
  if (path == nullptr) fail(kOwnFailure, "cannot find out where weft itself lies (%s). Mount /proc.", strerror(errno));
  char* slash = strrchr(path, '/');
  *(slash == path ? slash + 1 : slash) = '\0';
  return path;
}

const char* find_weft_library(const char*& problem, const char*& remedy) {
  const char* own = own_directory();
  for (const char* directory : kDirectories) {
    for (const char* name : kNames) {
      // Only the directory is made plain, not a link in it: ld.so should see the name that was installed.
      char* plain = realpath(text("%s/%s", own, directory), nullptr);
      if (plain == nullptr) continue;
      const char* path = text("%s/%s", strcmp(plain, "/") == 0 ? "" : plain, name);
      if (access(path, F_OK) != 0) continue;
      const ElfFile file(path);
      remedy = "Install weft again.";
      if (file.format() == FileFormat::unreadable) {
        problem = text("the library %s cannot be read (%s)", path, strerror(file.error()));
        return nullptr;
      }
      if (file.format() != FileFormat::native || !file.is_shared()) {
        problem = text("the library %s is no shared library for this machine", path);
        return nullptr;
      }
      if (strpbrk(path, kSeparators) != nullptr) {
        problem = text("the library is at '%s', and LD_PRELOAD cannot hold a path with a space or a colon", path);
        remedy = "Move weft and its library to a directory whose path has none.";
        return nullptr;
      }
      return path;
    }
  }
  problem = text("there is no libweft.so, neither beside weft in %s nor in %s/%s", own, own, WEFT_LIBDIR_FROM_BINDIR);
  remedy = "Put it beside weft, or install weft again.";
  return nullptr;
}

const char* preload_value(const char* library, const char* program) {
  const char* list = getenv("LD_PRELOAD");
  if (list == nullptr || list[strspn(list, kSeparators)] == '\0') list = "";
  const char* sanitizer = needed_sanitizer(program);
  if (sanitizer != nullptr && !holds(list, sanitizer, true)) {
    list = *list == '\0' ? sanitizer : text("%s:%s", sanitizer, list);
  }
  if (holds(list, library, false)) return list;
  return *list == '\0' ? library : text("%s:%s", list, library);
}

}  // namespace weft
