// SPDX-License-Identifier: Apache-2.0
// The variables that the descriptor leads to; each belongs to the file that its comment names, and nobody else writes it.
#pragma once

#include <atomic>
#include <cstdint>

namespace weft {

struct Coroutine;

constexpr uint32_t kChunk = 1024;  // coroutines
constexpr uint32_t kMaxChunks = 4096;
extern Coroutine* chunks[kMaxChunks];         // coroutine.cc
extern std::atomic<uint32_t> slots;           // coroutine.cc
extern char worker_memory[];                  // worker.cc
extern unsigned workers_used;                 // worker.cc
extern std::atomic<uint32_t> runtime_active;  // runtime.cc
extern std::atomic<int> monitor_tid;          // monitor.cc

}  // namespace weft
