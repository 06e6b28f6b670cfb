// SPDX-License-Identifier: Apache-2.0
// How the library came to be in the process: somebody's DT_NEEDED names it, or LD_PRELOAD or /etc/ld.so.preload does, or both.
#include "hook/adoption.h"

#include <fcntl.h>

#include <cstdlib>
#include <cstring>

#include "hook/module.h"
#include "sched/sys.h"

namespace weft {

namespace {

constexpr char kName[] = "libweft.so";

// The names that entries of this tag give; false ends it.
template <class Call>
void each_name(const link_map* map, ElfW(Sxword) tag, Call call) {
  const char* names = module_of(map->l_addr, map->l_ld).names;
  for (const ElfW(Dyn)* entry = map->l_ld; names && entry && entry->d_tag != DT_NULL; entry++)
    if (entry->d_tag == tag && !call(names + entry->d_un.d_val)) return;
}

bool is_needed() {
  const char* own_name = nullptr;
  for (const link_map* map = _r_debug.r_map; map; map = map->l_next)
    if (map->l_ld == _DYNAMIC) each_name(map, DT_SONAME, [&](const char* name) { return !(own_name = name); });
  bool found = false;
  for (const link_map* map = _r_debug.r_map; own_name && map && !found; map = map->l_next)
    each_name(map, DT_NEEDED, [&](const char* name) { return !(found = !strcmp(name, own_name)); });
  return found;
}

// A list as ld.so reads it: its words are paths or names, of which ours is known by its last part.
bool names_us(const char* list) {
  for (const char* at = list; *at;) {
    size_t length = strcspn(at, ": \t\n");
    const char* word = at;
    for (size_t i = 0; i < length; i++)
      if (at[i] == '/') word = at + i + 1;
    if ((size_t)(at + length - word) >= sizeof kName - 1 && !strncmp(word, kName, sizeof kName - 1)) return true;
    at += length + (at[length] != 0);
  }
  return false;
}

bool is_preloaded() {
  const char* list = getenv("LD_PRELOAD");
  if (list && names_us(list)) return true;
  long fd = sys::call(SYS_openat, AT_FDCWD, sys::word("/etc/ld.so.preload"), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char text[4096];
  long length = sys::call(SYS_read, fd, sys::word(text), sizeof text - 1);
  sys::call(SYS_close, fd);
  text[length > 0 ? length : 0] = 0;
  return names_us(text);
}

}  // namespace

bool threads_are_adopted() {
  static const bool adopted = !is_needed() || is_preloaded();
  return adopted;
}

}  // namespace weft
