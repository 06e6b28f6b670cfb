// SPDX-License-Identifier: Apache-2.0
// The futex system call: Rust's and Go's standard libraries, C++20's atomic waits and __cxa_guard sleep in it.
//
// Private futexes wait in the parking lot, guests and coroutines alike. The word is compared under the bucket's lock,
// as the kernel does under its own. A wake that finds fewer waiters than it may wake asks the kernel too, for sleepers
// whose system call did not come through here. Shared ones are the kernel's, in a blocking region; those with an owner
// want the kernel's tid: pinned.
#include "hook/futex.h"

#include <linux/futex.h>

#include "hook/mutex.h"

namespace weft {

namespace {

constexpr uintptr_t kFirstMapped = 4096;  // below it nothing is: the kernel says EFAULT

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
bool handler_ends(bool restarts) {
  Coroutine* self = woven();
  if (!self) return true;
  deliver_signals_now();
  uint8_t ran = self->handlers_ran;
  self->handlers_ran = 0;
  return ran & (restarts ? kHandlerRan : kHandlerRan | kRestartingHandlerRan);
}

long wait(uint32_t* word, int operation, uint32_t expected, const timespec* timeout, uint32_t bits) {
  if (!bits || (timeout && (timeout->tv_sec < 0 || !valid_nanoseconds(timeout)))) return -EINVAL;
  uint64_t deadline = kNever;
  if (timeout && (operation & FUTEX_CMD_MASK) == FUTEX_WAIT)
    deadline = deadline_in((uint64_t)timeout->tv_sec * 1000000000u + (uint64_t)timeout->tv_nsec);
  else if (timeout)
    deadline = deadline_at(operation & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC, timeout);
  if (Coroutine* self = woven()) check_turn(self);
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
        if (handler_ends(!timeout)) return -EINTR;
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
  return compares ? woken + moved : woken;
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

long wake_operation(uint32_t* word, uint32_t value, uint32_t second_value, uint32_t* second, uint32_t encoded) {
  if ((encoded >> 28 & 7) > FUTEX_OP_XOR || (encoded >> 24 & 15) > FUTEX_OP_CMP_GE) return -ENOSYS;
  Change change{second, encoded, false};
  with_bucket(key_of(second), change_word, &change);
  long woken = wake(word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, value, FUTEX_BITSET_MATCH_ANY);
  if (change.holds) woken += wake(second, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, second_value, FUTEX_BITSET_MATCH_ANY);
  return woken;
}

bool has_an_owner(int command) {
  return command == FUTEX_LOCK_PI || command == FUTEX_LOCK_PI2 || command == FUTEX_TRYLOCK_PI ||
         command == FUTEX_UNLOCK_PI || command == FUTEX_WAIT_REQUEUE_PI || command == FUTEX_CMP_REQUEUE_PI;
}

bool waits(int command) { return command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET; }

}  // namespace

long futex(uint32_t* word, int operation, uint32_t value, const timespec* timeout, uint32_t* second, uint32_t third) {
  int command = operation & FUTEX_CMD_MASK;
  auto native = [&] { return real().syscall(SYS_futex, word, operation, value, timeout, second, third); };
  if (has_an_owner(command)) {
    pin_current();
    return native();
  }
  bool in_lot = (operation & FUTEX_PRIVATE_FLAG) && (uintptr_t)word >= kFirstMapped && (uintptr_t)word % 4 == 0;
  if (!in_lot) return waits(command) && woven() ? blocking_call(RegionKind::lasting, native) : native();
  auto second_value = (uint32_t)(uintptr_t)timeout;
  switch (command) {
    case FUTEX_WAIT:
      return as_errno(wait(word, operation, value, timeout, FUTEX_BITSET_MATCH_ANY));
    case FUTEX_WAIT_BITSET:
      return as_errno(wait(word, operation, value, timeout, third));
    case FUTEX_WAKE:
      return as_errno(wake(word, operation, value, FUTEX_BITSET_MATCH_ANY));
    case FUTEX_WAKE_BITSET:
      return as_errno(wake(word, operation, value, third));
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
      return as_errno(move(word, operation, value, second_value, second, third));
    case FUTEX_WAKE_OP:
      return as_errno(wake_operation(word, value, second_value, second, third));
    default:
      return native();
  }
}

}  // namespace weft
