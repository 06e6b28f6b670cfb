// SPDX-License-Identifier: Apache-2.0
// Read-write locks: glibc's own try calls and unlock, and the parking lot for those who must wait.
//
// Who is woken by an unlock. The default kinds prefer readers: all of them, or one writer where no reader waits. The
// kind that prefers writers: one writer, or all readers where none waits; and a reader enters only while no writer
// waits. Somebody who was woken and does not get the lock waits again, because then it has an owner that will unlock;
// who gives up hands the wake on. After the real unlock the lock is not touched: its kind is read before.
//
// Process-shared ones compare the owner's number, which two processes may have given to a coroutine each: pinned.
#include "hook/mutex.h"

namespace weft {

namespace {

constexpr uint32_t kReader = 1;  // tags in the lot
constexpr uint32_t kWriter = 2;

// Bits of __readers, as glibc's pthread_rwlock_common.c has them.
constexpr unsigned kWriteLocked = 2;
constexpr unsigned kReaderShift = 3;

unsigned state_of(const pthread_rwlock_t* lock) { return __atomic_load_n(&lock->__data.__readers, __ATOMIC_RELAXED); }
uint64_t key_of(const pthread_rwlock_t* lock) { return park_key(KeyKind::rwlock, lock); }

bool prefers_writers(const pthread_rwlock_t* lock) {
  return lock->__data.__flags == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP;
}

bool is_own(const pthread_rwlock_t* lock) {
  return __atomic_load_n(&lock->__data.__cur_writer, __ATOMIC_RELAXED) == own_tid();
}

bool writer_waits(pthread_rwlock_t* lock) {
  if (!has_waiters(key_of(lock))) return false;
  struct Look {
    uint64_t key;
    bool found;
  } look{key_of(lock), false};
  with_bucket(
      look.key, [](void* l) { ((Look*)l)->found = waits_locked(((Look*)l)->key, kWriter); }, &look);
  return look.found;
}

bool reader_must_wait(void* argument) {
  auto* lock = (pthread_rwlock_t*)argument;
  return (state_of(lock) & kWriteLocked) || (prefers_writers(lock) && waits_locked(key_of(lock), kWriter));
}

bool writer_must_wait(void* argument) {
  unsigned state = state_of((pthread_rwlock_t*)argument);
  return (state & kWriteLocked) || state >> kReaderShift;
}

int try_read(pthread_rwlock_t* lock) {
  if (prefers_writers(lock) && writer_waits(lock)) return EBUSY;
  return real().pthread_rwlock_tryrdlock(lock);
}

int try_write(pthread_rwlock_t* lock) { return real().pthread_rwlock_trywrlock(lock); }

void wake_next(uint64_t key, bool writers_first) {
  if (!has_waiters(key)) return;
  if (writers_first) {
    if (!unpark(key, 1, kWriter)) unpark(key, ~0u, kReader);
  } else {
    if (!unpark(key, ~0u, kReader)) unpark(key, 1, kWriter);
  }
}

int wait_in_lot(pthread_rwlock_t* lock, const TimeLimit& limit, uint32_t tag) {
  if (is_own(lock)) return EDEADLK;
  uint64_t deadline = limit.deadline();
  for (;;) {
    Parked how = park({.key = key_of(lock),
                       .kind = tag == kReader ? WaitKind::rwlock_read : WaitKind::rwlock_write,
                       .object = lock,
                       .deadline = deadline,
                       .interruptible = woven() != nullptr,
                       .tag = tag,
                       .validate = tag == kReader ? reader_must_wait : writer_must_wait,
                       .argument = lock});
    int error = tag == kReader ? try_read(lock) : try_write(lock);
    if (error != EBUSY) return error;
    if (how == Parked::timed_out) {
      // Readers may have waited for this writer alone.
      if (prefers_writers(lock)) wake_next(key_of(lock), true);
      return ETIMEDOUT;
    }
    if (how == Parked::interrupted) lock_wait_interrupted();
  }
}

bool is_shared(const pthread_rwlock_t* lock) { return lock->__data.__shared != 0; }

// True: glibc's own call is the one to make, by a kernel thread.
bool goes_natively(const pthread_rwlock_t* lock) {
  if (!lot_in_use()) return true;
  if (!is_shared(lock)) return false;
  pin_current(PinReason::shared_lock);
  return true;
}

template <class Native>
int lock_for(uint32_t tag, pthread_rwlock_t* lock, const TimeLimit& limit, Native native) {
  if (Coroutine* self = woven()) give_way_if_asked(self);
  if (goes_natively(lock)) return with_kernel_tid(native);
  if (!limit.valid() || !lock_clock(limit.clock)) return EINVAL;
  int error = tag == kReader ? try_read(lock) : try_write(lock);
  if (error != EBUSY) [[likely]]
    return error;
  return wait_in_lot(lock, limit, tag);
}

}  // namespace

}  // namespace weft

using namespace weft;

WEFT_EXPORT int pthread_rwlock_rdlock(pthread_rwlock_t* lock) noexcept {
  return lock_for(kReader, lock, {}, [&] { return real().pthread_rwlock_rdlock(lock); });
}

WEFT_EXPORT int pthread_rwlock_timedrdlock(pthread_rwlock_t* lock, const timespec* time) noexcept {
  return lock_for(kReader, lock, {time, CLOCK_REALTIME}, [&] { return real().pthread_rwlock_timedrdlock(lock, time); });
}

WEFT_EXPORT int pthread_rwlock_clockrdlock(pthread_rwlock_t* lock, clockid_t clock, const timespec* time) noexcept {
  return lock_for(kReader, lock, {time, clock}, [&] { return real().pthread_rwlock_clockrdlock(lock, clock, time); });
}

WEFT_EXPORT int pthread_rwlock_wrlock(pthread_rwlock_t* lock) noexcept {
  return lock_for(kWriter, lock, {}, [&] { return real().pthread_rwlock_wrlock(lock); });
}

WEFT_EXPORT int pthread_rwlock_timedwrlock(pthread_rwlock_t* lock, const timespec* time) noexcept {
  return lock_for(kWriter, lock, {time, CLOCK_REALTIME}, [&] { return real().pthread_rwlock_timedwrlock(lock, time); });
}

WEFT_EXPORT int pthread_rwlock_clockwrlock(pthread_rwlock_t* lock, clockid_t clock, const timespec* time) noexcept {
  return lock_for(kWriter, lock, {time, clock}, [&] { return real().pthread_rwlock_clockwrlock(lock, clock, time); });
}

WEFT_EXPORT int pthread_rwlock_tryrdlock(pthread_rwlock_t* lock) noexcept {
  if (goes_natively(lock)) return with_kernel_tid([&] { return real().pthread_rwlock_tryrdlock(lock); });
  return try_read(lock);
}

WEFT_EXPORT int pthread_rwlock_trywrlock(pthread_rwlock_t* lock) noexcept {
  if (goes_natively(lock)) return with_kernel_tid([&] { return real().pthread_rwlock_trywrlock(lock); });
  return try_write(lock);
}

WEFT_EXPORT int pthread_rwlock_unlock(pthread_rwlock_t* lock) noexcept {
  if (!lot_in_use() || is_shared(lock)) return with_kernel_tid([&] { return real().pthread_rwlock_unlock(lock); });
  uint64_t key = key_of(lock);
  bool writers_first = prefers_writers(lock);
  int error = real().pthread_rwlock_unlock(lock);
  if (!error) wake_next(key, writers_first);
  chaos_at_hook();
  return error;
}
