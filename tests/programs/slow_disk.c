// SPDX-License-Identifier: Apache-2.0
// A thread waits for a slow disk, again and again, and each time the disk is done only when another thread, ready all the while, has
// had its turn.
#include "check.h"

#include <linux/futex.h>
#include <semaphore.h>
#include <sys/syscall.h>

#include "slow_disk.h"

enum { kTurns = 200 };

static sem_t asked;

static void* takes_turns(void* unused) {
  for (int turn = 0; turn < kTurns; turn++) {
    sem_wait(&asked);
    __atomic_add_fetch(&disk_turns, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &disk_turns, FUTEX_WAKE, 1, NULL, NULL, 0);
  }
  return NULL;
}

static void* syncs(void* unused) {
  for (int turn = 0; turn < kTurns; turn++) {
    sem_post(&asked);
    CHECK((turn % 2 == 0 ? fdatasync(turn) : fsync(turn)) == 0);
  }
  return NULL;
}

int main(void) {
  sem_init(&asked, 0, 0);
  pthread_t other = start_thread(takes_turns, NULL);
  in_thread(syncs, NULL);
  join_thread(other);
  SHOW(disk_turns);
  return finish();
}
