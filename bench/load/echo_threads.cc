// SPDX-License-Identifier: Apache-2.0
// The program under test of the echo figures: a thread for each connection, blocking reads and writes, nothing of weft.
//
// Usage: echo_threads [poll|select] [compute|block|yield SECONDS]. Prints "port N" once it listens. The first word: each
// connection waits in poll and reads a non-blocking socket, or waits in select before each read. The second: one more
// thread runs beside the connections: it computes without a call, sits in a system call that no library function made,
// or does nothing but sched_yield, for so long; then prints "beside done".
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

void* serve(void* argument) {
  int fd = static_cast<int>(reinterpret_cast<intptr_t>(argument));
  char buffer[4096];
  for (;;) {
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || write(fd, buffer, static_cast<size_t>(got)) != got) break;
  }
  close(fd);
  return nullptr;
}

// As stunnel has it: asks before it reads, and reads until there is nothing.
void* serve_polling(void* argument) {
  int fd = static_cast<int>(reinterpret_cast<intptr_t>(argument));
  char buffer[4096];
  fcntl(fd, F_SETFL, O_NONBLOCK);
  auto wait_for = [fd](short events) {
    pollfd entry = {fd, events, 0};
    return poll(&entry, 1, -1) >= 0 || errno == EINTR;
  };
  for (;;) {
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EAGAIN && wait_for(POLLIN)) continue;
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    for (ssize_t done = 0; done < got;) {
      ssize_t put = write(fd, buffer + done, static_cast<size_t>(got - done));
      if (put < 0 && ((errno == EAGAIN && wait_for(POLLOUT)) || errno == EINTR)) continue;
      if (put < 0) break;
      done += put;
    }
  }
  close(fd);
  return nullptr;
}

// A set larger than the C library's, for descriptors beyond its 1,024.
void* serve_selecting(void* argument) {
  int fd = static_cast<int>(reinterpret_cast<intptr_t>(argument));
  constexpr int kWordBits = 8 * sizeof(fd_mask);
  fd_mask set[20480 / kWordBits] = {};
  char buffer[4096];
  for (;;) {
    set[fd / kWordBits] |= fd_mask{1} << (fd % kWordBits);
    int ready = select(fd + 1, reinterpret_cast<fd_set*>(set), nullptr, nullptr, nullptr);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) break;
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || write(fd, buffer, static_cast<size_t>(got)) != got) break;
  }
  close(fd);
  return nullptr;
}

struct Beside {
  const char* what = "";
  long seconds = 0;
};

// The clock is read by its instruction-only path (vDSO), so this makes no call that a library could see.
bool before(const timespec& end) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec);
}

// nanosleep by the bare instruction: what assembly, Go's runtime or a vendored libc would do.
long sleep_in_kernel(const timespec& span) {
  long result = SYS_nanosleep;
  asm volatile("syscall" : "+a"(result) : "D"(&span), "S"(nullptr) : "rcx", "r11", "memory");
  return result;
}

void* run_beside(void* argument) {
  const Beside& beside = *static_cast<const Beside*>(argument);
  timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_sec += beside.seconds;
  if (strcmp(beside.what, "block") == 0) {
    sleep_in_kernel({beside.seconds, 0});
  } else if (strcmp(beside.what, "yield") == 0) {
    while (before(end)) sched_yield();
  } else {
    volatile uint64_t work = 0;
    while (before(end)) {
      for (int i = 0; i < 10000; ++i) work = work + static_cast<uint64_t>(i);
    }
  }
  printf("beside done\n");
  fflush(stdout);
  return nullptr;
}

int fail(const char* what) {
  perror(what);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  void* (*style)(void*) = serve;
  if (argc > 1 && strcmp(argv[1], "poll") == 0) style = serve_polling;
  if (argc > 1 && strcmp(argv[1], "select") == 0) style = serve_selecting;
  int next = style == serve ? 1 : 2;
  Beside beside;
  if (argc == next + 2) beside = {argv[next], atol(argv[next + 1])};
  rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0) return fail("bind");
  if (listen(listener, 4096) != 0) return fail("listen");
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  printf("port %d\n", ntohs(address.sin_port));
  fflush(stdout);

  pthread_attr_t detached;
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  if (beside.seconds > 0 && pthread_create(&thread, &detached, run_beside, &beside) != 0) return fail("pthread_create");
  for (;;) {
    int fd = accept(listener, nullptr, nullptr);
    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (fd < 0) return fail("accept");
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int error = pthread_create(&thread, &detached, style, reinterpret_cast<void*>(static_cast<intptr_t>(fd)));
    if (error != 0) {
      fprintf(stderr, "pthread_create: %s\n", strerror(error));
      close(fd);
    }
  }
}
