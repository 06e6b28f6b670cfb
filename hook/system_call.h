// SPDX-License-Identifier: Apache-2.0
// What a number of syscall() is given and what a hook says to it.
#pragma once

#include "hook/hook.h"

namespace weft {

struct Arguments {
  long a, b, c, d, e, f;
};

template <class T>
T as(long value) {
  return (T)value;
}
inline void* pointer(long value) { return (void*)value; }

// What a hook said, if there is one for the number.
struct Answer {
  bool is_ours;
  long result;
};
constexpr Answer kNotOurs{false, 0};
inline Answer ours(long result) { return {true, result}; }

// Numbers that CPUs have which Linux came to early: later ones have only the calls that replace them (system_call_<cpu>.cc).
Answer older_call(long number, const Arguments& call);

}  // namespace weft
