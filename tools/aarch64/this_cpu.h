// SPDX-License-Identifier: Apache-2.0
// What the launcher knows of the CPU whose programs it starts: aarch64.
#pragma once

#include <cstdint>
#include <elf.h>

#define WEFT_MULTIARCH "aarch64-linux-gnu"  // Debian's directories for this CPU

namespace weft {

constexpr uint16_t kMachine = EM_AARCH64;  // what asm/ has a switch for
constexpr char kMachineName[] = "64-bit aarch64";
constexpr char kLoader[] = "ld-linux-aarch64.so.1";
constexpr int32_t kCacheFlags = 0x0a03;  // in /etc/ld.so.cache: an ELF library for glibc on it

// How a switch sets the thread pointer, and whether user code may.
constexpr char kSwitchFeature[] = "TPIDR_EL0";
constexpr char kSwitchText[] = "a switch sets the thread pointer by one instruction";
inline bool switches_alone() { return true; }

}  // namespace weft
