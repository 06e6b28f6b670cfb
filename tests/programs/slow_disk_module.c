// SPDX-License-Identifier: Apache-2.0
// Stands for a slow disk: the fdatasync and fsync that come before libc's. Each waits in the kernel, past every hook, until another
// thread has done its part.
#include "slow_disk.h"

#include <sys/syscall.h>

int disk_turns;

static void wait_in_kernel(int* word, int value) {
  const struct { long seconds, nanoseconds; } limit = {10, 0};
  register const void* timeout __asm__("r10") = &limit;
  long result = SYS_futex;
  __asm__ volatile("syscall"
                   : "+a"(result)
                   : "D"(word), "S"(0), "d"((long)value), "r"(timeout)
                   : "rcx", "r11", "memory");
}

int fdatasync(int turn) {
  while (__atomic_load_n(&disk_turns, __ATOMIC_ACQUIRE) == turn) wait_in_kernel(&disk_turns, turn);
  return 0;
}

int fsync(int turn) { return fdatasync(turn); }
