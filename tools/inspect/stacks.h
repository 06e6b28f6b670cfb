// SPDX-License-Identifier: Apache-2.0
// Consistent copies of coroutines and their stacks, taken without stopping what does not run.
//
//   copy      all slots, then the stacks from sp up in batches, then each slot's sequence again: if it is even and as it was, slot and
//             stack belong together. Those that moved are copied one by one again, up to a bound; what moves still is said to
//   running   a coroutine with an odd sequence has its registers in a kernel thread: in a system call they are read from outside, on a
//             CPU its one thread is stopped while its stack is copied
//
// This is consistency for each coroutine, not one instant for all: that takes Stop::all.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "byte_store.h"
#include "runtime.h"
#include "target.h"

namespace weft::inspect {

constexpr uint64_t kStackLimit = 256 << 10;  // of a stack, copied from sp up
constexpr unsigned kRetries = 20;
constexpr unsigned kRetryMilliseconds = 200;

// How a stack ended.
enum class Ending : uint8_t {
  complete,        // at the coroutine's first function, or a thread's
  truncated,       // the limit of the copy or of frames, or registers that are not known
  no_unwind_info,  // a frame in code that has none
  unreadable,      // memory is missing
  moving,          // it was never seen to hold still
  partial,         // it runs, and its thread was not to be stopped
  none,            // it has no stack: free or finished
};
const char* name_of(Ending ending);

struct StackCopy {
  Coroutine coroutine;  // of the same moment; of a kernel thread: id 0
  int thread = 0;       // tid, of what was read from a kernel thread
  Registers registers;
  uint64_t low = 0;             // address of the first byte
  const char* bytes = nullptr;  // in Stacks::store
  size_t size = 0;
  uint64_t end = 0;  // stack pointer of the first function, where the stack has been unwound to its end; 0: not known
  Ending ending = Ending::complete;  // of the copy: complete, unreadable, moving, partial or none
  bool in_system_call = false;
};

struct Stacks {
  std::vector<StackCopy> copies;  // one a used slot, in the order of slots
  ByteStore store;
  uint64_t clock = 0;     // CLOCK_MONOTONIC when they were read
  bool coherent = false;  // one instant for all
  unsigned moved = 0;     // were copied more than once
  unsigned stopped = 0;   // kernel threads stopped

  std::span<const char> bytes_of(const StackCopy& copy) const { return {copy.bytes, copy.size}; }
};

struct CopyOptions {
  Stop stop = Stop::running;
  bool stacks = true;          // false: slots alone
  bool threads = false;        // kernel threads that run no coroutine too, behind the coroutines
  bool stay_stopped = false;   // of Stop::all: until the caller resumes it
  bool check_sequence = true;  // false only for the test that shows what the check is for
};

Stacks copy_stacks(const Runtime& runtime, const CopyOptions& options);

}  // namespace weft::inspect
