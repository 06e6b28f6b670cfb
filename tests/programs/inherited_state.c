// SPDX-License-Identifier: Apache-2.0
// What main gave up before it made threads - capabilities, new privileges, a CPU, a priority - its threads do not have.
//
// Needs root. The argument says what is given up, and whether main or a thread does it and makes the others.
#include "check.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

int capset(cap_user_header_t header, const cap_user_data_t data);

static const char* what;

static void show(const char* who) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  memset(data, 0, sizeof data);
  MUST(syscall(SYS_capget, &header, data) == 0);
  cpu_set_t set;
  MUST(syscall(SYS_sched_getaffinity, 0, sizeof set, &set) > 0);
  int cpus = 0;
  for (int i = 0; i < 8; i++) cpus += CPU_ISSET_S(i, 8, &set) ? 1 << i : 0;
  errno = 0;
  say("%s: may change owners %d, no_new_privs %d, CPU 0 alone %d, nice %ld, timer slack %d", who,
      (data[0].effective & 1 << CAP_CHOWN) != 0, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), cpus == 1,
      20 - syscall(SYS_getpriority, PRIO_PROCESS, 0), prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
}

static void give_up(void) {
  if (strcmp(what, "capabilities") == 0) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    memset(data, 0, sizeof data);
    MUST(capset(&header, data) == 0);
  } else if (strcmp(what, "raw_capabilities") == 0) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    memset(data, 0, sizeof data);
    MUST(syscall(SYS_capset, &header, data) == 0);
  } else if (strcmp(what, "no_new_privs") == 0) {
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  } else if (strcmp(what, "affinity") == 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    MUST(sched_setaffinity(0, sizeof set, &set) == 0);
  } else if (strcmp(what, "priority") == 0) {
    MUST(setpriority(PRIO_PROCESS, 0, 5) == 0);
  } else {
    MUST(prctl(PR_SET_TIMERSLACK, 77777, 0, 0, 0) == 0);
  }
}

static void* child(void* argument) {
  struct timespec nap = {0, 1000000};
  nanosleep(&nap, NULL);
  if (as_long(argument) == 0) show("its thread");
  return NULL;
}

static void* grandparent(void* unused) {
  in_thread(child, as_pointer(0));
  return unused;
}

static void* gives_up(void* unused) {
  give_up();
  show("who gave it up");
  pthread_t threads[5];
  for (int i = 0; i < 5; i++) threads[i] = start_thread(child, as_pointer(i));
  for (int i = 0; i < 5; i++) join_thread(threads[i]);
  // A thread of a thread inherits too.
  in_thread(grandparent, NULL);
  return unused;
}

int main(int argc, char** argv) {
  what = argc > 1 ? argv[1] : "capabilities";
  int by_thread = argc > 2 && strcmp(argv[2], "thread") == 0;
  in_thread(child, as_pointer(0));
  if (by_thread) {
    in_thread(gives_up, NULL);
    show("main");
    in_thread(child, as_pointer(0));
  } else {
    gives_up(NULL);
  }
  return finish();
}
