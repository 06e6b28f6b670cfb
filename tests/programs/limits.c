// SPDX-License-Identifier: Apache-2.0
// Limits reached: descriptors in the middle of accepts, address space and processes for pthread_create. The program
// survives.
#include "socket_pairs.h"

#include <semaphore.h>
#include <sys/resource.h>
#include <sys/wait.h>

static sem_t go;

static void* waits(void* argument) {
  sem_wait(&go);
  return argument;
}

static void limit_to(int which, rlim_t value) {
  struct rlimit limit;
  MUST(getrlimit(which, &limit) == 0);
  limit.rlim_cur = value;
  MUST(setrlimit(which, &limit) == 0);
}

static int listener;
static int accepted[200], accepted_count;

static void* accepts(void* unused) {
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) {
      say("accept: %s", name_of_errno(errno));
      return unused;
    }
    accepted[accepted_count++] = fd;
  }
}

static void descriptors(void) {
  listener = tcp_listener(100);
  int clients[40];
  for (int i = 0; i < 40; i++) clients[i] = tcp_client(listener);
  limit_to(RLIMIT_NOFILE, (rlim_t)clients[39] + 21);
  in_thread(accepts, NULL);
  say("accepted %d", accepted_count);
  int ends[2];
  SHOW(pipe(ends));
  SHOW(dup(0));
  SHOW(socket(AF_INET, SOCK_STREAM, 0));
  for (int i = 0; i < accepted_count; i++) close(accepted[i]);
  accepted_count = 0;
  limit_to(RLIMIT_NOFILE, 100);
  pthread_t acceptor = start_thread(accepts, NULL);
  (void)acceptor;
  while (__atomic_load_n(&accepted_count, __ATOMIC_ACQUIRE) < 20) sched_yield();
  say("the other 20 accepted");
  shutdown(listener, SHUT_RDWR);
  join_thread(acceptor);
  for (int i = 0; i < 40; i++) close(clients[i]);
  close(listener);
}

// Creates threads until that fails; those that exist wait, then end, and afterwards one can be made again.
static void create_until_refused(const char* what, size_t stack, int enough) {
  static pthread_t threads[3000];
  pthread_attr_t attribute;
  pthread_attr_init(&attribute);
  MUST(pthread_attr_setstacksize(&attribute, stack) == 0);
  int made = 0, error = 0;
  while (made < enough && (error = pthread_create(&threads[made], &attribute, waits, as_pointer(made))) == 0) made++;
  say("%s: %s", what, made == enough ? "enough" : name_of_errno(error));
  for (int i = 0; i < made; i++) sem_post(&go);
  for (int i = 0; i < made; i++) CHECK(as_long(join_thread(threads[i])) == i);
  sem_post(&go);
  in_thread(waits, NULL);
  pthread_attr_destroy(&attribute);
}

static void address_space(void) {
  pid_t pid = fork();
  if (pid == 0) {
    limit_to(RLIMIT_AS, 6ull << 30);
    create_until_refused("address space", 256 << 20, 3000);
    _exit(check_failures);
  }
  int status = 0;
  MUST(waitpid(pid, &status, 0) == pid);
  say("status %d", status);
}

// As another user with a limit on processes; what threads cost is counted there, what weft makes of them is not its
// affair, so both answers are right: EAGAIN, or as many threads as were asked for.
static void processes(void) {
  pid_t pid = fork();
  if (pid == 0) {
    MUST(setgid(65534) == 0 && setuid(65534) == 0);
    limit_to(RLIMIT_NPROC, 40);
    static pthread_t threads[200];
    int made = 0, error = 0;
    while (made < 200 && (error = pthread_create(&threads[made], NULL, waits, NULL)) == 0) made++;
    CHECK(made == 200 || error == EAGAIN);
    CHECK(made > 0);
    for (int i = 0; i < made; i++) sem_post(&go);
    for (int i = 0; i < made; i++) join_thread(threads[i]);
    sem_post(&go);
    in_thread(waits, NULL);
    _exit(check_failures);
  }
  int status = 0;
  MUST(waitpid(pid, &status, 0) == pid);
  say("processes: status %d", status);
}

int main(void) {
  sem_init(&go, 0, 0);
  address_space();
  processes();
  descriptors();
  return finish();
}
