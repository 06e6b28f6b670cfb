// SPDX-License-Identifier: Apache-2.0
// ld.so's table of the modules that have TLS, read without its lock: has one come or gone since?
//
// A slot for each module's number: its link_map, and the generation in which that came or went. Slots are written before code of a module
// that has come can run, and before the memory of one that has gone is given back. The table's memory stays. Where it lies and how it
// is laid out, glibc keeps for libthread_db.
#pragma once

#include <cstddef>

namespace weft {

constexpr unsigned kMostTlsSlots = 32;

struct TlsSlots {
  struct Slot {
    size_t generation;
    const void* map;
  };
  unsigned count;
  Slot slots[kMostTlsSlots];  // behind the last of `count` is one that nobody has had yet
};

// Once, while the runtime starts. `map`: the link_map of a module that has TLS; where it is not found the table is not what it is
// taken for, and all calls below give false.
void tls_slots_init(const void* map);

// Any thread. False: not understood, or there are too many.
bool tls_slots_read(TlsSlots* now);
// Are they what they were then? Any thread.
bool tls_slots_are(const TlsSlots& then);

}  // namespace weft
