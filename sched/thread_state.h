// SPDX-License-Identifier: Apache-2.0
// What weft keeps in each thread of control's TLS block: it goes with the coroutine, not with the kernel thread.
#pragma once

#include <cstdint>

#include "sched/wait.h"

namespace weft {

struct Coroutine;
struct Carrier;

struct ThreadState {
  Coroutine* woven;     // the coroutine whose calls are woven; null in a guest, a pinned coroutine and a vfork child
  Coroutine* identity;  // the coroutine this is, pinned or not; null in a guest
  Carrier* carrier;     // set in a carrier's own TLS block alone
  Waiter guest_waiter;  // for waits of a kernel thread in the parking lot
  Coroutine* parked_woven;  // what `woven` becomes again when the vfork child has gone
  uint32_t lot_depth;       // locks of the parking lot held: a signal handler must not take another
  uint32_t deferred_wakes;  // keys in `deferred`
  uint64_t deferred[4];     // wakes that a signal handler wanted meanwhile
  uint32_t resolver_depth;  // regions of the resolver entered
  bool of_runtime;          // a kernel thread of weft's own: an allocator's locks may bring it to a hook
  uint8_t vfork_child;      // how many vforks deep, until exec: touch no table
#ifdef __SANITIZE_THREAD__
  void* fiber;  // ThreadSanitizer's state of this thread of control; see context_switch.h
#endif
  bool descriptors_apart;     // unshare(CLONE_FILES): the table of descriptors and weft's own are others'; see poller.h
  bool kernel_state_changed;  // this kernel thread differs from the one carriers were made by; its threads stay native
};

extern constinit thread_local ThreadState thread_state __attribute__((tls_model("initial-exec")));

// The coroutine whose call this is, or null where the call must be the native one.
inline Coroutine* woven() { return thread_state.woven; }

}  // namespace weft
