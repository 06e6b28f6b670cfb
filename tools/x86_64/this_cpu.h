// SPDX-License-Identifier: Apache-2.0
// What the launcher knows of the CPU whose programs it starts: x86-64.
#pragma once

#include <cstdint>
#include <elf.h>
#include <sys/auxv.h>

#define WEFT_MULTIARCH "x86_64-linux-gnu"  // Debian's directories for this CPU

namespace weft {

constexpr uint16_t kMachine = EM_X86_64;  // what asm/ has a switch for
constexpr char kMachineName[] = "64-bit x86-64";
constexpr char kLoader[] = "ld-linux-x86-64.so.2";
constexpr int32_t kCacheFlags = 0x0303;  // in /etc/ld.so.cache: an ELF library for glibc on it

// How a switch sets the thread pointer, and whether user code may.
constexpr char kSwitchFeature[] = "FSGSBASE";
constexpr char kSwitchText[] = "a switch sets the fs base by one instruction";
inline bool switches_alone() { return getauxval(AT_HWCAP2) & 2 /* HWCAP2_FSGSBASE */; }

}  // namespace weft
