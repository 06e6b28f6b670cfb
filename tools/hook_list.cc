// SPDX-License-Identifier: Apache-2.0
// Matches the names that files import with the list of hooks.
#include "hook_list.h"

#include <string.h>

namespace weft {
namespace {

constinit HookedCall g_calls[] = {
#define WEFT_HOOK(family, name, version, why) {#family, #name, nullptr},
#define WEFT_ALIAS(family, alias, name) {#family, #alias, nullptr},
#include "hook/functions.def"
#undef WEFT_HOOK
#undef WEFT_ALIAS
};

}  // namespace

std::span<HookedCall> hooked_calls() { return g_calls; }

void find_imports(const LoadedFile* files) {
  for (const LoadedFile* file = files; file != nullptr; file = file->next) {
    if (file->file == nullptr) continue;
    ElfFile::ImportCursor cursor;
    for (const char* name; (name = file->file->next_import(cursor)) != nullptr;) {
      for (HookedCall& call : g_calls) {
        if (call.imported_by == nullptr && strcmp(call.name, name) == 0) call.imported_by = file;
      }
    }
  }
}

const LoadedFile* find_importer(const LoadedFile* files, const char* function) {
  for (const LoadedFile* file = files; file != nullptr; file = file->next) {
    if (file->file == nullptr) continue;
    ElfFile::ImportCursor cursor;
    for (const char* name; (name = file->file->next_import(cursor)) != nullptr;) {
      if (strcmp(name, function) == 0) return file;
    }
  }
  return nullptr;
}

}  // namespace weft
