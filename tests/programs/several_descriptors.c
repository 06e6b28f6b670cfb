// SPDX-License-Identifier: Apache-2.0
// A thread that waits for several descriptors at once, by poll and by select: exactly those are reported that have something, again as
// long as it is not taken, whichever they are and however the wait before ended.
#include "socket_pairs.h"

#include <poll.h>
#include <semaphore.h>
#include <sys/select.h>

enum { kSockets = 4, kSteps = 400 };

static int near[kSockets], far[kSockets], other_pipe[2];
static int by_select;
static sem_t seen;

// Which of the sockets have data, a bit each; with `room`, whether the second one has room as well, as bit 8.
static int look(int room) {
  int found = 0;
  if (by_select) {
    fd_set readable, writable;
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    int most = other_pipe[0];
    for (int i = 0; i < kSockets; i++) {
      FD_SET(near[i], &readable);
      if (near[i] > most) most = near[i];
    }
    FD_SET(other_pipe[0], &readable);
    if (room) FD_SET(near[1], &writable);
    int count = select(most + 1, &readable, &writable, NULL, NULL), bits = 0;
    for (int i = 0; i < kSockets; i++)
      if (FD_ISSET(near[i], &readable)) found |= 1 << i, bits++;
    if (FD_ISSET(near[1], &writable)) found |= 1 << 8, bits++;
    CHECK(count == bits && !FD_ISSET(other_pipe[0], &readable));
    return found;
  }
  struct pollfd entries[kSockets + 1];
  for (int i = 0; i < kSockets; i++) entries[i] = (struct pollfd){near[i], i % 2 ? POLLIN : POLLIN | POLLRDHUP, 0x7f};
  entries[kSockets] = (struct pollfd){other_pipe[0], POLLIN, 0x7f};
  if (room) entries[1].events |= POLLOUT;
  int count = poll(entries, kSockets + 1, -1), bits = 0;
  for (int i = 0; i < kSockets; i++) {
    CHECK((entries[i].revents & ~(POLLIN | POLLOUT)) == 0);
    if (entries[i].revents & POLLIN) found |= 1 << i;
    if (entries[i].revents & POLLOUT) found |= 1 << 8;
    if (entries[i].revents) bits++;
  }
  CHECK(count == bits && entries[kSockets].revents == 0);
  return found;
}

static int sent_at(int step) { return (step * 7 + step / 5) % kSockets; }

// Each message is awaited, and now and then left for a second look, or found by one that asks for room too.
static void* waits(void* unused) {
  (void)unused;
  for (int step = 0; step < kSteps; step++) {
    int wanted = 1 << sent_at(step), found = look(0);
    CHECK(found == wanted);
    if (step % 3 == 0) CHECK(look(0) == wanted);
    if (step % 4 == 0) CHECK(look(1) == (wanted | 1 << 8));
    char message[8];
    CHECK(read(near[sent_at(step)], message, step % 5 ? sizeof message : 4) == (step % 5 ? 8 : 4));
    if (step % 5 == 0) {
      CHECK(look(0) == wanted);
      CHECK(read(near[sent_at(step)], message, sizeof message) == 4);
    }
    if (step % 6 == 0) CHECK(look(1) == 1 << 8);
    sem_post(&seen);
  }
  return NULL;
}

static void exchange(int with_select) {
  by_select = with_select;
  for (int i = 0; i < kSockets; i++) {
    int pair[2];
    if (i % 2)
      unix_pair(SOCK_STREAM, pair);
    else
      tcp_pair(pair);
    near[i] = pair[0];
    far[i] = pair[1];
  }
  MUST(pipe(other_pipe) == 0);
  pthread_t waiter = start_thread(waits, NULL);
  for (int step = 0; step < kSteps; step++) {
    MUST(write(far[sent_at(step)], "12345678", 8) == 8);
    MUST(sem_wait(&seen) == 0);
  }
  join_thread(waiter);
  for (int i = 0; i < kSockets; i++) {
    close(near[i]);
    close(far[i]);
  }
  close(other_pipe[0]);
  close(other_pipe[1]);
}

static void* both(void* unused) {
  (void)unused;
  exchange(0);
  exchange(1);
  return NULL;
}

int main(void) {
  sem_init(&seen, 0, 0);
  in_thread(both, NULL);
  both(NULL);
  say("all as sent");
  return finish();
}
