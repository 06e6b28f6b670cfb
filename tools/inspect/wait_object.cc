// SPDX-License-Identifier: Apache-2.0
// Waits in words. Owners of locks are what the locks themselves say: a coroutine's own number, or a kernel thread's. A co_mutex_t is one word, of
// which the low bits are a coroutine's id or a kernel thread's tid.
#include "wait_object.h"

#include <algorithm>

#include "failure.h"
#include "number_text.h"

namespace weft::inspect {

namespace {

// sched/api/locks.cc
constexpr uint32_t kThreadHolds = 1u << 30;
constexpr uint32_t kHolder = kThreadHolds - 1;

// As a tid, which coroutines have too; 0: nobody, or one that has ended.
int holder_of_co_mutex(Look& look, uint64_t mutex) {
  const uint32_t word = look.target().get<uint32_t>(mutex).value_or(0);
  if ((word & kThreadHolds) != 0) return (int)(word & kHolder);
  const Coroutine* holder = look.by_id(word & kHolder);
  return holder == nullptr || (word & kHolder) == 0 ? 0 : holder->tid;
}

// The call that a kernel thread is in: the topmost frame of the runtime's that the program has called, by name; where the program made a
// real call itself, the top frame.
std::string region_function(Look& look, uint32_t copy) {
  const Group* group = look.group_of(copy);
  if (group == nullptr) return {};
  const std::vector<Frame>& frames = group->trace.frames;
  const Frame* found = nullptr;
  for (size_t i = 0; i < frames.size(); i++) {
    if (look.runtime().in_trampoline(frames[i].pc)) break;
    const bool own = look.runtime().is_own(frames[i].pc);
    const bool called_by_program = i + 1 < frames.size() && !look.runtime().is_own(frames[i + 1].pc);
    if (own && called_by_program) {
      found = &frames[i];
      break;
    }
  }
  if (found == nullptr && !frames.empty() && !look.runtime().is_own(frames[0].pc)) found = &frames[0];
  return found == nullptr ? "" : look.symbols().short_text(look.symbols().at(*found));
}

}  // namespace

const char* kind_of_wait(const StackCopy& copy) {
  const Coroutine& c = copy.coroutine;
  // A call that weft does not weave, or that it makes on a kernel thread of the coroutine's own.
  if (c.state == State::running && copy.in_system_call) return "call";
  if (c.state == State::blocked) return name_of(WaitKind::region);
  return c.state != State::parked || c.wait_kind == WaitKind::none ? "" : name_of(c.wait_kind);
}

WaitedFor waited_for(Look& look, uint32_t index) {
  const StackCopy& copy = look.stacks().copies[index];
  const Coroutine& c = copy.coroutine;
  WaitedFor result;
  if (c.pinned) result.pinned = name_of(c.pin_reason);
  result.kind = kind_of_wait(copy);
  if (c.state == State::running && copy.in_system_call) result.function = region_function(look, index);
  if (c.state != State::parked && c.state != State::blocked) return result;
  if (c.deadline && look.clock() != 0) result.left = std::max((int64_t)(*c.deadline - look.clock()), -INT64_MAX);
  switch (c.state == State::blocked ? WaitKind::region : c.wait_kind) {
    case WaitKind::fd_read:
    case WaitKind::fd_write:
    case WaitKind::file:
      if (c.wait_fd >= 0) result.fds.push_back(c.wait_fd);
      break;
    case WaitKind::poll:
    case WaitKind::select:
      result.fds = c.wait_fds;
      if (result.fds.empty() && c.wait_fd >= 0) result.fds.push_back(c.wait_fd);
      break;
    case WaitKind::lock:
    case WaitKind::rwlock_read:
    case WaitKind::rwlock_write:
      result.object = c.wait_object;
      result.owner_tid = c.owner_tid;
      break;
    case WaitKind::co_lock:
      result.object = c.wait_object;
      result.owner_tid = holder_of_co_mutex(look, c.wait_object);
      break;
    case WaitKind::join:
      result.object = c.wait_object;
      if (const Coroutine* target = look.by_address(c.wait_object)) result.target = target->id;
      break;
    case WaitKind::region:
      result.function = region_function(look, index);
      break;
    case WaitKind::sleep:
    case WaitKind::suspend:
    case WaitKind::none:
      break;
    case WaitKind::mailbox_send:
    case WaitKind::mailbox_receive:
      result.object = c.wait_object;
      for (const Mailbox& mailbox : look.runtime().mailboxes())
        if (mailbox.address == c.wait_object) result.object_name = mailbox.name;
      break;
    default:
      result.object = c.wait_object;
  }
  if (result.owner_tid != 0) {
    if (const Coroutine* owner = look.by_tid(result.owner_tid)) result.owner = owner->id;
  }
  for (int fd : result.fds) {
    result.descriptors.push_back(look.target().descriptor(fd).value_or(Descriptor{}));
  }
  return result;
}

std::string text(const WaitedFor& waited) {
  std::string words = waited.kind;
  constexpr size_t kShown = 3;
  for (size_t i = 0; i < std::min(kShown, waited.fds.size()); i++) {
    const Descriptor& descriptor = waited.descriptors[i];
    words += fmt::format("{} fd {}", i == 0 ? "" : ",", waited.fds[i]);
    if (!descriptor.peer.empty()) {
      words += " " + descriptor.peer;
    } else if (!descriptor.local.empty() || !descriptor.kind.empty()) {
      words += " " + (descriptor.local.empty() ? descriptor.kind == "file" ? descriptor.what : descriptor.kind
                                               : descriptor.local);
    }
  }
  if (waited.fds.size() > kShown) words += fmt::format(" and {} more", waited.fds.size() - kShown);
  if (waited.target) words += fmt::format(" of {}", *waited.target);
  if (waited.object != 0 && !waited.target) words += fmt::format(" {:#x}", waited.object);
  if (!waited.object_name.empty()) words += fmt::format(" ({})", waited.object_name);
  if (waited.owner) {
    words += fmt::format(" held by {}", *waited.owner);
  } else if (waited.owner_tid != 0) {
    words += fmt::format(" held by thread {}", waited.owner_tid);
  }
  if (!waited.function.empty()) words += " in " + waited.function;
  if (waited.left) {
    words += *waited.left >= 0 ? fmt::format(" for {} more", duration_text(*waited.left))
                               : fmt::format(" overdue by {}", duration_text(-*waited.left));
  }
  if (!waited.pinned.empty()) words += fmt::format("{}pinned: {}", words.empty() ? "" : ", ", waited.pinned);
  return words;
}

}  // namespace weft::inspect
