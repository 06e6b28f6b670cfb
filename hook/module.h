// SPDX-License-Identifier: Apache-2.0
// What the dynamic section of a loaded module says of its symbols.
#pragma once

#include <elf.h>
#include <link.h>

#include <cstdint>

namespace weft {

struct Module {
  ElfW(Addr) base;
  const ElfW(Sym) * symbols;
  const char* names;
  const uint32_t* hash;      // DT_HASH, perhaps null
  const uint32_t* gnu_hash;  // DT_GNU_HASH, perhaps null
  const ElfW(Half) * versions;
  const char* version_definitions;
};

inline Module module_of(ElfW(Addr) base, const ElfW(Dyn) * entry) {
  Module module = {};
  module.base = base;
  for (; entry && entry->d_tag != DT_NULL; entry++) {
    // ld.so has made addresses of what the file has as offsets, except where it may not write (the vDSO).
    ElfW(Addr) at = entry->d_un.d_ptr < base ? entry->d_un.d_ptr + base : entry->d_un.d_ptr;
    if (entry->d_tag == DT_SYMTAB) module.symbols = (const ElfW(Sym)*)at;
    if (entry->d_tag == DT_STRTAB) module.names = (const char*)at;
    if (entry->d_tag == DT_HASH) module.hash = (const uint32_t*)at;
    if (entry->d_tag == DT_GNU_HASH) module.gnu_hash = (const uint32_t*)at;
    if (entry->d_tag == DT_VERSYM) module.versions = (const ElfW(Half)*)at;
    if (entry->d_tag == DT_VERDEF) module.version_definitions = (const char*)at;
  }
  return module;
}

}  // namespace weft
