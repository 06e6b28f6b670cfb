// SPDX-License-Identifier: Apache-2.0
// Mutexes, C11 mutexes, spin locks and the locks of stdio streams.
//
// The memory is glibc's and so are the operations that do not wait: the real trylock, and on EBUSY the parking lot; the
// real unlock, then a look whether anybody waits. On x86-64 the locked instruction of the unlock is the barrier between
// the two. After the real unlock the mutex is not touched: the next owner may have destroyed it.
//
// Kinds the kernel or another process takes part in:
//   process-shared, plain                glibc's own call in a blocking region
//   process-shared with an owner         pinned: two processes may have given their coroutines the same number
//   robust, priority inheriting or protecting   pinned, and glibc sees the kernel's tid for the length of the call
#include "hook/mutex.h"

#include "asm/cpu.h"
#include "hook/thread_results.h"

namespace weft {

namespace {

// Bits of __kind, as glibc's pthreadP.h has them.
constexpr int kTypeMask = 3;
constexpr int kRobust = 0x10;
constexpr int kShared = 0x80;
constexpr int kSpecial = 0xf0;  // robust, priority inheriting, priority protecting, process-shared

// Word of __lock, as glibc's lowlevellock.h has it: 2 says that somebody sleeps on it in the kernel.
constexpr int kFree = 0;
constexpr int kTaken = 1;

constexpr int kSpins = 50;

// Waiters that were woken this often and each time found the mutex taken again. While there is one, who unlocks gives way: on one
// worker a holder that yields only inside its critical section would otherwise keep the mutex for ever.
constexpr int kStarving = 4;
constexpr unsigned kStarvingSlots = 256;
std::atomic<uint32_t> starving[kStarvingSlots];
std::atomic<uint32_t> starving_anywhere{0};

std::atomic<uint32_t>& starving_for(const pthread_mutex_t* mutex) {
  return starving[((uintptr_t)mutex >> 4) % kStarvingSlots];
}
void add_starving(const pthread_mutex_t* mutex, int difference) {
  starving_for(mutex).fetch_add((uint32_t)difference, std::memory_order_relaxed);
  starving_anywhere.fetch_add((uint32_t)difference, std::memory_order_relaxed);
}
bool somebody_starves(const pthread_mutex_t* mutex) {
  return starving_anywhere.load(std::memory_order_relaxed) && starving_for(mutex).load(std::memory_order_relaxed);
}

int kind_of(const pthread_mutex_t* mutex) { return __atomic_load_n(&mutex->__data.__kind, __ATOMIC_RELAXED); }

bool is_locked(const void* mutex) {
  return __atomic_load_n(&((const pthread_mutex_t*)mutex)->__data.__lock, __ATOMIC_RELAXED) != 0;
}

bool has_owner_check(int kind) {
  int type = kind & kTypeMask;
  return type == PTHREAD_MUTEX_RECURSIVE || type == PTHREAD_MUTEX_ERRORCHECK;
}

bool owned_by_caller(const pthread_mutex_t* mutex) {
  return is_locked(mutex) && __atomic_load_n(&mutex->__data.__owner, __ATOMIC_RELAXED) == own_tid();
}

// A mutex of one of the special kinds. `attempt` does not wait, `wait` may.
template <class Attempt, class Wait>
int lock_special(int kind, Attempt attempt, Wait wait) {
  if (woven() && (kind & kSpecial) == kShared && !has_owner_check(kind)) {
    int error = attempt();
    return error == EBUSY ? blocking_call(RegionKind::lasting, wait) : error;
  }
  pin_current(PinReason::shared_lock);
  return with_kernel_tid(wait);
}

int lock_contended(pthread_mutex_t* mutex, const TimeLimit& limit) {
  if ((kind_of(mutex) & kTypeMask) == PTHREAD_MUTEX_ERRORCHECK && owned_by_caller(mutex)) return EDEADLK;
  if (!limit.valid()) return EINVAL;
  if (worker_count() > 1) {
    for (int i = 0; i < kSpins; i++) {
      cpu::pause();
      if (is_locked(mutex)) continue;
      int error = real().pthread_mutex_trylock(mutex);
      if (error != EBUSY) return error;
    }
  }
  uint64_t deadline = limit.deadline();
  int attempts = 0;
  auto leave_queue = [&](int result) {
    if (attempts >= kStarving) add_starving(mutex, -1);
    return result;
  };
  for (;;) {
    Parked how = park({.key = park_key(KeyKind::lock, mutex),
                       .kind = WaitKind::lock,
                       .object = mutex,
                       .deadline = deadline,
                       .interruptible = woven() != nullptr,
                       .validate = [](void* locked) { return is_locked(locked); },
                       .argument = mutex});
    int error = real().pthread_mutex_trylock(mutex);
    if (error != EBUSY) return leave_queue(error);
    if (how == Parked::timed_out) return leave_queue(ETIMEDOUT);
    if (how == Parked::unparked && ++attempts == kStarving) add_starving(mutex, 1);
    if (how == Parked::interrupted) {
      Coroutine* self = woven();
      if (self && cancel_wanted_at_once(self)) {
        leave_queue(0);
        attempts = 0;
      }
      lock_wait_interrupted();
    }
  }
}

void wake_next(const pthread_mutex_t* mutex) {
  uint64_t key = park_key(KeyKind::lock, mutex);
  if (has_waiters(key)) [[unlikely]]
    unpark(key, 1);
}

// glibc's own steps for the default kind, without its calls: they cost as much again. False: it is of another kind, or taken, or the
// caller is no coroutine.
inline bool lock_plain(pthread_mutex_t* mutex, const Coroutine* self) {
  int expected = kFree;
  if (!self || kind_of(mutex) != PTHREAD_MUTEX_TIMED_NP ||
      !__atomic_compare_exchange_n(&mutex->__data.__lock, &expected, kTaken, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
    return false;
  __atomic_store_n(&mutex->__data.__owner, self->tid, __ATOMIC_RELAXED);
  mutex->__data.__nusers++;
  return true;
}
inline bool unlock_plain(pthread_mutex_t* mutex, const Coroutine* self) {
  if (!self || kind_of(mutex) != PTHREAD_MUTEX_TIMED_NP) return false;
  __atomic_store_n(&mutex->__data.__owner, 0, __ATOMIC_RELAXED);
  mutex->__data.__nusers--;
  int before = __atomic_exchange_n(&mutex->__data.__lock, kFree, __ATOMIC_SEQ_CST);
  if (before > kTaken) [[unlikely]]
    sys::call(SYS_futex, sys::word(&mutex->__data.__lock), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, 0, 0, 0);
  wake_next(mutex);
  return true;
}

int native_lock(pthread_mutex_t* mutex, const TimeLimit& limit) {
  if (!limit.time) return real().pthread_mutex_lock(mutex);
  return limit.clock == CLOCK_REALTIME ? real().pthread_mutex_timedlock(mutex, limit.time)
                                       : real().pthread_mutex_clocklock(mutex, limit.clock, limit.time);
}

int lock_other(pthread_mutex_t* mutex, const TimeLimit& limit) {
  if (!lot_in_use()) return native_lock(mutex, limit);
  if (int kind = kind_of(mutex); kind & kSpecial) [[unlikely]]
    return lock_special(
        kind, [&] { return real().pthread_mutex_trylock(mutex); }, [&] { return native_lock(mutex, limit); });
  int error = real().pthread_mutex_trylock(mutex);
  if (error != EBUSY) return error;
  return lock_contended(mutex, limit);
}

int unlock_other(pthread_mutex_t* mutex) {
  if (!lot_in_use()) return real().pthread_mutex_unlock(mutex);
  int kind = kind_of(mutex);
  if (kind & kSpecial) [[unlikely]]
    return woven() ? real().pthread_mutex_unlock(mutex)
                   : with_kernel_tid([&] { return real().pthread_mutex_unlock(mutex); });
  // A recursive mutex that stays locked wakes nobody.
  bool stays = (kind & kTypeMask) == PTHREAD_MUTEX_RECURSIVE && mutex->__data.__count > 1;
  int error = real().pthread_mutex_unlock(mutex);
  if (!error && !stays) wake_next(mutex);
  return error;
}

}  // namespace

int mutex_lock(pthread_mutex_t* mutex, const TimeLimit& limit) {
  return lock_plain(mutex, woven()) ? 0 : lock_other(mutex, limit);
}

int mutex_trylock(pthread_mutex_t* mutex) {
  if (lock_plain(mutex, woven())) return 0;
  if (lot_in_use() && (kind_of(mutex) & kSpecial)) [[unlikely]] {
    auto attempt = [&] { return real().pthread_mutex_trylock(mutex); };
    return lock_special(kind_of(mutex), attempt, attempt);
  }
  return real().pthread_mutex_trylock(mutex);
}

int mutex_unlock(pthread_mutex_t* mutex) { return unlock_plain(mutex, woven()) ? 0 : unlock_other(mutex); }

int mutex_unlock_fairly(pthread_mutex_t* mutex) {
  bool starved = somebody_starves(mutex);
  int error = mutex_unlock(mutex);
  if (starved && !error) [[unlikely]]
    if (Coroutine* self = woven()) yield(self);
  if (!error) chaos_at_hook();
  return error;
}

int mutex_may_unlock(const pthread_mutex_t* mutex) {
  int kind = kind_of(mutex);
  if (!(kind & kRobust) && !has_owner_check(kind)) return 0;
  int owner = __atomic_load_n(&mutex->__data.__owner, __ATOMIC_RELAXED);
  return owner == own_tid() || owner == (int)sys::gettid() ? 0 : EPERM;
}

}  // namespace weft

using namespace weft;

WEFT_EXPORT int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  Coroutine* self = woven();
  if (self) give_way_if_asked(self);
  if (lock_plain(mutex, self)) [[likely]]
    return 0;
  return lock_other(mutex, {});
}

WEFT_EXPORT int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept { return mutex_trylock(mutex); }

WEFT_EXPORT int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept {
  if (!somebody_starves(mutex) && !chaos && unlock_plain(mutex, woven())) [[likely]]
    return 0;
  return mutex_unlock_fairly(mutex);
}

WEFT_EXPORT int pthread_mutex_timedlock(pthread_mutex_t* mutex, const timespec* time) noexcept {
  if (Coroutine* self = woven()) give_way_if_asked(self);
  return mutex_lock(mutex, {time, CLOCK_REALTIME});
}

WEFT_EXPORT int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock, const timespec* time) noexcept {
  if (!lot_in_use() || !lock_clock(clock)) return real().pthread_mutex_clocklock(mutex, clock, time);
  if (Coroutine* self = woven()) give_way_if_asked(self);
  return mutex_lock(mutex, {time, clock});
}

// C11: mtx_t is a pthread_mutex_t, only the results have other names.

WEFT_EXPORT int mtx_lock(mtx_t* mutex) {
  if (Coroutine* self = woven()) give_way_if_asked(self);
  return c11_result(mutex_lock((pthread_mutex_t*)mutex, {}));
}

WEFT_EXPORT int mtx_timedlock(mtx_t* mutex, const timespec* time) {
  if (Coroutine* self = woven()) give_way_if_asked(self);
  return c11_result(mutex_lock((pthread_mutex_t*)mutex, {time, CLOCK_REALTIME}));
}

WEFT_EXPORT int mtx_trylock(mtx_t* mutex) { return c11_result(mutex_trylock((pthread_mutex_t*)mutex)); }

WEFT_EXPORT int mtx_unlock(mtx_t* mutex) { return c11_result(mutex_unlock_fairly((pthread_mutex_t*)mutex)); }

// The holder of a spin lock may be a coroutine of the same worker: after a short spin others get their turn.
WEFT_EXPORT int pthread_spin_lock(pthread_spinlock_t* lock) noexcept {
  if (!lot_in_use()) return real().pthread_spin_lock(lock);
  constexpr int kSpinsBeforeYield = 100;
  for (int spins = 0; pthread_spin_trylock(lock) != 0; spins++) {
    if (spins < kSpinsBeforeYield)
      cpu::pause();
    else if (Coroutine* self = woven())
      yield(self);
    else
      sys::call(SYS_sched_yield);
  }
  return 0;
}

// stdio locks streams past the hooks, so an unlock is not always seen and a waiter must sleep where glibc wakes it: in
// the kernel. The holder goes on with the worker that is handed on.
WEFT_EXPORT void flockfile(FILE* stream) noexcept {
  Coroutine* self = woven();
  if (!self) return real().flockfile(stream);
  give_way_if_asked(self);
  if (real().ftrylockfile(stream) == 0) return;
  blocking_call(RegionKind::lasting, [&] {
    real().flockfile(stream);
    return 0;
  });
}

WEFT_EXPORT int ftrylockfile(FILE* stream) noexcept { return real().ftrylockfile(stream); }

WEFT_EXPORT void funlockfile(FILE* stream) noexcept { real().funlockfile(stream); }
