// SPDX-License-Identifier: Apache-2.0
// Where the table lies, and its slots.
#include "sched/tls_slots.h"

#include <atomic>
#include <cstdint>
#include <dlfcn.h>

namespace weft {

namespace {

struct Table {
  const char* const* list;  // the first part of the table; null: not understood
  unsigned length;          // offsets in it, and in a slot
  unsigned slots;
  unsigned slot_size;
  unsigned generation;
  unsigned map;
} table;

// glibc's descriptors are {bits, count, byte offset}, or a size alone.
bool find_offset(unsigned& offset, const char* name) {
  auto* descriptor = (const uint32_t*)dlsym(RTLD_DEFAULT, name);
  if (descriptor) offset = descriptor[2];
  return descriptor;
}

const char* first_part() { return __atomic_load_n(table.list, __ATOMIC_RELAXED); }

TlsSlots::Slot slot_at(const char* slot) {
  return {__atomic_load_n((const size_t*)(slot + table.generation), __ATOMIC_RELAXED),
          __atomic_load_n((const void* const*)(slot + table.map), __ATOMIC_RELAXED)};
}

}  // namespace

void tls_slots_init(const void* map) {
  table = {};
  unsigned list;
  auto* globals = (const char*)dlsym(RTLD_DEFAULT, "_rtld_global");
  auto* size = (const uint32_t*)dlsym(RTLD_DEFAULT, "_thread_db_sizeof_dtv_slotinfo");
  if (!globals || !size || !map || !find_offset(list, "_thread_db_rtld_global__dl_tls_dtv_slotinfo_list") ||
      !find_offset(table.length, "_thread_db_dtv_slotinfo_list_len") ||
      !find_offset(table.slots, "_thread_db_dtv_slotinfo_list_slotinfo") ||
      !find_offset(table.generation, "_thread_db_dtv_slotinfo_gen") ||
      !find_offset(table.map, "_thread_db_dtv_slotinfo_map"))
    return;
  table.slot_size = *size;
  table.list = (const char* const*)(globals + list);
  TlsSlots now;
  bool found = false;
  if (first_part() && tls_slots_read(&now))
    for (unsigned i = 0; i < now.count; i++) found |= now.slots[i].map == map;
  if (!found) table.list = nullptr;
}

bool tls_slots_read(TlsSlots* now) {
  if (!table.list) return false;
  const char* part = first_part();
  size_t length = *(const size_t*)(part + table.length);
  now->count = 0;
  const char* slot = part + table.slots;
  for (unsigned i = 0; i < kMostTlsSlots && i < length; i++, slot += table.slot_size) {
    now->slots[i] = slot_at(slot);
    if (now->slots[i].map || now->slots[i].generation) now->count = i + 1;
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  return now->count < kMostTlsSlots && now->count < length;
}

bool tls_slots_are(const TlsSlots& then) {
  const char* slot = first_part() + table.slots;
  bool same = true;
  for (unsigned i = 0; i <= then.count; i++, slot += table.slot_size) {
    TlsSlots::Slot now = slot_at(slot);
    same &= now.generation == then.slots[i].generation && now.map == then.slots[i].map;
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  return same;
}

}  // namespace weft
