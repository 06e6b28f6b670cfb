// SPDX-License-Identifier: Apache-2.0
// The API's locks: a word or two each, tried without a call, waited for in the parking lot. All of them are hints to wake up by: who is
// woken tries again.
//
//   co_mutex_t    who holds it, 0 nobody; kWaits: somebody may wait. An unlocker that sees it wakes one, who competes anew
//   co_cond_t     nothing: its waiters are in the lot before they unlock
//   co_sem_t      the count
//   co_rwlock_t   readers, kWriter; and how many writers wait, before whom no new reader enters
#include "sched/api/api.h"
#include "sched/sys.h"

namespace weft {

namespace {

constexpr uint32_t kWaits = 1u << 31;
constexpr uint32_t kThread = 1u << 30;  // the owner is a kernel thread, by its number

std::atomic<uint32_t>& word(uint32_t& opaque) { return (std::atomic<uint32_t>&)opaque; }

uint32_t owner_word() {
  if (const Coroutine* self = caller()) return self->id & (kThread - 1);
  return kThread | ((uint32_t)sys::gettid() & (kThread - 1));
}

bool take(co_mutex_t* mutex, uint32_t waits) {
  uint32_t seen = 0;
  return word(mutex->opaque).compare_exchange_strong(seen, owner_word() | waits, std::memory_order_acquire);
}

// Says that somebody waits, if it is still held.
bool mutex_held(void* mutex) {
  auto& state = word(((co_mutex_t*)mutex)->opaque);
  uint32_t seen = state.load(std::memory_order_relaxed);
  while (seen)
    if (state.compare_exchange_weak(seen, seen | kWaits)) return true;
  return false;
}

// For one who has to hold it, whatever comes: a pthread_cancel too acts afterwards.
void lock_again(co_mutex_t* mutex) {
  Shield shield(caller());
  bool taken = take(mutex, 0);
  while (!taken) {
    park({.key = park_key(KeyKind::lock, mutex),
          .kind = WaitKind::co_lock,
          .object = mutex,
          .validate = mutex_held,
          .argument = mutex});
    taken = take(mutex, kWaits);
  }
}

}  // namespace
}  // namespace weft

using namespace weft;

WEFT_API int co_mutex_lock(co_mutex_t* mutex) {
  if (take(mutex, 0)) [[likely]]
    return 0;
  take_turn();
  for (;;) {
    int error = wait_for(KeyKind::lock, WaitKind::co_lock, mutex, mutex_held, mutex);
    // Others may wait that the one who woke this has not seen.
    if (take(mutex, kWaits)) return 0;
    if (error) return error;
  }
}

WEFT_API int co_mutex_trylock(co_mutex_t* mutex) { return take(mutex, 0) ? 0 : EBUSY; }

WEFT_API int co_mutex_unlock(co_mutex_t* mutex) {
  uint64_t key = park_key(KeyKind::lock, mutex);
  uint32_t before = word(mutex->opaque).exchange(0);
  if (!before) return EPERM;
  if (before & kWaits) unpark(key, 1);
  return 0;
}

WEFT_API int co_cond_wait(co_cond_t* cond, co_mutex_t* mutex) {
  if (!word(mutex->opaque).load(std::memory_order_relaxed)) return EPERM;
  take_turn();
  struct Wait {
    co_cond_t* cond;
    co_mutex_t* mutex;
  } wait = {cond, mutex};
  Parked how = park({.key = park_key(KeyKind::condition, cond),
                     .kind = WaitKind::condition,
                     .object = cond,
                     .interruptible = true,
                     .before_sleep = [](void* w) { co_mutex_unlock(((Wait*)w)->mutex); },
                     .argument = &wait});
  lock_again(mutex);
  return how == Parked::interrupted ? wait_interrupted() : 0;
}

WEFT_API int co_cond_signal(co_cond_t* cond) {
  uint64_t key = park_key(KeyKind::condition, cond);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (has_waiters(key)) unpark(key, 1);
  return 0;
}

WEFT_API int co_cond_broadcast(co_cond_t* cond) {
  uint64_t key = park_key(KeyKind::condition, cond);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (has_waiters(key)) unpark(key, ~0u);
  return 0;
}

WEFT_API int co_sem_trywait(co_sem_t* sem) {
  auto& count = word(sem->opaque);
  uint32_t seen = count.load(std::memory_order_relaxed);
  while (seen)
    if (count.compare_exchange_weak(seen, seen - 1, std::memory_order_acquire)) return 0;
  return EAGAIN;
}

WEFT_API int co_sem_wait(co_sem_t* sem) {
  take_turn();
  while (co_sem_trywait(sem)) {
    int error = wait_for(
        KeyKind::semaphore, WaitKind::semaphore, sem, [](void* s) { return word(((co_sem_t*)s)->opaque).load() == 0; },
        sem);
    if (!error) continue;
    if (!co_sem_trywait(sem)) return 0;
    return error;
  }
  return 0;
}

WEFT_API int co_sem_post(co_sem_t* sem) {
  uint64_t key = park_key(KeyKind::semaphore, sem);
  auto& count = word(sem->opaque);
  uint32_t seen = count.load(std::memory_order_relaxed);
  do
    if (seen == UINT32_MAX) return EOVERFLOW;
  while (!count.compare_exchange_weak(seen, seen + 1));
  if (has_waiters(key)) unpark(key, 1);
  return 0;
}

namespace {

constexpr uint32_t kWriter = 1u << 31;  // in opaque[0]; below it the number of readers
constexpr uint32_t kReads = 1, kWrites = 2;

bool may_read(const co_rwlock_t* lock) {
  return !(__atomic_load_n(&lock->opaque[0], __ATOMIC_SEQ_CST) & kWriter) &&
         !__atomic_load_n(&lock->opaque[1], __ATOMIC_SEQ_CST);
}

void wake_after(co_rwlock_t* lock) {
  uint64_t key = park_key(KeyKind::rwlock, lock);
  if (!has_waiters(key)) return;
  if (!unpark(key, 1, kWrites)) unpark(key, ~0u, kReads);
}

}  // namespace

WEFT_API int co_rwlock_tryrdlock(co_rwlock_t* lock) {
  auto& state = word(lock->opaque[0]);
  uint32_t seen = state.load(std::memory_order_relaxed);
  do
    if ((seen & kWriter) || seen == kWriter - 1 || !may_read(lock)) return EBUSY;
  while (!state.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire));
  return 0;
}

WEFT_API int co_rwlock_rdlock(co_rwlock_t* lock) {
  take_turn();
  for (;;) {
    if (!co_rwlock_tryrdlock(lock)) return 0;
    int error = wait_for(
        KeyKind::rwlock, WaitKind::co_rwlock_read, lock, [](void* l) { return !may_read((co_rwlock_t*)l); }, lock,
        kReads);
    if (error) return co_rwlock_tryrdlock(lock) ? error : 0;
  }
}

WEFT_API int co_rwlock_trywrlock(co_rwlock_t* lock) {
  uint32_t free = 0;
  return word(lock->opaque[0]).compare_exchange_strong(free, kWriter, std::memory_order_acquire) ? 0 : EBUSY;
}

WEFT_API int co_rwlock_wrlock(co_rwlock_t* lock) {
  take_turn();
  if (!co_rwlock_trywrlock(lock)) return 0;
  auto& waiting = word(lock->opaque[1]);
  waiting.fetch_add(1);
  int error = 0;
  while (co_rwlock_trywrlock(lock)) {
    if (error) break;
    error = wait_for(
        KeyKind::rwlock, WaitKind::co_rwlock_write, lock,
        [](void* l) { return word(((co_rwlock_t*)l)->opaque[0]).load() != 0; }, lock, kWrites);
    if (!error) continue;
    if (!co_rwlock_trywrlock(lock)) error = 0;
    break;
  }
  waiting.fetch_sub(1);
  if (error) wake_after(lock);  // readers that waited behind it
  return error;
}

WEFT_API int co_rwlock_unlock(co_rwlock_t* lock) {
  auto& state = word(lock->opaque[0]);
  uint32_t seen = state.load(std::memory_order_relaxed), left;
  do {
    if (!seen) return EPERM;
    left = seen & kWriter ? 0 : seen - 1;
  } while (!state.compare_exchange_weak(seen, left));
  if (!left) wake_after(lock);
  return 0;
}

namespace {

enum : uint32_t { kNotRun, kRuns, kHasRun };

bool once_runs(void* once) { return word(((co_once_t*)once)->opaque).load(std::memory_order_acquire) == kRuns; }

}  // namespace

WEFT_API int co_once(co_once_t* once, void (*fn)(void)) {
  auto& state = word(once->opaque);
  if (state.load(std::memory_order_acquire) == kHasRun) [[likely]]
    return 0;
  uint32_t seen = kNotRun;
  if (state.compare_exchange_strong(seen, kRuns)) {
    fn();
    state.store(kHasRun);
    if (has_waiters(park_key(KeyKind::once, once))) unpark(park_key(KeyKind::once, once), ~0u);
    return 0;
  }
  while (once_runs(once))
    park({.key = park_key(KeyKind::once, once),
          .kind = WaitKind::once,
          .object = once,
          .validate = once_runs,
          .argument = once});
  return 0;
}

WEFT_API int co_wait_group_add(co_wait_group_t* group, int count) {
  uint64_t key = park_key(KeyKind::group, group);
  auto& state = word(group->opaque);
  uint32_t seen = state.load(std::memory_order_relaxed);
  int64_t sum;
  do {
    sum = (int64_t)seen + count;
    if (sum < 0) return EINVAL;
    if (sum > UINT32_MAX) return EOVERFLOW;
  } while (!state.compare_exchange_weak(seen, (uint32_t)sum));
  if (!sum && has_waiters(key)) unpark(key, ~0u);
  return 0;
}

WEFT_API int co_wait_group_done(co_wait_group_t* group) { return co_wait_group_add(group, -1); }

namespace {

bool group_works(void* group) { return word(((co_wait_group_t*)group)->opaque).load() != 0; }

}  // namespace

WEFT_API int co_wait_group_wait(co_wait_group_t* group) {
  take_turn();
  while (group_works(group))
    if (int error = wait_for(KeyKind::group, WaitKind::group, group, group_works, group))
      return group_works(group) ? error : 0;
  return 0;
}
