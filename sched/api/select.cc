// SPDX-License-Identifier: Apache-2.0
// Waiting for the first of several things: every case is tried, and if none can happen the caller is in the queues of all of them with one
// wait, which whoever comes first ends.
#include <alloca.h>
#include <poll.h>

#include <cstdlib>

#include "sched/api/channel.h"
#include "sched/clock.h"
#include "sched/poller.h"
#include "sched/sys.h"

namespace weft {

namespace {

constexpr size_t kOnStack = 32;

struct Place {
  HandoffWait channel;
  PollWait* descriptor;
};

struct Selecting {
  co_select_case_t* cases;
  size_t count;
  Place* places;
  PollWait* waits;
  unsigned descriptors;
  uint64_t earliest;  // of the times
  size_t joined;      // channels of the cases before it are waited at
  PollCall call;
};

bool is_channel(const co_select_case_t& one) {
  return (one.kind == CO_SELECT_SEND || one.kind == CO_SELECT_RECV) && one.chan;
}
bool is_descriptor(const co_select_case_t& one) { return one.kind == CO_SELECT_READ || one.kind == CO_SELECT_WRITE; }

int try_channel(Held& held, const co_select_case_t& one) {
  return one.kind == CO_SELECT_SEND ? channel_try_send(held, one.chan, one.value)
                                    : channel_try_receive(held, one.chan, one.value);
}

// 0: ready. EAGAIN, EBADF.
int try_descriptor(const co_select_case_t& one) {
  pollfd look = {one.fd, (short)(one.kind == CO_SELECT_READ ? POLLIN : POLLOUT), 0};
  timespec at_once = {};
  if (one.fd < 0) return EBADF;
  sys::call(SYS_ppoll, sys::word(&look), 1, sys::word(&at_once), 0, 8);
  return look.revents & POLLNVAL ? EBADF : look.revents ? 0 : EAGAIN;
}

// Tries case `index`: true, it has happened.
bool try_case(Selecting* selecting, size_t index) {
  co_select_case_t& one = selecting->cases[index];
  int error = EAGAIN;
  if (is_channel(one)) {
    // An unbounded channel whose ring is full is sent to as by anybody: it does not wait.
    if (one.kind == CO_SELECT_SEND && one.chan->capacity == CO_UNBOUNDED) {
      error = co_chan_trysend(one.chan, one.value);
    } else {
      Held held(one.chan->lock);
      error = try_channel(held, one);
    }
  } else if (is_descriptor(one)) {
    PollWait& wait = *selecting->places[index].descriptor;
    if (Descriptor* d = descriptor(one.fd)) wait.seen = events_seen(d, wait.direction);
    error = try_descriptor(one);
  } else if (one.kind == CO_SELECT_TIME) {
    error = now_ns() >= one.time ? 0 : EAGAIN;
  }
  if (error == EAGAIN) return false;
  one.error = error;
  return true;
}

bool try_all(Selecting* selecting, size_t* chosen) {
  // Whose turn is first changes, so that one that is always ready hides no other.
  static std::atomic<uint32_t> turn{0};
  size_t first = selecting->count ? turn.fetch_add(1, std::memory_order_relaxed) % selecting->count : 0;
  for (size_t i = 0; i < selecting->count; i++) {
    size_t index = first + i < selecting->count ? first + i : first + i - selecting->count;
    if (!try_case(selecting, index)) continue;
    *chosen = index;
    return true;
  }
  return false;
}

// Not the caller itself, who may be waiting on the other side of the same channel.
bool others_wait(const WaitQueue& queue, const Waiter* caller) {
  for (const WaitNode* node = queue.head; node; node = node->next)
    if (node->waiter != caller) return true;
  return false;
}

bool could_happen(const co_select_case_t& one, const Waiter* caller) {
  co_chan* chan = one.chan;
  return chan->closed || (one.kind == CO_SELECT_SEND ? chan->length < chan->room || others_wait(chan->receivers, caller)
                                                     : chan->length || others_wait(chan->senders, caller));
}

bool join_channels(void* argument, Waiter* waiter, uint64_t ticket) {
  auto* selecting = (Selecting*)argument;
  for (selecting->joined = 0; selecting->joined < selecting->count; selecting->joined++) {
    const co_select_case_t& one = selecting->cases[selecting->joined];
    if (!is_channel(one)) continue;
    HandoffWait& wait = selecting->places[selecting->joined].channel;
    Locked locked(one.chan->lock);
    wait = {.node = {}, .value = one.value, .selects = true};
    if (could_happen(one, waiter)) return false;
    wait.node.waiter = waiter;
    wait.node.ticket = ticket;
    (one.kind == CO_SELECT_SEND ? one.chan->senders : one.chan->receivers).push(&wait.node);
  }
  return true;
}

void leave_channels(void* argument) {
  auto* selecting = (Selecting*)argument;
  for (size_t i = 0; i < selecting->joined; i++) {
    const co_select_case_t& one = selecting->cases[i];
    if (!is_channel(one)) continue;
    WaitNode& node = selecting->places[i].channel.node;
    Locked locked(one.chan->lock);
    if (node.linked) (one.kind == CO_SELECT_SEND ? one.chan->senders : one.chan->receivers).remove(&node);
  }
}

bool handed_over(Selecting* selecting, size_t* chosen) {
  for (size_t i = 0; i < selecting->joined; i++) {
    Outcome outcome = is_channel(selecting->cases[i]) ? selecting->places[i].channel.outcome : Outcome::none;
    if (outcome == Outcome::none) continue;
    selecting->cases[i].error = outcome == Outcome::closed ? EPIPE : 0;
    *chosen = i;
    return true;
  }
  return false;
}

// Parks until somebody has ended the wait. 0; EPERM: a descriptor cannot be polled; or what ends the call, if nothing has happened.
int wait_once(Selecting* selecting) {
  Coroutine* self = woven();
  bool interrupted;
  selecting->joined = 0;
  if (self) {
    OtherQueues others = {join_channels, leave_channels, selecting};
    FdWake how = wait_any(selecting->waits, selecting->descriptors, selecting->earliest, &selecting->call, &others);
    for (unsigned i = 0; i < selecting->descriptors; i++) {
      PollWait& wait = selecting->waits[i];
      int original = (int)wait.node.number, fd = wait.fd.load(std::memory_order_relaxed);
      if (fd == original) continue;
      release_duplicate(fd, original);
      wait.fd.store(original, std::memory_order_relaxed);
    }
    if (how == FdWake::unpollable) return EPERM;
    interrupted = how == FdWake::interrupted;
  } else {
    Waiter* waiter = waiter_of_caller(nullptr);
    uint64_t ticket = waiter->begin(true);
    Wake how = Wake::unparked;
    if (join_channels(selecting, waiter, ticket))
      how = block(nullptr, waiter, ticket,
                  {.key = 0, .kind = WaitKind::select, .object = nullptr, .deadline = selecting->earliest});
    else
      waiter->begin(false);
    leave_channels(selecting);
    interrupted = how == Wake::interrupted;
  }
  size_t chosen;
  return interrupted && !handed_over(selecting, &chosen) ? wait_interrupted() : 0;
}

int select_in(Selecting* selecting, size_t* chosen, bool waits) {
  for (;;) {
    if (try_all(selecting, chosen)) return 0;
    if (!waits) return EAGAIN;
    int error = wait_once(selecting);
    if (handed_over(selecting, chosen)) return 0;
    if (error) return error;
  }
}

// Begins the record of a call. EINVAL: a case of no kind.
int prepare(Selecting* selecting) {
  selecting->earliest = kNever;
  selecting->descriptors = 0;
  for (size_t i = 0; i < selecting->count; i++) {
    co_select_case_t& one = selecting->cases[i];
    if (one.kind < CO_SELECT_SEND || one.kind > CO_SELECT_TIME) return EINVAL;
    if (one.kind == CO_SELECT_TIME && one.time < selecting->earliest) selecting->earliest = one.time;
    if (!is_descriptor(one)) continue;
    PollWait& wait = selecting->waits[selecting->descriptors++];
    wait.node = {};
    wait.node.number = (uint64_t)one.fd;
    wait.fd.store(one.fd, std::memory_order_relaxed);
    wait.direction = one.kind == CO_SELECT_READ ? Direction::read : Direction::write;
    wait.seen = 0;
    selecting->places[i].descriptor = &wait;
  }
  return 0;
}

struct Call {
  co_select_case_t* cases;
  size_t count;
  size_t* chosen;
};

int select(const Call& call, bool waits) {
  constexpr size_t kBytesEach = sizeof(Place) + sizeof(PollWait);
  size_t bytes;
  if (__builtin_mul_overflow(call.count, kBytesEach, &bytes)) return EINVAL;
  void* had = nullptr;
  if (call.count > kOnStack && !(had = malloc(bytes))) return ENOMEM;
  char* memory = had ? (char*)had : (char*)alloca(bytes ? bytes : 1);
  Selecting selecting = {
      call.cases, call.count, (Place*)memory, (PollWait*)(memory + call.count * sizeof(Place)), 0, kNever, 0, {}};
  int error = prepare(&selecting);
  if (!error) error = select_in(&selecting, call.chosen, waits);
  free(had);
  return error;
}

// A thread has no place in the poller: a coroutine waits for it.
void* select_for_thread(void* call) { return (void*)(intptr_t)select(*(Call*)call, true); }

}  // namespace
}  // namespace weft

using namespace weft;

WEFT_API int co_select(co_select_case_t* cases, size_t count, size_t* chosen) {
  Call call = {cases, count, chosen};
  take_turn();
  if (!woven())
    for (size_t i = 0; i < count; i++) {
      if (!is_descriptor(cases[i])) continue;
      co_t helper;
      if (int error = co_spawn(&helper, select_for_thread, &call, nullptr)) return error;
      void* result;
      int error = co_join(helper, &result);
      if (!error) return (int)(intptr_t)result;
      // The caller is pinned, and its waits end: the helper works on the caller's memory until it has ended, and may have had success.
      co_cancel(helper);
      {
        Shield shield(caller());
        co_join(helper, &result);
      }
      return (int)(intptr_t)result == ECANCELED ? error : (int)(intptr_t)result;
    }
  return select(call, true);
}

WEFT_API int co_tryselect(co_select_case_t* cases, size_t count, size_t* chosen) {
  return select({cases, count, chosen}, false);
}
