// SPDX-License-Identifier: Apache-2.0
// A frame in a shared library: calls back what it was given.
extern "C" void inspect_library_call(void (*call)(void*), void* argument) {
  call(argument);
  // Not a tail call: the frame is to be there.
  asm volatile("" ::: "memory");
}
