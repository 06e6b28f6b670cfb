// SPDX-License-Identifier: Apache-2.0
// The second public names that the C library gives many calls, and the names and versions that old binaries ask for.
#include "socket_pairs.h"

#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/wait.h>

// What only old binaries bind: no default version, so the link asks for it by name.
#define OLD(name, version) __asm__(".symver " #name ", " #name "@" version)
extern int __pthread_mutex_lock(pthread_mutex_t* mutex);
extern int __pthread_mutex_trylock(pthread_mutex_t* mutex);
extern int __pthread_mutex_unlock(pthread_mutex_t* mutex);
extern int __pthread_rwlock_rdlock(pthread_rwlock_t* lock);
extern int __pthread_rwlock_tryrdlock(pthread_rwlock_t* lock);
extern int __pthread_rwlock_trywrlock(pthread_rwlock_t* lock);
extern int __pthread_rwlock_unlock(pthread_rwlock_t* lock);
extern int __pthread_rwlock_wrlock(pthread_rwlock_t* lock);
extern int __pthread_once(pthread_once_t* once, void (*run)(void));
extern int __pthread_key_create(pthread_key_t* key, void (*destroy)(void*));
extern int old_pthread_yield(void);
OLD(__pthread_mutex_lock, "GLIBC_2.2.5");
OLD(__pthread_mutex_trylock, "GLIBC_2.2.5");
OLD(__pthread_mutex_unlock, "GLIBC_2.2.5");
OLD(__pthread_rwlock_rdlock, "GLIBC_2.2.5");
OLD(__pthread_rwlock_tryrdlock, "GLIBC_2.2.5");
OLD(__pthread_rwlock_trywrlock, "GLIBC_2.2.5");
OLD(__pthread_rwlock_unlock, "GLIBC_2.2.5");
OLD(__pthread_rwlock_wrlock, "GLIBC_2.2.5");
OLD(__pthread_once, "GLIBC_2.2.5");
// The header makes another name of this one.
__asm__(".symver old_pthread_yield, pthread_yield@GLIBC_2.2.5");

extern ssize_t __read(int fd, void* buffer, size_t size);
extern ssize_t __write(int fd, const void* buffer, size_t size);
extern int __close(int fd);
extern int __dup2(int from, int to);
extern int __fcntl(int fd, int command, ...);
extern int __open(const char* path, int flags, ...);
extern int __open64(const char* path, int flags, ...);
extern int __pipe(int ends[2]);
extern int __connect(int fd, const struct sockaddr* address, socklen_t length);
extern ssize_t __send(int fd, const void* buffer, size_t size, int flags);
extern int __poll(struct pollfd* entries, nfds_t count, int timeout);
extern int __select(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, struct timeval* timeout);
extern int __nanosleep(const struct timespec* length, struct timespec* left);
extern int __sched_yield(void);
extern pid_t __fork(void);
extern pid_t __vfork(void) __attribute__((returns_twice));
extern pid_t __wait(int* status);
extern pid_t __waitpid(pid_t pid, int* status, int options);
extern int __sigaction(int number, const struct sigaction* action, struct sigaction* old);
extern int __sigsuspend(const sigset_t* set);
extern void _IO_flockfile(FILE* stream);
extern int _IO_ftrylockfile(FILE* stream);
extern void _IO_funlockfile(FILE* stream);

static void* echo(void* argument) {
  int fd = (int)as_long(argument);
  char byte;
  while (__read(fd, &byte, 1) == 1) MUST(__write(fd, &byte, 1) == 1);
  CHECK(__close(fd) == 0);
  return NULL;
}

static void descriptors(void) {
  int ends[2], listener = tcp_listener(4);
  struct sockaddr_in address = address_of(listener);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  SHOW(__connect(fd, (struct sockaddr*)&address, sizeof address));
  pthread_t thread = start_thread(echo, as_pointer(accept(listener, NULL, NULL)));
  settle();
  SHOW(__send(fd, "a", 1, 0));
  struct pollfd entry = {fd, POLLIN, 0};
  SHOW(__poll(&entry, 1, -1));
  fd_set set;
  FD_ZERO(&set);
  FD_SET(fd, &set);
  SHOW(__select(fd + 1, &set, NULL, NULL, NULL));
  char byte = 0;
  SHOW(__read(fd, &byte, 1));
  int copy = dup(fd);
  SHOW(__dup2(fd, copy) == copy);
  SHOW(__fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK));
  SHOW(__read(copy, &byte, 1));
  SHOW(__fcntl(fd, F_SETFL, O_RDWR));
  SHOW(__close(copy));
  SHOW(__close(fd));
  join_thread(thread);
  SHOW(__pipe(ends));
  SHOW(__write(ends[1], "p", 1));
  SHOW(__read(ends[0], &byte, 1));
  __close(ends[0]);
  __close(ends[1]);
  fd = __open("file", O_RDWR | O_CREAT, 0600);
  SHOW(__write(fd, "text", 4));
  __close(fd);
  fd = __open64("file", O_RDONLY);
  char text[8];
  SHOW(__read(fd, text, sizeof text));
  __close(fd);
  __close(listener);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static long counter, once_runs, destroyed;
static pthread_key_t key;

static void run_once(void) { once_runs++; }
static void destroy(void* unused) {
  (void)unused;
  __atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED);
}

static void* counts(void* unused) {
  __pthread_once(&once, run_once);
  pthread_setspecific(key, &key);
  for (int i = 0; i < 300; i++) {
    // Locked under one name and unlocked under another.
    if (i % 2 == 0)
      __pthread_mutex_lock(&mutex);
    else
      pthread_mutex_lock(&mutex);
    counter++;
    if (i % 60 == 0) old_pthread_yield();
    if (i % 3 == 0)
      pthread_mutex_unlock(&mutex);
    else
      __pthread_mutex_unlock(&mutex);
    if (i % 5 == 0) {
      __pthread_rwlock_wrlock(&lock);
      counter++;
      __sched_yield();
      __pthread_rwlock_unlock(&lock);
    } else {
      if (__pthread_rwlock_tryrdlock(&lock) != 0) __pthread_rwlock_rdlock(&lock);
      __pthread_rwlock_unlock(&lock);
    }
  }
  return unused;
}

static void* waits_for_stream(void* argument) {
  _IO_flockfile(argument);
  counter++;
  _IO_funlockfile(argument);
  return NULL;
}

static void locks(void) {
  pthread_t threads[10];
  counter = destroyed = 0;
  for (int i = 0; i < 10; i++) threads[i] = start_thread(counts, NULL);
  for (int i = 0; i < 10; i++) join_thread(threads[i]);
  say("counted at least 3000: %d, once %ld, destroyed %ld", counter >= 3000, once_runs, destroyed);
  SHOW_ERROR(__pthread_mutex_trylock(&mutex));
  SHOW_ERROR(__pthread_mutex_trylock(&mutex));
  SHOW_ERROR(__pthread_mutex_unlock(&mutex));
  SHOW_ERROR(__pthread_rwlock_trywrlock(&lock));
  SHOW_ERROR(__pthread_rwlock_tryrdlock(&lock));
  SHOW_ERROR(__pthread_rwlock_wrlock(&lock));
  SHOW_ERROR(__pthread_rwlock_unlock(&lock));
  FILE* stream = fopen("stream", "w");
  counter = 0;
  _IO_flockfile(stream);
  SHOW(_IO_ftrylockfile(stream));
  for (int i = 0; i < 5; i++) threads[i] = start_thread(waits_for_stream, stream);
  settle();
  CHECK(counter == 0);
  _IO_funlockfile(stream);
  _IO_funlockfile(stream);
  for (int i = 0; i < 5; i++) join_thread(threads[i]);
  say("had the stream: %ld", counter);
  fclose(stream);
}

static volatile sig_atomic_t handled;
static void handler(int number) { handled = number; }

static void processes(void) {
  int status = 0;
  pid_t pid = __fork();
  if (pid == 0) _exit(3);
  CHECK(__waitpid(pid, &status, 0) == pid);
  say("__fork: %d", WEXITSTATUS(status));
  pid = __vfork();
  if (pid == 0) _exit(4);
  CHECK(__wait(&status) == pid);
  say("__vfork: %d", WEXITSTATUS(status));
  struct timespec nap = {0, 1000000};
  SHOW(__nanosleep(&nap, NULL));
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  SHOW(__sigaction(SIGUSR1, &action, NULL));
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  raise(SIGUSR1);
  CHECK(handled == 0);
  SHOW(__sigsuspend(&before));
  CHECK(handled == SIGUSR1);
  handled = 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void* all(void* unused) {
  descriptors();
  locks();
  processes();
  return unused;
}

int main(void) {
  MUST(__pthread_key_create(&key, destroy) == 0);
  all(NULL);
  in_thread(all, NULL);
  return finish();
}
