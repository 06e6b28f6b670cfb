// SPDX-License-Identifier: Apache-2.0
// Channels from within: a ring of values, and those who wait on either side of it.
#pragma once

#include "sched/api/handoff.h"

struct co_chan {
  weft::Lock lock;  // guards all of it
  bool closed;
  size_t value_size;
  size_t capacity;
  size_t room;  // of the ring; for an unbounded channel it grows
  size_t first;
  size_t length;
  char* values;
  weft::WaitQueue senders, receivers;
};

namespace weft {

// One try under the channel's lock: 0, EPIPE, or EAGAIN: it would wait. ENOMEM: an unbounded one's ring is full.
int channel_try_send(Held& held, co_chan* chan, const void* value);
int channel_try_receive(Held& held, co_chan* chan, void* value);

}  // namespace weft
