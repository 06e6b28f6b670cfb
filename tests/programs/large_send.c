// SPDX-License-Identifier: Apache-2.0
// One call that sends megabytes to a slow reader returns when all is sent: send, write, writev, sendmsg; sockets and
// pipes.
#include "socket_pairs.h"

#include <sys/uio.h>

enum { kSize = 3 << 20, kPiece = 10007 };

struct transfer {
  int fd;
  int how;
  ssize_t sent;
};

static char* data;

static void* sender(void* argument) {
  struct transfer* transfer = argument;
  struct iovec parts[3] = {{data, 1000}, {data + 1000, kSize / 2}, {data + 1000 + kSize / 2, kSize - 1000 - kSize / 2}};
  struct msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = parts;
  message.msg_iovlen = 3;
  switch (transfer->how) {
    case 0:
      transfer->sent = send(transfer->fd, data, kSize, 0);
      break;
    case 1:
      transfer->sent = write(transfer->fd, data, kSize);
      break;
    case 2:
      transfer->sent = writev(transfer->fd, parts, 3);
      break;
    default:
      transfer->sent = sendmsg(transfer->fd, &message, 0);
      break;
  }
  close(transfer->fd);
  return NULL;
}

static long receive_all(int fd, int* same) {
  static char buffer[kPiece];
  long total = 0;
  ssize_t got;
  *same = 1;
  while ((got = read(fd, buffer, sizeof buffer)) > 0) {
    if (memcmp(buffer, data + total, (size_t)got) != 0) *same = 0;
    total += got;
  }
  close(fd);
  return total;
}

static void* receiver(void* argument) {
  int same;
  long total = receive_all((int)as_long(argument), &same);
  CHECK(same);
  return as_pointer(total);
}

int main(void) {
  static const char* const kinds[] = {"tcp", "socketpair", "pipe"};
  static const char* const calls[] = {"send", "write", "writev", "sendmsg"};
  data = malloc(kSize);
  for (int i = 0; i < kSize; i++) data[i] = (char)(i * 2654435761u >> 13);
  for (int kind = 0; kind < 3; kind++) {
    for (int how = 0; how < 4; how++) {
      int pair[2], pipe_ends[2];
      if (kind == 2) {
        if (how == 0 || how == 3) continue;
        MUST(pipe(pipe_ends) == 0);
        pair[0] = pipe_ends[1];
        pair[1] = pipe_ends[0];
      } else if (kind == 1) {
        unix_pair(SOCK_STREAM, pair);
      } else {
        tcp_pair(pair);
      }
      struct transfer transfer = {pair[0], how, -1};
      pthread_t thread = start_thread(sender, &transfer);
      // The reader is main in one half of the cases and a thread in the other.
      long total =
          how % 2 == 0 ? as_long(receiver(as_pointer(pair[1]))) : as_long(in_thread(receiver, as_pointer(pair[1])));
      join_thread(thread);
      say("%s over %s: sent %zd, received %ld", calls[how], kinds[kind], transfer.sent, total);
    }
  }
  free(data);
  return finish();
}
