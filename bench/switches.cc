// SPDX-License-Identifier: Apache-2.0
// What one switch costs between two flows of control: by setjmp and longjmp, by ucontext, by the switch of asm/ without and with the fs base, and
// by kernel threads that give way to each other. Weft's library is not in it: its hooks would be in front of the first two. Pin it to one CPU.
//     switches [SWITCHES]
// Prints one line of key=value: nanoseconds of one switch.
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/auxv.h>
#include <ucontext.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "asm/context.h"

extern "C" {
// weft_switch without its one instruction that loads the fs base, assembled from the same source (CMakeLists.txt).
uintptr_t bare_switch(weft::Context* from, weft::Context* to, uintptr_t message);
extern unsigned char bare_has_fsgsbase;
}

namespace {

constexpr size_t kStackSize = 64 * 1024;
alignas(64) char other_stack[kStackSize];
int64_t switches = 10'000'000;  // there and back together
int64_t counted;                // by the other side: every second one

double seconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

template <class Loop>
void measure(const char* name, int64_t count, Loop loop) {
  counted = 0;
  loop(count / 1000);
  counted = 0;
  double before = seconds();
  loop(count);
  double each = (seconds() - before) / static_cast<double>(count) * 1e9;
  if (counted < count / 2) {
    fprintf(stderr, "switches: %s: the other side ran %ld times in %ld switches\n", name, static_cast<long>(counted),
            static_cast<long>(count));
    exit(1);
  }
  printf("%s=%.2f ", name, each);
}

// ucontext, with the two system calls of each switch that save and set the signal mask.
ucontext_t here, other;

void other_by_ucontext() {
  for (;;) {
    counted++;
    swapcontext(&other, &here);
  }
}

void by_ucontext(int64_t count) {
  for (int64_t i = 0; i < count; i += 2) swapcontext(&here, &other);
}

// setjmp and longjmp, on a stack that ucontext has made once; the mask is not saved.
jmp_buf jump_here, jump_other;
int64_t jumps_left;  // no local: a jump may bring back its value of before

void other_by_jumps() {
  if (_setjmp(jump_other) == 0) swapcontext(&other, &here);
  for (;;) {
    counted++;
    if (_setjmp(jump_other) == 0) _longjmp(jump_here, 1);
  }
}

void by_jumps(int64_t count) {
  jumps_left = count;
  while (jumps_left > 0) {
    jumps_left -= 2;
    if (_setjmp(jump_here) == 0) _longjmp(jump_other, 1);
  }
}

void make_other(void (*function)()) {
  getcontext(&other);
  other.uc_stack.ss_sp = other_stack;
  other.uc_stack.ss_size = kStackSize;
  makecontext(&other, function, 0);
}

// The switch of asm/. Both sides have the same TLS, so that what differs is the instruction alone.
weft::Context context_here, context_other;
uintptr_t (*switch_by)(weft::Context*, weft::Context*, uintptr_t);

void make_context_other() {
  auto* frame = reinterpret_cast<weft::Frame*>(other_stack + kStackSize - 64 - sizeof(weft::Frame));
  *frame = {};
  frame->rip = reinterpret_cast<void*>(&weft_context_entry);
  context_other = {frame, __builtin_thread_pointer(), 0};
  context_here = {nullptr, __builtin_thread_pointer(), 0};
}

template <uintptr_t (*kSwitch)(weft::Context*, weft::Context*, uintptr_t)>
void by_asm(int64_t count) {
  for (int64_t i = 0; i < count; i += 2) kSwitch(&context_here, &context_other, 0);
}

std::atomic<int> last;

void* turns(void* side) {
  int self = side != nullptr;
  for (int64_t i = 0; i < switches / 20; i++) {
    if (last.load(std::memory_order_relaxed) != self) {
      last.store(self, std::memory_order_relaxed);
      counted++;  // one CPU, and one at a time
    }
    sched_yield();
  }
  return nullptr;
}

void by_threads(int64_t) {
  pthread_t sides[2];
  for (intptr_t side = 0; side < 2; side++)
    if (pthread_create(&sides[side], nullptr, turns, reinterpret_cast<void*>(side)) != 0) exit(1);
  for (pthread_t side : sides) pthread_join(side, nullptr);
}

}  // namespace

void weft_coroutine_main(void*, uintptr_t) {
  for (;;) {
    counted++;
    switch_by(&context_other, &context_here, 0);
  }
}

int main(int count, char** words) {
  if (count > 1) switches = atoll(words[1]);
  make_other(other_by_jumps);
  swapcontext(&here, &other);
  measure("setjmp_longjmp", switches, by_jumps);
  make_other(other_by_ucontext);
  measure("ucontext", switches / 10, by_ucontext);
  weft_has_fsgsbase = (getauxval(AT_HWCAP2) & 2) != 0;
  bare_has_fsgsbase = 1;  // nothing is loaded, so nothing is asked of the kernel either
  switch_by = bare_switch;
  make_context_other();
  measure("asm_without_tls", switches, by_asm<bare_switch>);
  switch_by = weft_switch;
  make_context_other();
  measure("asm_with_tls", switches, by_asm<weft_switch>);
  measure("threads", switches / 10, by_threads);
  puts("");
  return 0;
}
