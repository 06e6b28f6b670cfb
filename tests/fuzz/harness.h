// SPDX-License-Identifier: Apache-2.0
// What the fuzzers share. An input never reaches a file of this machine: what the inspector opens as a module's file has the bytes that the
// fuzzer gives it, so that an input does the same everywhere.
//
// Each fuzzer is LLVMFuzzerTestOneInput in a file of its own, linked with libFuzzer or with replay.cc. What must not happen is libFuzzer's
// to see: a crash, a report of a sanitizer, an exception that nobody catches, more memory or time than it was given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "tools/inspect/target.h"

namespace weft::fuzz {

using Bytes = std::span<const uint8_t>;

// An open file of these bytes, which has no name.
int memory_file(Bytes bytes);

// From now on every absolute path but those of /proc/self/fd names a file of these bytes.
void set_module_file(Bytes bytes);

// The ELF file of small_target.cc.
Bytes small_target();

// Runs what is to be tested; a Failure is an answer like any other.
void attempt(const std::function<void()>& act);

// Asks a target for all that it has: memory, modules with their notes and files, threads with their registers.
void walk_target(inspect::Target& target);

// Reads all tables of its weft, and copies the stacks of its coroutines and threads.
void walk_runtime(inspect::Target& target);

}  // namespace weft::fuzz
