// SPDX-License-Identifier: Apache-2.0
// What a program can tell of being woven: README, "What differs". A line each, with the answer of this run.
#include "tests/programs/socket_pairs.h"

#include <dirent.h>
#include <dlfcn.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { kWaiting = 50, kNumbers = 100 };

static pthread_barrier_t all;
static pthread_mutex_t turn_mutex = PTHREAD_MUTEX_INITIALIZER;

static void answer(const char* what, int yes) { say("%s: %s", what, yes ? "yes" : "no"); }

static void* knows_its_task(void* unused) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d", (int)gettid());
  answer("gettid() is in /proc/self/task", access(path, F_OK) == 0);
  return unused;
}

static void* waits(void* unused) {
  pthread_barrier_wait(&all);
  pthread_barrier_wait(&all);
  return unused;
}

static int tasks(void) {
  int count = 0;
  DIR* directory = opendir("/proc/self/task");
  MUST(directory != NULL);
  for (struct dirent* entry; (entry = readdir(directory)) != NULL;) count += entry->d_name[0] != '.';
  closedir(directory);
  return count;
}

static volatile int burnt;

// Eighty milliseconds of CPU in small pieces, others running in between.
static void* burns(void* unused) {
  for (int i = 0; i < 800; i++) {
    long long until = now_ns(CLOCK_MONOTONIC) + 100000;
    while (now_ns(CLOCK_MONOTONIC) < until) burnt++;
    sched_yield();
  }
  return unused;
}

static void* reads_its_clock(void* argument) {
  pthread_mutex_lock(&turn_mutex);
  pthread_mutex_unlock(&turn_mutex);
  *(int*)argument &= now_ns(CLOCK_THREAD_CPUTIME_ID) < 40000000;
  return NULL;
}

static void* stays(void* argument) {
  pthread_barrier_wait(&all);
  pthread_barrier_wait(&all);
  return argument;
}

// A child that gets SIGKILL with its parent, and tells by its status whether it has lived on until it is asked.
static void* makes_child(void* ends) {
  char byte = 0;
  int ready[2];
  MUST(pipe(ready) == 0);
  pid_t pid = fork();
  MUST(pid >= 0);
  if (pid == 0) {
    MUST(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && write(ready[1], &byte, 1) == 1);
    _exit(read(((int*)ends)[0], &byte, 1) == 1 ? 0 : 1);
  }
  MUST(read(ready[0], &byte, 1) == 1);
  close(ready[0]);
  close(ready[1]);
  return as_pointer(pid * 0x100000000L + gettid());
}

static int child_lives_on(void) {
  int ends[2], status = 0;
  char path[64];
  MUST(pipe(ends) == 0);
  long numbers = as_long(in_thread(makes_child, ends));
  snprintf(path, sizeof path, "/proc/self/task/%d", (int)numbers);
  while (access(path, F_OK) == 0) sched_yield();  // what is to be sent has been by then
  MUST(write(ends[1], "x", 1) == 1 && waitpid((pid_t)(numbers >> 32), &status, 0) > 0);
  close(ends[0]);
  close(ends[1]);
  return WIFEXITED(status);
}

static void* runs_code_on_stack(void* path) {
  sigset_t set;
  MUST(prctl(PR_SET_TIMERSLACK, 12345) == 0);
  sigemptyset(&set);
  sigaddset(&set, SIGSEGV);
  MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  return as_pointer(dlopen(path, RTLD_NOW) == NULL);
}

static int code_runs_with_fault_blocked(char* path) {
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) _exit((int)as_long(in_thread(runs_code_on_stack, path)));
  MUST(waitpid(pid, &status, 0) == pid);
  return status == 0;
}

static void allow_numbers(void) {
  struct rlimit limit = {kNumbers, kNumbers};
  MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void take_all_numbers(void) {
  while (dup(0) >= 0) continue;
  MUST(errno == EMFILE);
}

static sem_t about_to_wait;

static void* reads(void* fd) {
  char byte;
  sem_post(&about_to_wait);
  return as_pointer(read((int)as_long(fd), &byte, 1));
}

static void* accepts(void* fd) {
  sem_post(&about_to_wait);
  return as_pointer(accept((int)as_long(fd), NULL, NULL));
}

// In a child: all its numbers are gone afterwards.
static int in_child(int (*asks)(void)) {
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) _exit(asks() ? 0 : 1);
  MUST(waitpid(pid, &status, 0) == pid);
  return status == 0;
}

static int both_are_read(void) {
  int pairs[2][2];
  pthread_t readers[2];
  allow_numbers();
  for (int i = 0; i < 2; i++) {
    unix_pair(SOCK_STREAM, pairs[i]);
    readers[i] = start_thread(reads, as_pointer(pairs[i][0]));
    sem_wait(&about_to_wait);
  }
  settle();
  take_all_numbers();
  for (int i = 0; i < 2; i++) {
    close(pairs[i][0]);
    take_all_numbers();
  }
  long got = 0;
  for (int i = 0; i < 2; i++) {
    MUST(send(pairs[i][1], "x", 1, MSG_NOSIGNAL) == 1 || errno == EPIPE);
    got += as_long(join_thread(readers[i]));
  }
  return got == 2;
}

static int accept_has_number(void) {
  allow_numbers();
  int listener = tcp_listener(5), client = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = address_of(listener);
  pthread_t thread = start_thread(accepts, as_pointer(listener));
  sem_wait(&about_to_wait);
  settle();
  take_all_numbers();
  MUST(connect(client, (struct sockaddr*)&address, sizeof address) == 0);
  return as_long(join_thread(thread)) >= 0;
}

int main(int argc, char** argv) {
  pthread_t threads[kWaiting];
  MUST(argc == 2 && sem_init(&about_to_wait, 0, 0) == 0);
  in_thread(knows_its_task, NULL);

  pthread_barrier_init(&all, NULL, kWaiting + 1);
  for (int i = 0; i < kWaiting; i++) threads[i] = start_thread(waits, NULL);
  pthread_barrier_wait(&all);
  answer("a kernel thread for each thread", tasks() >= kWaiting);
  pthread_barrier_wait(&all);
  for (int i = 0; i < kWaiting; i++) join_thread(threads[i]);

  // The worker may have gone on with another carrier meanwhile.
  int has_used_little = 1;
  for (int round = 0; round < 5; round++) {
    pthread_mutex_lock(&turn_mutex);
    threads[0] = start_thread(reads_its_clock, &has_used_little);
    in_thread(burns, NULL);
    pthread_mutex_unlock(&turn_mutex);
    join_thread(threads[0]);
  }
  answer("a thread that waited has used less than 40 ms of CPU", has_used_little);

  pthread_barrier_init(&all, NULL, 2);
  threads[0] = start_thread(stays, NULL);
  pthread_barrier_wait(&all);
  cpu_set_t set;
  MUST(pthread_getaffinity_np(threads[0], sizeof set, &set) == 0);
  answer("the affinity of another thread can be set", pthread_setaffinity_np(threads[0], sizeof set, &set) == 0);
  struct sched_param parameters = {0};
  answer("so can its scheduling", pthread_setschedparam(threads[0], SCHED_BATCH, &parameters) == 0);
  pthread_barrier_wait(&all);
  join_thread(threads[0]);

  answer("a child asked to die with its parent outlives the thread that made it", child_lives_on());
  answer("code runs on the stack of a library's user that blocks SIGSEGV", code_runs_with_fault_blocked(argv[1]));
  answer("with no number left, two that are closed under readers are read", in_child(both_are_read));
  answer("an accept that waits has its number", in_child(accept_has_number));
  return finish();
}
