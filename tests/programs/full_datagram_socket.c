// SPDX-License-Identifier: Apache-2.0
// Sends to the address of an AF_UNIX datagram socket whose queue is full: they wait until the receiver has taken what is there.
#include "check.h"

#include <semaphore.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { kMore = 20 };

static struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "receiver"};
static sem_t full;

// Another socket fills the queue: what the receiver takes of it is nothing that the waiting socket would be told of.
static void* sends(void* unused) {
  int filler = socket(AF_UNIX, SOCK_DGRAM, 0), sender = socket(AF_UNIX, SOCK_DGRAM, 0);
  long sent = 0;
  while (sendto(filler, &sent, sizeof sent, MSG_DONTWAIT, (struct sockaddr*)&address, sizeof address) > 0) sent++;
  CHECK(errno == EAGAIN && sent > 0);
  sem_post(&full);
  for (int i = 0; i < kMore; i++, sent++)
    CHECK(sendto(sender, &sent, sizeof sent, 0, (struct sockaddr*)&address, sizeof address) == sizeof sent);
  long end = -1;
  CHECK(sendto(sender, &end, sizeof end, 0, (struct sockaddr*)&address, sizeof address) == sizeof end);
  close(filler);
  close(sender);
  return unused;
}

int main(void) {
  int receiver = socket(AF_UNIX, SOCK_DGRAM, 0);
  sem_init(&full, 0, 0);
  MUST(bind(receiver, (struct sockaddr*)&address, sizeof address) == 0);
  pthread_t thread = start_thread(sends, NULL);
  sem_wait(&full);
  long in_order = 0, number;
  for (int i = 0;; i++) {
    if (i < 3) settle();  // the sender waits again
    MUST(read(receiver, &number, sizeof number) == sizeof number);
    if (number == -1) break;
    in_order += number == in_order;
  }
  join_thread(thread);
  say("more than %d datagrams, in order: %d", kMore, in_order > kMore);
  close(receiver);
  return finish();
}
