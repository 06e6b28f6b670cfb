// SPDX-License-Identifier: Apache-2.0
// A process that was started in a sandbox: a system call or two are forbidden, or there is no /proc. Its threads talk over sockets
// and pipes, lock and sleep as ever. The sandbox is its parent's, which is the same program: what a process does to itself would tell
// weft that its threads are special.
#include "check.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static const struct {
  const char* name;
  int calls[4];
  int error;
} kSandboxes[] = {
    {"epoll", {SYS_epoll_create, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait}, EPERM},
    {"epoll_wait", {SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_epoll_pwait2}, EPERM},
    {"epoll_pwait2", {SYS_epoll_pwait2, SYS_epoll_pwait2, SYS_epoll_pwait2, SYS_epoll_pwait2}, EPERM},
    {"madvise", {SYS_madvise, SYS_madvise, SYS_madvise, SYS_madvise}, EPERM},
    {"membarrier", {SYS_membarrier, SYS_membarrier, SYS_membarrier, SYS_membarrier}, EPERM},
    {"nowait", {SYS_preadv2, SYS_pwritev2, SYS_preadv2, SYS_pwritev2}, ENOSYS},
    {"eventfd", {SYS_eventfd, SYS_eventfd2, SYS_signalfd, SYS_signalfd4}, ENOSYS},
    {"getsockopt", {SYS_getsockopt, SYS_getsockopt, SYS_getsockopt, SYS_getsockopt}, EPERM},
    {"prlimit", {SYS_prlimit64, SYS_getrlimit, SYS_setrlimit, SYS_sched_getaffinity}, EPERM},
};

static void forbid(const int* calls, int error) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[0], 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[1], 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[2], 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[3], 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
}

static void hide_proc(void) {
  MUST(unshare(CLONE_NEWNS) == 0);
  MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
  MUST(mount("none", "/proc", "tmpfs", 0, NULL) == 0);
}

enum { kThreads = 20, kRounds = 20 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turns;

// Each has a socket or a pipe pair to itself, with main at the other end.
struct peer {
  pthread_t thread;
  int in, out, main_in, main_out;
};

static void* echoes(void* argument) {
  struct peer* peer = argument;
  char buffer[100];
  for (;;) {
    ssize_t got = read(peer->in, buffer, sizeof buffer);
    if (got <= 0) return as_pointer(got);
    MUST(write(peer->out, buffer, (size_t)got) == got);
    struct timespec moment = {0, 1000};
    nanosleep(&moment, NULL);
    pthread_mutex_lock(&mutex);
    turns++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
  }
}

static void* computes(void* argument) {
  while (__atomic_load_n(&turns, __ATOMIC_RELAXED) < kThreads * kRounds) {
  }
  return argument;
}

static void live_there(void) {
  static struct peer peers[kThreads];
  for (int i = 0; i < kThreads; i++) {
    int there[2], back[2];
    if (i % 2) {
      MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, there) == 0);
      peers[i] = (struct peer){0, there[1], there[1], there[0], there[0]};
    } else {
      MUST(pipe(there) == 0 && pipe(back) == 0);
      peers[i] = (struct peer){0, there[0], back[1], back[0], there[1]};
    }
    peers[i].thread = start_thread(echoes, &peers[i]);
  }
  pthread_t busy = start_thread(computes, as_pointer(5));
  for (int round = 0; round < kRounds; round++) {
    for (int i = 0; i < kThreads; i++) MUST(write(peers[i].main_out, "weft", 4) == 4);
    for (int i = 0; i < kThreads; i++) {
      char back[4];
      MUST(read(peers[i].main_in, back, 4) == 4);
      CHECK(memcmp(back, "weft", 4) == 0);
    }
    pthread_mutex_lock(&mutex);
    while (turns < (round + 1) * kThreads) pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
  }
  for (int i = 0; i < kThreads; i++) {
    close(peers[i].main_out);
    CHECK(join_thread(peers[i].thread) == NULL);
  }
  CHECK(as_long(join_thread(busy)) == 5);
}

int main(int argc, char** argv) {
  MUST(argc >= 2);
  if (argc == 3) {
    live_there();
    return finish();
  }
  if (!strcmp(argv[1], "no_proc")) hide_proc();
  for (size_t i = 0; i < sizeof kSandboxes / sizeof *kSandboxes; i++)
    if (!strcmp(argv[1], kSandboxes[i].name)) forbid(kSandboxes[i].calls, kSandboxes[i].error);
  char* again[] = {argv[0], argv[1], (char*)"inside", NULL};
  execv(argv[0], again);
  MUST(0);
}
