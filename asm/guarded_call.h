// SPDX-License-Identifier: Apache-2.0
// A call that notices when it is left by unwinding (a C++ exception, pthread_exit, a cancellation), without a C++
// runtime.
#pragma once

#include <cstdint>

extern "C" {
// Calls routine(). When its frame is unwound instead of returned to, the frame's personality, weft_call_unwound, runs
// in the unwinding thread. One after the other, innermost call first.
void weft_guarded_call(void (*routine)());

// The personality in the sense of the Itanium C++ ABI. `actions` has bit 1 set in the phase that unwinds. Returns
// _URC_CONTINUE_UNWIND (8): there is no landing pad.
int weft_call_unwound(int version, int actions, uint64_t exception_class, void* exception, void* context);
}
