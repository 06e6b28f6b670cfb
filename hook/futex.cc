// SPDX-License-Identifier: Apache-2.0
// The futex system call: the standard libraries of Rust and C++20 sleep in it.
//
// Coroutines wait in the parking lot. The word is compared under the bucket's lock, as the kernel does under its own.
// Guests wait in the kernel: a wake looks into the lot first and asks the kernel for the rest, which is the system call
// the program asked for.
//
// A futex that may be shared (no FUTEX_PRIVATE_FLAG: C++20's atomic waits leave it out) waits in the lot if its page is
// this process's alone, which /proc/self/pagemap tells; else by the kernel in a blocking region. Those with an owner
// want the kernel's tid: pinned.
#include "hook/futex.h"

#include <fcntl.h>
#include <linux/futex.h>

#include "hook/mutex.h"

namespace weft {

namespace {

constexpr uintptr_t kPage = 4096;  // below it nothing is mapped: the kernel says EFAULT

Lock pagemap_lock;
int pagemap = -1;             // guarded by pagemap_lock
uint32_t pagemap_generation;  // of the process whose memory it shows

// -1: cannot be had.
int open_pagemap() {
  Locked locked(pagemap_lock);
  if (pagemap >= 0 && pagemap_generation == parking_lot_generation) return pagemap;
  if (pagemap >= 0) sys::close(pagemap);
  long fd = sys::call(SYS_openat, AT_FDCWD, sys::word("/proc/self/pagemap"), O_RDONLY | O_CLOEXEC);
  pagemap = fd < 0 ? -1 : make_internal_fd((int)fd);
  pagemap_generation = parking_lot_generation;
  return pagemap;
}

// Is the page that holds this address no file's and no shared memory's? It has been touched.
bool is_private_memory(const void* address) {
  constexpr uint64_t kPresent = 1ull << 63, kFileOrShared = 1ull << 61;
  int fd = open_pagemap();
  uint64_t entry = 0;
  if (fd < 0 || sys::call(SYS_pread64, fd, sys::word(&entry), sizeof entry,
                          (long)((uintptr_t)address / kPage * sizeof entry)) != sizeof entry)
    return false;
  return (entry & (kPresent | kFileOrShared)) == kPresent;
}

struct Waiting {
  const uint32_t* word;
  uint32_t expected;
};

bool still_expected(void* argument) {
  auto* waiting = (Waiting*)argument;
  return __atomic_load_n(waiting->word, __ATOMIC_RELAXED) == waiting->expected;
}

uint64_t key_of(const uint32_t* word) { return park_key(KeyKind::futex, word); }

// A handler ends it, except where the kernel would restart it. No cancellation point, so not interrupted_call_ends().
bool handler_ends(Coroutine* self, bool restarts) {
  deliver_signals_now();
  uint8_t ran = self->handlers_ran;
  self->handlers_ran = 0;
  return ran & (restarts ? kHandlerRan : kHandlerRan | kRestartingHandlerRan);
}

long wait(Coroutine* self, uint32_t* word, int operation, uint32_t expected, const timespec* timeout, uint32_t bits) {
  if (!bits || (timeout && (timeout->tv_sec < 0 || !valid_nanoseconds(timeout)))) return -EINVAL;
  uint64_t deadline = kNever;
  if (timeout && (operation & FUTEX_CMD_MASK) == FUTEX_WAIT)
    deadline = deadline_in((uint64_t)timeout->tv_sec * 1000000000u + (uint64_t)timeout->tv_nsec);
  else if (timeout)
    deadline = deadline_at(operation & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC, timeout);
  check_turn(self);
  Waiting waiting{word, expected};
  for (;;) {
    Parked how = park({.key = key_of(word),
                       .kind = WaitKind::futex,
                       .object = word,
                       .deadline = deadline,
                       .interruptible = true,
                       .tag = bits,
                       .validate = still_expected,
                       .argument = &waiting});
    switch (how) {
      case Parked::unparked:
        return 0;
      case Parked::invalid:
        return -EAGAIN;
      case Parked::timed_out:
        return -ETIMEDOUT;
      case Parked::interrupted:
        if (handler_ends(self, !timeout)) return -EINTR;
    }
  }
}

unsigned wake_in_lot(const uint32_t* word, unsigned count, uint32_t bits) {
  // The caller may have changed the word by a plain store; the system call would have been the barrier.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  uint64_t key = key_of(word);
  return has_waiters(key) ? unpark(key, count, bits == FUTEX_BITSET_MATCH_ANY ? 0 : bits) : 0;
}

long wake(uint32_t* word, int operation, uint32_t value, uint32_t bits) {
  if (!bits) return -EINVAL;
  unsigned count = (int)value > 0 ? value : 1;
  unsigned woken = wake_in_lot(word, count, bits);
  if (woken == count) return woken;
  long more = sys::call(SYS_futex, sys::word(word), operation, count - woken, 0, 0, bits);
  return more < 0 && !woken ? more : woken + (more > 0 ? more : 0);
}

long move(uint32_t* from, int operation, uint32_t wakes, uint32_t moves, uint32_t* to, uint32_t expected) {
  bool compares = (operation & FUTEX_CMD_MASK) == FUTEX_CMP_REQUEUE;
  if ((int)wakes < 0 || (int)moves < 0) return -EINVAL;
  if (compares && __atomic_load_n(from, __ATOMIC_SEQ_CST) != expected) return -EAGAIN;
  unsigned woken = wakes ? wake_in_lot(from, wakes, FUTEX_BITSET_MATCH_ANY) : 0;
  unsigned moved = moves ? requeue(key_of(from), key_of(to), moves) : 0;
  long done = compares ? woken + moved : woken;
  // Guests sleep in the kernel.
  long more =
      sys::call(SYS_futex, sys::word(from), operation, wakes - woken, (long)(moves - moved), sys::word(to), expected);
  return more > 0 ? done + more : done || more == -EAGAIN ? done : more;
}

struct Change {
  uint32_t* word;
  uint32_t encoded;
  bool holds;  // the comparison with the old value
};

// The operation of FUTEX_WAKE_OP: see futex(2).
void change_word(void* argument) {
  auto* change = (Change*)argument;
  uint32_t encoded = change->encoded;
  uint32_t operation = encoded >> 28 & 7, comparison = encoded >> 24 & 15;
  uint32_t operand = (uint32_t)((int32_t)(encoded << 8) >> 20);
  int32_t compared = (int32_t)(encoded << 20) >> 20;
  if (encoded & (uint32_t)FUTEX_OP_OPARG_SHIFT << 28) operand = 1u << (operand & 31);
  uint32_t old = __atomic_load_n(change->word, __ATOMIC_RELAXED), wanted;
  do {
    switch (operation) {
      case FUTEX_OP_ADD:
        wanted = old + operand;
        break;
      case FUTEX_OP_OR:
        wanted = old | operand;
        break;
      case FUTEX_OP_ANDN:
        wanted = old & ~operand;
        break;
      case FUTEX_OP_XOR:
        wanted = old ^ operand;
        break;
      default:
        wanted = operand;
    }
  } while (!__atomic_compare_exchange_n(change->word, &old, wanted, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
  auto before = (int32_t)old;
  const bool results[] = {before == compared, before != compared, before<compared, before <= compared, before> compared,
                          before >= compared};
  change->holds = comparison < sizeof results && results[comparison];
}

long wake_operation(uint32_t* word, int operation, uint32_t value, uint32_t second_value, uint32_t* second,
                    uint32_t encoded) {
  if ((encoded >> 28 & 7) > FUTEX_OP_XOR || (encoded >> 24 & 15) > FUTEX_OP_CMP_GE) return -ENOSYS;
  Change change{second, encoded, false};
  with_bucket(key_of(second), change_word, &change);
  int wakes = FUTEX_WAKE | (operation & FUTEX_PRIVATE_FLAG);
  long woken = wake(word, wakes, value, FUTEX_BITSET_MATCH_ANY);
  if (change.holds) woken += wake(second, wakes, second_value, FUTEX_BITSET_MATCH_ANY);
  return woken;
}

bool has_an_owner(int command) {
  return command == FUTEX_LOCK_PI || command == FUTEX_LOCK_PI2 || command == FUTEX_TRYLOCK_PI ||
         command == FUTEX_UNLOCK_PI || command == FUTEX_WAIT_REQUEUE_PI || command == FUTEX_CMP_REQUEUE_PI;
}

}  // namespace

long futex(uint32_t* word, int operation, uint32_t value, const timespec* timeout, uint32_t* second, uint32_t third) {
  int command = operation & FUTEX_CMD_MASK;
  auto native = [&] { return real().syscall(SYS_futex, word, operation, value, timeout, second, third); };
  if (has_an_owner(command)) {
    pin_current(PinReason::futex);
    return native();
  }
  if ((uintptr_t)word < kPage || (uintptr_t)word % sizeof *word) return native();  // an error
  if (command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET) {
    Coroutine* self = woven();
    if (!self) return native();
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != value) return as_errno(-EAGAIN);
    if (!(operation & FUTEX_PRIVATE_FLAG) && !is_private_memory(word))
      return blocking_call(RegionKind::lasting, native);
    return as_errno(
        wait(self, word, operation, value, timeout, command == FUTEX_WAIT ? FUTEX_BITSET_MATCH_ANY : third));
  }
  auto second_value = (uint32_t)(uintptr_t)timeout;
  switch (command) {
    case FUTEX_WAKE:
      return as_errno(wake(word, operation, value, FUTEX_BITSET_MATCH_ANY));
    case FUTEX_WAKE_BITSET:
      return as_errno(wake(word, operation, value, third));
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
      return as_errno(move(word, operation, value, second_value, second, third));
    case FUTEX_WAKE_OP:
      return as_errno(wake_operation(word, operation, value, second_value, second, third));
    default:
      return native();
  }
}

}  // namespace weft
