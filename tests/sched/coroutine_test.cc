// SPDX-License-Identifier: Apache-2.0
// Coroutines from the inside: their TLS, their ends, joins, yields, sleeps, regions and the hand-off, with the runtime alone and no hooks.
#include "sched/coroutine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <vector>

#include "sched/clock.h"
#include "sched/runtime.h"
#include "sched/sys.h"
#include "sched/thread_state.h"
#include "sched/tls_block.h"
#include "sched/worker.h"
#include "tests/sched/runtime_environment.h"

namespace weft {
namespace {

thread_local long of_thread = 7;

// Nothing may be left behind by a test.
class CoroutineTest : public testing::Test {
 protected:
  void TearDown() override {
    EXPECT_EQ(live_coroutines(), 0u);
    EXPECT_EQ(total(Metric::coroutines_created), total(Metric::coroutines_finished));
    EXPECT_EQ(total(Metric::parks), total(Metric::wakes));
  }
  static unsigned long start(void* (*body)(void*), void* argument = nullptr, SpawnAttributes attributes = {}) {
    unsigned long thread = 0;
    EXPECT_EQ(spawn(&thread, body, argument, attributes), 0);
    return thread;
  }
  static void* end_of(unsigned long thread) {
    void* result = nullptr;
    EXPECT_EQ(join(coroutine_of(thread), &result, kNever), 0);
    return result;
  }
  // coroutine_gone counts after the joiner may have gone on.
  static void settle_counts() {
    while (live_coroutines() || total(Metric::coroutines_created) != total(Metric::coroutines_finished))
      sys::call(SYS_sched_yield);
  }
};

void sleep_for(uint64_t nanoseconds) {
  Coroutine* self = woven();
  enter(self);
  uint64_t ticket = self->waiter.begin(false);
  block_coroutine(self, ticket, deadline_in(nanoseconds));
  leave(self);
}

TEST_F(CoroutineTest, KeepsErrnoAndTlsOverSwitches) {
  std::vector<unsigned long> threads;
  for (long i = 1; i <= 500; i++)
    threads.push_back(start(
        [](void* argument) -> void* {
          long number = (long)argument;
          errno = (int)number;
          of_thread = number;
          bool right = true;
          for (int round = 0; round < 20; round++) {
            yield(woven());
            char text[32];
            snprintf(text, sizeof text, "%.1f", (double)number);
            free(malloc(64));
            right = right && errno == (int)number && of_thread == number && atof(text) == (double)number;
          }
          return (void*)(long)right;
        },
        (void*)i));
  for (unsigned long thread : threads) EXPECT_EQ(end_of(thread), (void*)1);
  settle_counts();
}

TEST_F(CoroutineTest, HasATidAndAPthreadOfItsOwn) {
  unsigned long thread = start([](void*) -> void* {
    Coroutine* self = woven();
    return (void*)(long)(pthread_self() == (pthread_t)self->tcb && coroutine_by_tid(self->tid) == self &&
                         self->tid > 1 << 22);
  });
  EXPECT_EQ(end_of(thread), (void*)1);
  EXPECT_EQ(coroutine_of((unsigned long)pthread_self()), nullptr);
  settle_counts();
}

// What glibc and the kernel would otherwise believe of a thread that is a copy of another.
TEST_F(CoroutineTest, ItsControlBlockSaysNothingOfTheMould) {
  static const uint32_t *list, *size;
  static const ptrdiff_t* rseq;
  static const unsigned* rseq_size;
  list = (const uint32_t*)dlsym(RTLD_DEFAULT, "_thread_db_pthread_list");
  size = (const uint32_t*)dlsym(RTLD_DEFAULT, "_thread_db_sizeof_pthread");
  rseq = (const ptrdiff_t*)dlsym(RTLD_DEFAULT, "__rseq_offset");
  rseq_size = (const unsigned*)dlsym(RTLD_DEFAULT, "__rseq_size");
  ASSERT_TRUE(list && size && rseq && rseq_size);
  unsigned long thread = start([](void*) -> void* {
    const Coroutine* self = woven();
    char* tcb = (char*)self->tcb;
    void** links = (void**)(tcb + list[2]);
    EXPECT_NE(links[0], links);  // glibc has it in its list
    EXPECT_TRUE(((void***)links[0])[1] == links && ((void***)links[1])[0] == links);
    EXPECT_EQ(*(int*)((char*)__builtin_thread_pointer() + *rseq + 4), *rseq_size ? -1 : -2);
    bool has_bounds = false;
    for (void** word = (void**)tcb; (char*)(word + 2) <= tcb + *size; word++)
      has_bounds = has_bounds || (word[0] == self->stack_low && word[1] == (void*)self->stack_size);
    EXPECT_TRUE(has_bounds);
    return nullptr;
  });
  end_of(thread);
  settle_counts();
}

// AddressSanitizer's pthread_create gives every thread of glibc's a value; a copy of it would be destroyed once for each coroutine.
TEST_F(CoroutineTest, BeginsWithoutValuesOfKeys) {
  static unsigned with_value;
  with_value = 0;
  unsigned long thread = start([](void*) -> void* {
    for (unsigned key = 0; key < PTHREAD_KEYS_MAX; key++) with_value += pthread_getspecific(key) != nullptr;
    return nullptr;
  });
  end_of(thread);
  EXPECT_EQ(with_value, 0u);
  settle_counts();
}

TEST_F(CoroutineTest, RunsOnTheStackItIsGiven) {
  std::vector<char> memory(tls_block_size() + (256 << 10));
  SpawnAttributes attributes;
  attributes.stack = memory.data();
  attributes.stack_size = memory.size();
  unsigned long thread = start([](void*) -> void* { return __builtin_frame_address(0); }, nullptr, attributes);
  char* frame = (char*)end_of(thread);
  EXPECT_GE(frame, memory.data());
  EXPECT_LT(frame, memory.data() + memory.size());
  settle_counts();
}

TEST_F(CoroutineTest, UnwindsFromPthreadExitToItsFirstFrame) {
  static bool cleaned;
  cleaned = false;
  unsigned long thread = start([](void*) -> void* {
    struct Guard {
      ~Guard() { cleaned = true; }
    } guard;
    woven()->result = (void*)77;
    real_calls.pthread_exit((void*)77);
    return nullptr;
  });
  EXPECT_EQ(end_of(thread), (void*)77);
  EXPECT_TRUE(cleaned);
  settle_counts();
}

TEST_F(CoroutineTest, JoinsAreExact) {
  unsigned long thread = start([](void*) -> void* {
    EXPECT_EQ(join(thread_state.identity, nullptr, kNever), EDEADLK);
    sleep_for(20'000'000);
    return nullptr;
  });
  EXPECT_EQ(join(coroutine_of(thread), nullptr, 0), EBUSY);
  EXPECT_EQ(join(coroutine_of(thread), nullptr, deadline_in(1)), ETIMEDOUT);
  end_of(thread);
  SpawnAttributes detached;
  detached.detached = true;
  std::atomic<int> gate{0};
  thread = start(
      [](void* argument) -> void* {
        while (!((std::atomic<int>*)argument)->load()) yield(woven());
        return nullptr;
      },
      &gate, detached);
  EXPECT_EQ(join(coroutine_of(thread), nullptr, kNever), EINVAL);
  EXPECT_EQ(detach(coroutine_of(thread)), EINVAL);
  gate = 1;
  settle_counts();
}

TEST_F(CoroutineTest, SleepersWakeInOrderOfTheirDeadlines) {
  static std::atomic<int> order;
  order = 0;
  std::vector<unsigned long> threads;
  for (long i = 3; i > 0; i--)
    threads.push_back(start(
        [](void* argument) -> void* {
          sleep_for((uint64_t)(long)argument * 60'000'000);
          return (void*)(long)++order;
        },
        (void*)i));
  EXPECT_EQ(end_of(threads[0]), (void*)3);
  EXPECT_EQ(end_of(threads[1]), (void*)2);
  EXPECT_EQ(end_of(threads[2]), (void*)1);
  settle_counts();
}

TEST_F(CoroutineTest, OthersRunBesideOnesThatCompute) {
  static std::atomic<bool> stop;
  stop = false;
  std::vector<unsigned long> busy;
  for (int i = 0; i < 4; i++)
    busy.push_back(start([](void*) -> void* {
      while (!stop.load(std::memory_order_relaxed)) {
      }
      return nullptr;
    }));
  // With two workers and four that never give way, this one runs only because the monitor takes a worker.
  unsigned long other = start([](void*) -> void* {
    sleep_for(1'000'000);
    stop = true;
    return nullptr;
  });
  end_of(other);
  for (unsigned long thread : busy) end_of(thread);
  EXPECT_GT(total(Metric::handoffs), 0u);
  settle_counts();
}

TEST_F(CoroutineTest, ALastingRegionKeepsNobodyWaiting) {
  static int pipe_ends[2];
  ASSERT_EQ(sys::call(SYS_pipe2, sys::word(pipe_ends), 0), 0);
  std::vector<unsigned long> blocked;
  for (int i = 0; i < 8; i++)
    blocked.push_back(start([](void*) -> void* {
      return (void*)in_region(RegionKind::lasting, [] {
        char byte;
        return sys::call(SYS_read, pipe_ends[0], sys::word(&byte), 1);
      });
    }));
  unsigned long writer = start([](void*) -> void* {
    for (int i = 0; i < 8; i++) {
      yield(woven());
      sys::write(pipe_ends[1], "x", 1);
    }
    return nullptr;
  });
  end_of(writer);
  for (unsigned long thread : blocked) EXPECT_EQ(end_of(thread), (void*)1);
  sys::close(pipe_ends[0]);
  sys::close(pipe_ends[1]);
  settle_counts();
}

TEST_F(CoroutineTest, APinnedOneIsAKernelThread) {
  unsigned long thread = start([](void*) -> void* {
    long before = sys::gettid();
    pin_current(PinReason::kernel_state);
    EXPECT_EQ(woven(), nullptr);
    EXPECT_NE(thread_state.identity, nullptr);
    return (void*)(long)(sys::gettid() == before);
  });
  EXPECT_EQ(end_of(thread), (void*)1);
  settle_counts();
}

TEST_F(CoroutineTest, ManyComeAndGoOverFewBlocks) {
  uint64_t cast = total(Metric::blocks_cast);
  unsigned long thread = start([](void*) -> void* {
    for (int i = 0; i < 10000; i++) {
      unsigned long child;
      if (spawn(&child, [](void* argument) { return argument; }, (void*)(long)i, {})) return nullptr;
      void* result;
      if (join(coroutine_of(child), &result, kNever) || result != (void*)(long)i) return nullptr;
    }
    return (void*)1;
  });
  EXPECT_EQ(end_of(thread), (void*)1);
  settle_counts();
  EXPECT_LT(total(Metric::blocks_cast) - cast, 100u);
}

}  // namespace
}  // namespace weft
