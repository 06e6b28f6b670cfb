// SPDX-License-Identifier: Apache-2.0
// Chains of frames that the tests know: level n goes through libc, a shared library, a template or an alloca, as n mod 4 says, in one of two
// flavours whose functions have names of their own. So a stack that is made of two moments shows: levels or flavours are mixed.
//
// Frames of a level, outer one first (x: a or b):
//   0  x_through_libc, qsort's, x_compare      1  x_through_library, inspect_library_call, x_called_back
//   2  x_template<n>::descend                   3  x_through_alloca
// and at the end x_bottom, which calls what is done there.
#pragma once

#include <alloca.h>
#include <stdlib.h>

extern "C" void inspect_library_call(void (*call)(void*), void* argument);

struct Descent {
  int depth = 0;  // levels
  int level = 0;  // the next one
  void (*at_bottom)(Descent*) = nullptr;
  void* argument = nullptr;
};

#define KEEP_FRAME asm volatile("" ::: "memory")

#define DESCENT(x)                                                       \
  [[gnu::noinline]] static void x##_descend(Descent* d);                 \
  static thread_local Descent* x##_now;                                  \
  [[gnu::noinline]] static int x##_compare(const void* a, const void*) { \
    if (*(const char*)a == 1 && x##_now != nullptr) {                    \
      Descent* d = x##_now;                                              \
      x##_now = nullptr;                                                 \
      x##_descend(d);                                                    \
      KEEP_FRAME;                                                        \
    }                                                                    \
    return 0;                                                            \
  }                                                                      \
  [[gnu::noinline]] static void x##_through_libc(Descent* d) {           \
    char two[2] = {1, 1};                                                \
    x##_now = d;                                                         \
    qsort(two, 2, 1, x##_compare);                                       \
    KEEP_FRAME;                                                          \
  }                                                                      \
  [[gnu::noinline]] static void x##_called_back(void* d) {               \
    x##_descend((Descent*)d);                                            \
    KEEP_FRAME;                                                          \
  }                                                                      \
  [[gnu::noinline]] static void x##_through_library(Descent* d) {        \
    inspect_library_call(x##_called_back, d);                            \
    KEEP_FRAME;                                                          \
  }                                                                      \
  template <int N>                                                       \
  struct x##_template {                                                  \
    [[gnu::noinline]] static void descend(Descent* d) {                  \
      char space[16 + 48 * N];                                           \
      asm volatile("" : : "r"(space) : "memory");                        \
      x##_descend(d);                                                    \
      KEEP_FRAME;                                                        \
    }                                                                    \
  };                                                                     \
  [[gnu::noinline]] static void x##_through_alloca(Descent* d) {         \
    void* space = alloca(32 + (size_t)d->level * 40);                    \
    asm volatile("" : : "r"(space) : "memory");                          \
    x##_descend(d);                                                      \
    KEEP_FRAME;                                                          \
  }                                                                      \
  [[gnu::noinline]] static void x##_bottom(Descent* d) {                 \
    d->at_bottom(d);                                                     \
    KEEP_FRAME;                                                          \
  }                                                                      \
  static void x##_descend(Descent* d) {                                  \
    if (d->level == d->depth) {                                          \
      x##_bottom(d);                                                     \
      KEEP_FRAME;                                                        \
      return;                                                            \
    }                                                                    \
    const int level = d->level++;                                        \
    switch (level % 4) {                                                 \
      case 0:                                                            \
        x##_through_libc(d);                                             \
        break;                                                           \
      case 1:                                                            \
        x##_through_library(d);                                          \
        break;                                                           \
      case 2:                                                            \
        if (level % 3 == 0)                                              \
          x##_template<0>::descend(d);                                   \
        else if (level % 3 == 1)                                         \
          x##_template<1>::descend(d);                                   \
        else                                                             \
          x##_template<2>::descend(d);                                   \
        break;                                                           \
      case 3:                                                            \
        x##_through_alloca(d);                                           \
        break;                                                           \
    }                                                                    \
    KEEP_FRAME;                                                          \
  }

DESCENT(a)
DESCENT(b)

inline void descend(Descent* d, bool b) {
  d->level = 0;
  b ? b_descend(d) : a_descend(d);
  KEEP_FRAME;
}
