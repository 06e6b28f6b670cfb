// SPDX-License-Identifier: Apache-2.0
// Vectors that are cut in the middle of a buffer: what follows a cut buffer must be sent and received at once, without
// waiting for another event, which need not come.
#include "socket_pairs.h"

#include <sys/uio.h>

enum { kParts = 40, kPart = 100003, kTotal = kParts * kPart };

static char *sent, *received;

static void fill(struct iovec* parts, char* data) {
  for (int i = 0; i < kParts; i++) parts[i] = (struct iovec){data + i * kPart, kPart};
}

// Reads with pauses until the sender must have met a full buffer, then as fast as it can.
static void* reads_slowly(void* argument) {
  int fd = (int)as_long(argument);
  long total = 0;
  ssize_t got;
  while ((got = read(fd, received + total, 30011)) > 0) {
    total += got;
    if (total < 600000) usleep(1000);  // slower than the writer, so that its vectors are cut
    if (total == kTotal) break;
  }
  return as_pointer(total);
}

static void* sends_vector(void* argument) {
  struct iovec parts[kParts];
  fill(parts, sent);
  return as_pointer(writev((int)as_long(argument), parts, kParts));
}

static void* sends_slowly(void* argument) {
  int fd = (int)as_long(argument);
  for (long total = 0; total < kTotal;) {
    size_t piece = (size_t)(total + 70001 < kTotal ? 70001 : kTotal - total);
    ssize_t put = write(fd, sent + total, piece);
    MUST(put > 0);
    total += put;
    if (total % 700010 == 0) usleep(1000);  // now and then the reader finds nothing
  }
  return NULL;
}

static void* receives_vector(void* argument) {
  struct iovec parts[kParts];
  fill(parts, received);
  struct msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = parts;
  message.msg_iovlen = kParts;
  return as_pointer(recvmsg((int)as_long(argument), &message, MSG_WAITALL));
}

static void over(const char* what, int fds[2]) {
  memset(received, 0, kTotal);
  pthread_t sender = start_thread(sends_vector, as_pointer(fds[0]));
  pthread_t reader = start_thread(reads_slowly, as_pointer(fds[1]));
  long put = as_long(join_thread(sender)), got = as_long(join_thread(reader));
  say("%s: sent %ld, read %ld, %s", what, put, got, memcmp(sent, received, kTotal) ? "different" : "the same");
}

static void wait_for_all(const char* what, int fds[2]) {
  memset(received, 0, kTotal);
  pthread_t reader = start_thread(receives_vector, as_pointer(fds[1]));
  pthread_t sender = start_thread(sends_slowly, as_pointer(fds[0]));
  join_thread(sender);
  long got = as_long(join_thread(reader));
  say("%s: received %ld, %s", what, got, memcmp(sent, received, kTotal) ? "different" : "the same");
}

int main(void) {
  sent = malloc(kTotal);
  received = malloc(kTotal);
  for (int i = 0; i < kTotal; i++) sent[i] = (char)(i * 7 + i / 1000);
  int fds[2];
  for (int round = 0; round < 5; round++) {
    tcp_pair(fds);
    int room = 300000;  // less than is sent, and not a multiple of a buffer
    MUST(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room) == 0);
    over("tcp", fds);
    wait_for_all("tcp", fds);
    close(fds[0]);
    close(fds[1]);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    over("unix", fds);
    wait_for_all("unix", fds);
    close(fds[0]);
    close(fds[1]);
    MUST(pipe(fds) == 0);
    int ends[2] = {fds[1], fds[0]};
    over("pipe", ends);
    close(fds[0]);
    close(fds[1]);
  }
  return finish();
}
