// SPDX-License-Identifier: Apache-2.0
// Mailboxes from within: what a sender has sent is a queue of its own, and the queues take turns.
#pragma once

#include "sched/api/handoff.h"

namespace weft {

struct Message {
  Message* next;
  // the bytes follow
};

// One sender's messages, while there are some.
struct SenderQueue {
  uint64_t sender;
  Message *head, *tail;
  SenderQueue* next;  // in the ring of those who have messages, or in the list of unused ones
};

}  // namespace weft

struct co_mailbox {
  weft::Lock lock;  // guards all of it
  bool closed;
  char name[16];
  size_t message_size, capacity, length, highest;
  uint64_t received, refused, waits, full_since;
  weft::WaitQueue senders, receivers;
  weft::SenderQueue* turn;  // whose turn it was last; a ring
  weft::SenderQueue* unused;
  weft::Message* blank;
  co_mailbox *next, *previous;  // list of all
};

namespace weft {

extern co_mailbox* mailboxes;  // all of them, for the inspector, which follows `next` without the lock

}  // namespace weft
