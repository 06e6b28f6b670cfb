// SPDX-License-Identifier: Apache-2.0
// The clock, read through the vDSO: found by walking its symbol table once, so that neither the PLT nor a shim that
// moves the program's clock stands between the runtime and the time the kernel's own waits count in. Without a vDSO:
// the system call.
#include "sched/clock.h"

#include <cstring>
#include <elf.h>
#include <sys/auxv.h>

#include "sched/sys.h"
#include "sched/wait.h"

namespace weft {

constinit std::atomic<uint64_t> coarse_now{0};

namespace {

using ClockGettime = int (*)(clockid_t, timespec*);

constexpr uint64_t kSecond = 1000000000u;

int by_system_call(clockid_t clock, timespec* time) {
  return (int)sys::call(SYS_clock_gettime, clock, sys::word(time));
}

constinit ClockGettime clock_gettime_next = by_system_call;

// Number of symbols in a table that only DT_GNU_HASH describes: one past the last entry of the last chain.
uint32_t symbols_by_gnu_hash(const uint32_t* table) {
  uint32_t buckets = table[0], first = table[1], bloom_words = table[2];
  const uint32_t* bucket = table + 4 + (uint64_t)bloom_words * 2;
  const uint32_t* chain = bucket + buckets;
  uint32_t last = 0;
  for (uint32_t i = 0; i < buckets; i++)
    if (bucket[i] > last) last = bucket[i];
  if (last < first) return first;
  while (!(chain[last - first] & 1)) last++;
  return last + 1;
}

ClockGettime find_in_vdso(const char* image) {
  if (!image) return nullptr;
  const Elf64_Ehdr* header = (const Elf64_Ehdr*)image;
  const Elf64_Phdr* segments = (const Elf64_Phdr*)(image + header->e_phoff);
  const Elf64_Dyn* dynamic = nullptr;
  uintptr_t base = 0;
  bool loaded = false;
  for (int i = 0; i < header->e_phnum; i++) {
    if (segments[i].p_type == PT_LOAD && !loaded) {
      base = (uintptr_t)image + segments[i].p_offset - segments[i].p_vaddr;
      loaded = true;
    } else if (segments[i].p_type == PT_DYNAMIC) {
      dynamic = (const Elf64_Dyn*)(image + segments[i].p_offset);
    }
  }
  if (!loaded || !dynamic) return nullptr;
  const Elf64_Sym* symbols = nullptr;
  const char* names = nullptr;
  const uint32_t *hash = nullptr, *gnu_hash = nullptr;
  for (; dynamic->d_tag != DT_NULL; dynamic++) {
    const void* at = (const void*)(base + dynamic->d_un.d_ptr);
    if (dynamic->d_tag == DT_SYMTAB) symbols = (const Elf64_Sym*)at;
    if (dynamic->d_tag == DT_STRTAB) names = (const char*)at;
    if (dynamic->d_tag == DT_HASH) hash = (const uint32_t*)at;
    if (dynamic->d_tag == DT_GNU_HASH) gnu_hash = (const uint32_t*)at;
  }
  if (!symbols || !names || (!hash && !gnu_hash)) return nullptr;
  uint32_t count = hash ? hash[1] : symbols_by_gnu_hash(gnu_hash);
  for (uint32_t i = 0; i < count; i++)
    if (symbols[i].st_shndx != SHN_UNDEF && strcmp(names + symbols[i].st_name, cpu::kVdsoClockGettime) == 0)
      return (ClockGettime)(base + symbols[i].st_value);
  return nullptr;
}

}  // namespace

void clock_init() {
  ClockGettime found = find_in_vdso((const char*)getauxval(AT_SYSINFO_EHDR));
  timespec time;
  if (found && found(CLOCK_MONOTONIC, &time) == 0) clock_gettime_next = found;
  coarse_now.store(now_ns(), std::memory_order_relaxed);
}

uint64_t clock_ns(clockid_t clock) {
  timespec time = {};
  clock_gettime_next(clock, &time);
  return (uint64_t)time.tv_sec * kSecond + (uint64_t)time.tv_nsec;
}

uint64_t now_ns() { return clock_ns(CLOCK_MONOTONIC); }

uint64_t deadline_in(uint64_t nanoseconds) {
  uint64_t deadline;
  if (__builtin_add_overflow(now_ns(), nanoseconds, &deadline)) return kNever;
  return deadline;
}

uint64_t deadline_at(clockid_t clock, const timespec* time) {
  if (time->tv_sec < 0) return 0;
  uint64_t target;
  if (__builtin_mul_overflow((uint64_t)time->tv_sec, kSecond, &target) ||
      __builtin_add_overflow(target, (uint64_t)time->tv_nsec, &target))
    return kNever;
  if (clock == CLOCK_MONOTONIC) return target <= now_ns() ? 0 : target;
  uint64_t now = clock_ns(clock);
  return target <= now ? 0 : deadline_in(target - now);
}

}  // namespace weft
