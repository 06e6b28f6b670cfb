// SPDX-License-Identifier: Apache-2.0
// What the hooks know of each descriptor number: its kind, its timeouts, whether the program made it non-blocking.
//
// Hooks that make a descriptor note what they know, so that an accepted connection costs no further system call; any
// other number is looked up once, at its first use. It is a cache of what the kernel knows: where a call shows it to be
// wrong, it is renewed.
#pragma once

#include <sys/socket.h>

#include "sched/poller.h"
#include "sched/thread_state.h"

namespace weft {

// Is there a table to keep right? Not before the runtime runs, and not in a vfork child or a thread that has left the others by
// unshare: their descriptors are their own.
inline bool tracking() { return descriptor_table && !thread_state.vfork_child && !thread_state.descriptors_apart; }

// Looks the number up. Null: it is not open, or there is no table; the call is then the real one.
Descriptor* classify(int fd);
void look_up_shared(int fd, Descriptor* d);  // O_NONBLOCK and timeouts of a description that others may have changed

inline DescriptorKind kind_of(const Descriptor* d) { return (DescriptorKind)d->kind.load(std::memory_order_relaxed); }
inline bool has(const Descriptor* d, uint16_t bits) { return d->flags.load(std::memory_order_relaxed) & bits; }

// The entry of a descriptor that a call is about to use.
inline Descriptor* known(int fd) {
  Descriptor* d = descriptor(fd);
  if (!d || kind_of(d) == DescriptorKind::unknown) [[unlikely]]
    return classify(fd);
  if (has(d, Descriptor::kShared) &&
      d->epoch.load(std::memory_order_relaxed) !=
          description_epochs[d->group.load(std::memory_order_relaxed)].load(std::memory_order_relaxed)) [[unlikely]]
    look_up_shared(fd, d);
  return d;
}

// A number has just been made. All may be called with a negative one.
void note_made(int fd, DescriptorKind kind, uint16_t flags);
void note_unknown(int fd);  // made, and what it is will be looked up
void note_socket(int fd, int domain, int type, int protocol);
void note_accepted(int fd, int listener, int accept_flags);
void note_duplicate(int fd, int copy);
void note_received(const msghdr* message);  // descriptors that came by SCM_RIGHTS
void note_sent(const msghdr* message);      // descriptors that another process will have as well

// The program has changed what a description says.
void note_nonblocking(int fd, bool on);
void note_direct(Descriptor* d, bool on);
void note_description_changed(int fd);  // some other entry may share it

// Before a number is closed or replaced.
void note_closing(int fd);

}  // namespace weft
