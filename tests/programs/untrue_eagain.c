// SPDX-License-Identifier: Apache-2.0
// A sandbox says EAGAIN to one way of reading a socket, whatever there is. Who then asks poll is told of the data, and another way of
// reading gets it. The sandbox is the parent's, which is the same program: what a process does to itself would tell weft that its
// threads are special.
#include "check.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { kRefused = MSG_DONTWAIT | MSG_CMSG_CLOEXEC, kRounds = 3 };

static void refuse(void) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_recvfrom, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[3])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kRefused, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
}

static int told_by_poll(int fd) {
  struct pollfd asked = {fd, POLLIN, 0};
  return poll(&asked, 1, -1) == 1 && asked.revents == POLLIN;
}

static int told_by_select(int fd) {
  fd_set asked;
  FD_ZERO(&asked);
  FD_SET(fd, &asked);
  return select(fd + 1, &asked, NULL, NULL, NULL) == 1 && FD_ISSET(fd, &asked);
}

static void* reads(void* argument) {
  int fd = *(int*)argument;
  char byte;
  for (int round = 0; round < kRounds; round++) {
    CHECK(told_by_poll(fd));  // whatever announced the byte has been seen by now
    errno = 0;
    CHECK(recv(fd, &byte, 1, kRefused) == -1 && errno == EAGAIN);
    CHECK(round % 2 ? told_by_select(fd) : told_by_poll(fd));
    CHECK(read(fd, &byte, 1) == 1 && byte == (char)('a' + round));
    MUST(write(fd, &byte, 1) == 1);
  }
  return NULL;
}

int main(int argc, char** argv) {
  if (argc == 1) {
    refuse();
    char* again[] = {argv[0], (char*)"inside", NULL};
    execv(argv[0], again);
    MUST(0);
  }
  int ends[2];
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  pthread_t thread = start_thread(reads, &ends[1]);
  for (int round = 0; round < kRounds; round++) {
    char byte = (char)('a' + round);
    MUST(write(ends[0], &byte, 1) == 1);
    CHECK(read(ends[0], &byte, 1) == 1);
  }
  join_thread(thread);
  return finish();
}
