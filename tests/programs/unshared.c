// SPDX-License-Identifier: Apache-2.0
// Threads that part with what a process shares: working directory and root (unshare of CLONE_FS), descriptors (CLONE_FILES,
// CLOSE_RANGE_UNSHARE), host name (CLONE_NEWUTS, and setns back). What each sees, and that twenty others, who wait in reads, locks and
// sleeps meanwhile, see what they saw before. What the kernel does not let us do here it says natively as well.
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { kOthers = 20, kEach = kOthers / 4, kQuestions = 100 };

static char place[PATH_MAX];
static sem_t go, go_on, changed, seen, asked, answered;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static int pairs[kEach][2];

// Where it is, by names that are there in one directory or root alone.
static void show_place(const char* who) {
  char here[PATH_MAX] = "";
  char name[65] = "";
  if (getcwd(here, sizeof here) == NULL) snprintf(here, sizeof here, "nowhere: %s", name_of_errno(errno));
  if (strncmp(here, place, strlen(place)) == 0) memmove(here, here + strlen(place), strlen(here + strlen(place)) + 1);
  gethostname(name, sizeof name);
  say("%s: in \"%s\", file here %d, file in the root %d, host %s", who, here, access("mark", F_OK) == 0,
      access("/mark", F_OK) == 0, strcmp(name, "woven-elsewhere") == 0 ? name : "as ever");
}

// Descriptors as others have them, so that what one of them opens now is the lowest number that is free for all.
static void* one_of_others(void* argument) {
  long number = as_long(argument);
  char byte = '-';
  struct timespec nap = {0, 200000000};
  switch (number % 4) {
    case 0:
      CHECK(read(pairs[number / 4][0], &byte, 1) == 1 && byte == 'a');
      break;
    case 1:
      MUST(pthread_mutex_lock(&held) == 0);
      MUST(pthread_mutex_unlock(&held) == 0);
      break;
    case 2:
      sem_wait(&go);
      break;
    default:
      CHECK(nanosleep(&nap, NULL) == 0);
      sem_wait(&go);
  }
  char here[PATH_MAX] = "", name[65] = "";
  CHECK(getcwd(here, sizeof here) != NULL && strcmp(here, place) == 0);
  CHECK(access("mark", F_OK) == -1);
  CHECK(gethostname(name, sizeof name) == 0 && strcmp(name, "woven-elsewhere") != 0);
  // The descriptors are those of before, and wait and wake as before.
  int* pair = pairs[number / 4];
  if (number % 4 == 0) {
    CHECK(fcntl(pair[0], F_GETFD) == FD_CLOEXEC);
    CHECK(recv(pair[0], &byte, 1, 0) == 1 && byte == 'b');
  }
  int fresh[2];
  MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fresh) == 0);
  CHECK(write(fresh[1], "f", 1) == 1 && read(fresh[0], &byte, 1) == 1 && byte == 'f');
  close(fresh[0]);
  close(fresh[1]);
  sem_post(&seen);
  return NULL;
}

static void* answers(void* unused) {
  for (int i = 0; i < kQuestions; i++) {
    sem_wait(&asked);
    sem_post(&answered);
  }
  return unused;
}

// Threads wake each other whatever they share.
static void ask(void) {
  for (int i = 0; i < kQuestions; i++) {
    sem_post(&asked);
    sem_wait(&answered);
  }
}

// Runs `change` in a thread while the others wait.
static void with_others(const char* what, thread_start change) {
  pthread_t others[kOthers];
  say("-- %s", what);
  for (int i = 0; i < kEach; i++) MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs[i]) == 0);
  MUST(pthread_mutex_lock(&held) == 0);
  for (long i = 0; i < kOthers; i++) others[i] = start_thread(one_of_others, as_pointer(i));
  pthread_t answerer = start_thread(answers, NULL);
  settle();
  pthread_t changer = start_thread(change, NULL);
  sem_wait(&changed);
  join_thread(answerer);
  for (int i = 0; i < kEach; i++) MUST(write(pairs[i][1], "a", 1) == 1);
  MUST(pthread_mutex_unlock(&held) == 0);
  for (int i = 0; i < kOthers / 2; i++) sem_post(&go);
  settle();
  for (int i = 0; i < kEach; i++) MUST(write(pairs[i][1], "b", 1) == 1);
  for (int i = 0; i < kOthers; i++) join_thread(others[i]);
  for (int i = 0; i < kOthers; i++) sem_wait(&seen);
  sem_post(&go_on);
  join_thread(changer);
  for (int i = 0; i < kEach; i++) {
    close(pairs[i][0]);
    close(pairs[i][1]);
  }
  show_place("main");
}

static void* child_of_changer(void* unused) {
  show_place("its thread");
  return unused;
}

static void* moves(void* unused) {
  SHOW(unshare(CLONE_FS));
  SHOW(chdir("elsewhere"));
  SHOW(chroot("."));
  show_place("it");
  in_thread(child_of_changer, NULL);
  ask();
  sem_post(&changed);
  sem_wait(&go_on);
  show_place("it, later");
  return unused;
}

static void* renames(void* unused) {
  int before = open("/proc/thread-self/ns/uts", O_RDONLY | O_CLOEXEC);
  MUST(before >= 0);
  SHOW(unshare(CLONE_NEWUTS));
  if (SHOW(sethostname("woven-elsewhere", 15)) == 0) {
    show_place("it");
    in_thread(child_of_changer, NULL);
  }
  ask();
  sem_post(&changed);
  sem_wait(&go_on);
  SHOW(setns(before, CLONE_NEWUTS));
  show_place("it, back");
  close(before);
  return unused;
}

static void* mounts(void* unused) {
  if (SHOW(unshare(CLONE_NEWNS)) == 0 && SHOW(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) == 0 &&
      SHOW(mount("elsewhere", "empty", NULL, MS_BIND, NULL)) == 0) {
    say("it: mounted %d", access("empty/mark", F_OK) == 0);
    show_place("it");
  }
  ask();
  sem_post(&changed);
  sem_wait(&go_on);
  return unused;
}

// ---- descriptors

static int inherited = -1;

static void* reads(void* argument) {
  char byte = '-';
  CHECK(read((int)as_long(argument), &byte, 1) == 1 && byte == 'c');
  return NULL;
}

// A process that is made here has these descriptors, and its threads share them.
static void fork_with_own_descriptors(void) {
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) {
    int ends[2];
    pthread_t threads[5];
    MUST(pipe(ends) == 0);
    for (int i = 0; i < 5; i++) threads[i] = start_thread(reads, as_pointer(ends[0]));
    settle();
    MUST(write(ends[1], "ccccc", 5) == 5);
    for (int i = 0; i < 5; i++) join_thread(threads[i]);
    _exit(check_failures);
  }
  MUST(waitpid(pid, &status, 0) == pid);
  say("child's status %d", status);
}

static void* uses_the_same(void* unused) {
  char byte = '-';
  CHECK(fcntl(inherited, F_GETFD) >= 0);
  CHECK(read(inherited, &byte, 1) == 1 && byte == 'i');
  return unused;
}

// Numbers mean other things here: each of those that others wait on is closed and made anew.
static void use_own_descriptors(void) {
  char byte = '-';
  for (int i = 0; i < kEach; i++) {
    int number = pairs[i][0], other[2];
    CHECK(close(number) == 0);
    CHECK(fcntl(number, F_GETFD) == -1 && errno == EBADF);
    MUST(pipe2(other, O_CLOEXEC) == 0);
    CHECK(other[0] == number);
    CHECK(write(other[1], "p", 1) == 1 && read(other[0], &byte, 1) == 1 && byte == 'p');
    CHECK(dup2(other[0], pairs[i][1]) == pairs[i][1]);
    close(other[1]);
    CHECK(read(other[0], &byte, 1) == 0);
  }
  int ends[2];
  MUST(pipe(ends) == 0);
  inherited = ends[0];
  pthread_t child = start_thread(uses_the_same, NULL);
  MUST(write(ends[1], "i", 1) == 1);
  join_thread(child);
}

static void* parts(void* unused) {
  SHOW(unshare(CLONE_FILES));
  use_own_descriptors();
  fork_with_own_descriptors();
  ask();
  sem_post(&changed);
  sem_wait(&go_on);
  use_own_descriptors();
  return unused;
}

static void* parts_and_closes_all(void* unused) {
  int output = dup(STDOUT_FILENO);
  MUST(output > STDOUT_FILENO);
  SHOW(close_range((unsigned)output + 1, ~0u, CLOSE_RANGE_UNSHARE));
  for (int i = 0; i < kEach; i++) CHECK((fcntl(pairs[i][0], F_GETFD) == -1) == (pairs[i][0] > output));
  ask();
  sem_post(&changed);
  sem_wait(&go_on);
  close(output);
  return unused;
}

static void* parts_by_number(void* unused) {
  SHOW(syscall(SYS_unshare, CLONE_FILES));
  use_own_descriptors();
  ask();
  sem_post(&changed);
  sem_wait(&go_on);
  return unused;
}

static void* refused(void* unused) {
  SHOW(unshare(CLONE_THREAD));
  SHOW(unshare(CLONE_VM));
  SHOW(unshare(CLONE_NEWUSER));
  SHOW(unshare(0x1));
  SHOW(setns(-1, 0));
  SHOW(unshare(0));
  ask();
  sem_post(&changed);
  sem_wait(&go_on);
  return unused;
}

// Without CLONE_FS of one's own all threads go along.
static void* goes_with_all(void* unused) {
  SHOW(chdir("elsewhere"));
  SHOW(chroot("."));
  sem_post(&changed);
  return unused;
}

static void* sees(void* unused) {
  sem_wait(&go);
  CHECK(access("/mark", F_OK) == 0 && access("mark", F_OK) == 0);
  sem_post(&seen);
  return unused;
}

// What a process writes down at its end has no place in a root of its own.
static void all_go(void) {
  pthread_t others[kOthers];
  say("-- all of them");
  pid_t pid = fork();
  if (pid) {
    MUST(waitpid(pid, NULL, 0) == pid);
    return;
  }
  for (int i = 0; i < kOthers; i++) others[i] = start_thread(sees, NULL);
  settle();
  in_thread(goes_with_all, NULL);
  for (int i = 0; i < kOthers; i++) sem_post(&go);
  for (int i = 0; i < kOthers; i++) join_thread(others[i]);
  show_place("main");
  say("failures %d", check_failures);
  kill(getpid(), SIGKILL);
}

int main(void) {
  sem_init(&go, 0, 0);
  sem_init(&go_on, 0, 0);
  sem_init(&changed, 0, 0);
  sem_init(&seen, 0, 0);
  sem_init(&asked, 0, 0);
  sem_init(&answered, 0, 0);
  mkdir("elsewhere", 0777);
  mkdir("empty", 0777);
  close(open("elsewhere/mark", O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
  MUST(getcwd(place, sizeof place) != NULL);
  with_others("descriptors", parts);
  with_others("descriptors, all closed", parts_and_closes_all);
  with_others("descriptors, by the number of the call", parts_by_number);
  with_others("what cannot be", refused);
  with_others("directory and root", moves);
  with_others("host name", renames);
  with_others("mounts", mounts);
  all_go();
  return finish();
}
