// SPDX-License-Identifier: Apache-2.0
// ld.so's search: DT_RPATH of the file and of those that brought it (unless it has a DT_RUNPATH), LD_LIBRARY_PATH,
// DT_RUNPATH, the cache, the standard directories.
#include "libraries.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <new>

#include "message.h"
#include "this_cpu.h"

namespace weft {
namespace {

constexpr unsigned kMostFiles = 4096;
constexpr const char* kStandardDirectories[] = {
    "/lib/" WEFT_MULTIARCH, "/usr/lib/" WEFT_MULTIARCH, "/lib64", "/usr/lib64", "/lib", "/usr/lib",
};

// /etc/ld.so.cache as ldconfig of glibc 2.2 and later writes it.
constexpr std::string_view kCacheMagic = "glibc-ld.so.cache1.1";

struct CacheHeader {
  char magic[20];
  uint32_t count;
  uint32_t rest[6];
};

struct CacheEntry {
  int32_t flags;
  uint32_t name;  // offsets from the start of the file
  uint32_t path;
  uint32_t os_version;
  uint64_t hwcap;
};

const char* look_in_cache(const char* name) {
  static const MappedFile cache("/etc/ld.so.cache");
  CacheHeader header;
  if (!cache.begins_with(kCacheMagic) || !cache.read(0, &header, sizeof(header))) return nullptr;
  for (uint32_t i = 0; i < header.count; i++) {
    CacheEntry entry;
    if (!cache.read(sizeof(header) + uint64_t{i} * sizeof(entry), &entry, sizeof(entry))) return nullptr;
    if (entry.flags != kCacheFlags || entry.hwcap != 0) continue;
    const char* found = cache.string_at(entry.name, cache.size());
    if (found != nullptr && strcmp(found, name) == 0) return cache.string_at(entry.path, cache.size());
  }
  return nullptr;
}

// ld.so passes over files of another architecture, and so does this.
bool is_library(const char* path) { return ElfFile(path).format() == FileFormat::native; }

const char* look_in(const char* directory, const char* name) {
  const char* candidate = text("%s/%s", directory, name);
  return is_library(candidate) ? candidate : nullptr;
}

// The directory of a file, which is what $ORIGIN stands for.
const char* origin_of(const char* path) {
  const char* real = realpath(path, nullptr);
  if (real == nullptr) return ".";
  const char* slash = strrchr(real, '/');
  return slash == real ? "/" : text(std::string_view(real, static_cast<size_t>(slash - real)));
}

const char* expand_origin(std::string_view directory, const char* owner) {
  for (std::string_view token : {std::string_view("$ORIGIN"), std::string_view("${ORIGIN}")}) {
    const size_t at = directory.find(token);
    if (at == directory.npos) continue;
    const char* before = text(std::string_view(directory.data(), at));
    const char* after =
        text(std::string_view(directory.data() + at + token.size(), directory.size() - at - token.size()));
    return text("%s%s%s", before, origin_of(owner), after);
  }
  return directory.empty() ? "." : text(directory);
}

// A list of directories with colons (LD_LIBRARY_PATH: semicolons as well) between them; null: nothing to look in.
const char* look_in_list(const char* list, const char* separators, const char* owner, const char* name) {
  if (list == nullptr) return nullptr;
  for (;; list++) {
    const size_t length = strcspn(list, separators);
    const char* found = look_in(expand_origin(std::string_view(list, length), owner), name);
    if (found != nullptr) return found;
    list += length;
    if (*list == '\0') return nullptr;
  }
}

}  // namespace

const char* find_library(const LoadedFile& needed_by, const char* name) {
  if (strchr(name, '/') != nullptr) {
    const char* path = expand_origin(name, needed_by.path);
    return is_library(path) ? path : nullptr;
  }
  const char* runpath = needed_by.file->runpath();
  const char* found = nullptr;
  if (runpath == nullptr) {
    for (const LoadedFile* file = &needed_by; file != nullptr && found == nullptr; file = file->needed_by) {
      if (file->file->runpath() == nullptr) found = look_in_list(file->file->rpath(), ":", file->path, name);
    }
  }
  const char* variable = getenv("LD_LIBRARY_PATH");
  if (found == nullptr && variable != nullptr && *variable != '\0')
    found = look_in_list(variable, ":;", needed_by.path, name);
  if (found == nullptr) found = look_in_list(runpath, ":", needed_by.path, name);
  if (found == nullptr) found = look_in_cache(name);
  for (const char* directory : kStandardDirectories) {
    if (found != nullptr) break;
    found = look_in(directory, name);
  }
  return found;
}

const LoadedFile* load_files(const char* program) {
  const auto make = [](const char* name, const char* path, const LoadedFile* needed_by) {
    const ElfFile* file = path == nullptr ? nullptr : new (memory(1, sizeof(ElfFile))) ElfFile(path);
    return new (memory(1, sizeof(LoadedFile))) LoadedFile{name, path, needed_by, file, nullptr};
  };
  LoadedFile* first = make(program, program, nullptr);
  LoadedFile* last = first;
  unsigned count = 1;
  for (const LoadedFile* file = first; file != nullptr; file = file->next) {
    if (file->file == nullptr) continue;
    size_t cursor = 0;
    for (const char* name; (name = file->file->next_needed(cursor)) != nullptr;) {
      bool loaded = false;
      for (const LoadedFile* other = first; other != nullptr; other = other->next) {
        loaded = loaded || strcmp(other->name, name) == 0;
      }
      if (loaded || count == kMostFiles) continue;
      count++;
      last = last->next = make(name, find_library(*file, name), file);
    }
  }
  return first;
}

}  // namespace weft
