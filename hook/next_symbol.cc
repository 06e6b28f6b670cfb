// SPDX-License-Identifier: Apache-2.0
// Symbol lookup by the modules' GNU hash tables, over ld.so's own list of what is loaded.
#include "hook/next_symbol.h"

#include <cstring>

#include "hook/module.h"

namespace weft {

namespace {

constexpr uint16_t kHidden = 0x8000;   // a version that only who asks for it gets
constexpr uint16_t kFirstVersion = 2;  // 0 is local, 1 the module itself
constexpr unsigned kMaxModules = 24;   // libc is hardly ever further behind; if it is, dlsym finds it

Module modules[kMaxModules];  // those behind us
unsigned module_count;
bool looked;

void look_at_modules() {
  looked = true;
  bool behind = false;
  for (const link_map* map = _r_debug.r_map; map && module_count < kMaxModules; map = map->l_next) {
    if (map->l_ld == _DYNAMIC) {
      behind = true;
    } else if (behind) {
      Module module = module_of(map->l_addr, map->l_ld);
      if (module.symbols && module.names && module.gnu_hash) modules[module_count++] = module;
    }
  }
}

// Number of a version that the module defines, 0 if it does not.
uint16_t version_number(const Module& module, const char* version) {
  const char* at = module.version_definitions;
  while (at) {
    auto* definition = (const ElfW(Verdef)*)at;
    auto* name = (const ElfW(Verdaux)*)(at + definition->vd_aux);
    if (!strcmp(module.names + name->vda_name, version)) return definition->vd_ndx;
    at = definition->vd_next ? at + definition->vd_next : nullptr;
  }
  return 0;
}

bool has_version(const Module& module, uint32_t index, uint16_t wanted) {
  if (!module.versions) return true;
  uint16_t version = module.versions[index];
  if (wanted) return (version & ~kHidden) == wanted;
  return !(version & kHidden) || version < kFirstVersion;
}

const ElfW(Sym) * symbol_in(const Module& module, const char* name, uint32_t hash, uint16_t version) {
  // Header: buckets, index of the first symbol that is hashed, words of the Bloom filter and its shift.
  const uint32_t* table = module.gnu_hash;
  uint32_t bucket_count = table[0], first = table[1], filter_words = table[2], shift = table[3];
  auto* filter = (const uint64_t*)(table + 4);
  auto* buckets = (const uint32_t*)(filter + filter_words);
  const uint32_t* chain = buckets + bucket_count;
  if (!bucket_count || !filter_words) return nullptr;
  uint64_t word = filter[hash / 64 % filter_words];
  if (!(word >> (hash % 64) & word >> ((hash >> shift) % 64) & 1)) return nullptr;
  uint32_t index = buckets[hash % bucket_count];
  if (index < first) return nullptr;
  for (;; index++) {
    uint32_t link = chain[index - first];
    if ((link | 1) == (hash | 1)) {
      const ElfW(Sym)& symbol = module.symbols[index];
      if (symbol.st_shndx != SHN_UNDEF && !strcmp(module.names + symbol.st_name, name) &&
          has_version(module, index, version))
        return &symbol;
    }
    if (link & 1) return nullptr;
  }
}

}  // namespace

void* next_symbol(const char* name, uint32_t hash, const char* version) {
  if (!looked) look_at_modules();
  for (unsigned i = 0; i < module_count; i++) {
    const Module& module = modules[i];
    uint16_t wanted = 0;
    if (version[0] && !(wanted = version_number(module, version))) continue;
    const ElfW(Sym)* symbol = symbol_in(module, name, hash, wanted);
    if (!symbol) continue;
    auto* address = (void*)(module.base + symbol->st_value);
    return ELF64_ST_TYPE(symbol->st_info) == STT_GNU_IFUNC ? ((void* (*)())address)() : address;
  }
  return nullptr;
}

}  // namespace weft
