// SPDX-License-Identifier: Apache-2.0
// What the whole process does while coroutines run: fork, exec, exit, main's end by pthread_exit.
//
// usage: process fork|exec|spawn|exit|exit_main|exit_in|main_pthread_exit|abandoned
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

extern char** environ;

static void* same(void* value) { return value; }
static void* sleep_long(void* unused) {
  (void)unused;
  return (void*)(intptr_t)co_sleep(kLong);
}

// Others that wait in every way when the process forks or ends.
static co_mutex_t held = CO_MUTEX_INIT;
static co_chan_t* chan;
static void* wait_for_mutex(void* unused) {
  (void)unused;
  EQUAL(co_mutex_lock(&held), 0);
  EQUAL(co_mutex_unlock(&held), 0);
  return NULL;
}
static void* wait_for_value(void* unused) {
  (void)unused;
  long value;
  EQUAL(co_chan_recv(chan, &value), EPIPE);
  return NULL;
}
static co_t others[3];
static void begin_others(void) {
  MUST(co_chan_create(&chan, sizeof(long), 0) == 0);
  MUST(co_mutex_lock(&held) == 0);
  others[0] = begin(sleep_long, NULL);
  others[1] = begin(wait_for_mutex, NULL);
  others[2] = begin(wait_for_value, NULL);
  settle();
}
static void end_others(void) {
  EQUAL(co_mutex_unlock(&held), 0);
  EQUAL(co_chan_close(chan), 0);
  EQUAL(co_cancel(others[0]), 0);
  for (int i = 0; i < 3; i++) end(others[i]);
  co_chan_destroy(chan);
}

static int status_of(pid_t child) {
  int status = -1;
  MUST(child > 0 && waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// The child is a thread alone; none of the coroutines is there, and it can make its own.
static int in_child(void) {
  EQUAL(co_self(), 0);
  EQUAL(co_suspend(), EPERM);
  EQUAL(co_join(others[0], NULL), ESRCH);
  EQUAL(co_cancel(others[0]), ESRCH);
  EQUAL(co_sleep(kMillisecond), 0);
  EQUAL((intptr_t)end(begin(same, (void*)3)), 3);
  co_t sleeps = begin(sleep_long, NULL);
  settle();
  EQUAL(co_cancel(sleeps), 0);
  EQUAL((intptr_t)end(sleeps), ECANCELED);
  co_mailbox_t* mailbox;
  EQUAL(co_mailbox_create(&mailbox, 8, 8, NULL), 0);
  co_mailbox_destroy(mailbox);
  void* result = NULL;
  EQUAL(co_offload(same, &held, &result), 0);
  CHECK(result == &held);
  return check_failures ? 1 : 9;
}
static void fork_here(void) {
  pid_t child = fork();
  if (child == 0) _exit(in_child());
  EQUAL(status_of(child), 9);
}
static void* offload_fork(void* unused) {
  (void)unused;
  fork_here();
  return NULL;
}
static void fork_offloaded(void) { EQUAL(co_offload(offload_fork, NULL, NULL), 0); }

static void spawn_here(void) {
  char* arguments[] = {"sh", "-c", "exit 7", NULL};
  pid_t child = 0;
  MUST(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ) == 0);
  EQUAL(status_of(child), 7);
  int status = system("exit 6");
  EQUAL(WEXITSTATUS(status), 6);
  FILE* words = popen("echo one", "r");
  MUST(words != NULL);
  char line[8] = "";
  CHECK(fgets(line, sizeof line, words) && !strcmp(line, "one\n"));
  EQUAL(pclose(words), 0);
}

static void exec_here(void) {
  // Whoever prints it has been made by exec, in the same process, with nothing of weft's open and the mask as it was.
  char text[64];
  snprintf(text, sizeof text, "test $$ = %d && echo done", (int)getpid());
  execl("/bin/sh", "sh", "-c", text, NULL);
  MUST(!"exec");
}

static void say_done(void) {
  char nothing;
  // Handlers run in whoever called exit.
  CHECK(co_sleep(kMillisecond) == 0);
  CHECK(co_chan_tryrecv(chan, &nothing) == EAGAIN);
  if (!check_failures) printf("done\n");
}
static void exit_here(void) { exit(5); }
static void* exit_in_coroutine(void* unused) {
  (void)unused;
  exit(5);
}

static atomic_int left;
static void* outlive_main(void* unused) {
  (void)unused;
  EQUAL(co_sleep(kSoon), 0);
  if (atomic_fetch_sub(&left, 1) == 1) printf("done\n");
  return NULL;
}

int main(int count, char** arguments) {
  MUST(count == 2);
  const char* what = arguments[1];
  if (!strcmp(what, "main_pthread_exit")) {
    atomic_store(&left, 3);
    for (int i = 0; i < 3; i++) EQUAL(co_detach(begin(outlive_main, NULL)), 0);
    pthread_exit(NULL);
  }
  begin_others();
  if (!strcmp(what, "fork")) {
    anywhere(fork_here);
    in_coroutine(fork_offloaded);
    in_coroutine(fork_offloaded);
    end_others();
  } else if (!strcmp(what, "spawn")) {
    anywhere(spawn_here);
    end_others();
  } else if (!strcmp(what, "exec")) {
    in_coroutine(exec_here);
  } else if (!strcmp(what, "exit")) {
    atexit(say_done);
    in_coroutine(exit_here);
  } else if (!strcmp(what, "exit_main")) {
    atexit(say_done);
    exit(5);
  } else if (!strcmp(what, "exit_in")) {
    atexit(say_done);
    EQUAL(co_detach(begin(exit_in_coroutine, NULL)), 0);
    for (;;) co_sleep(kLong);
  } else if (!strcmp(what, "abandoned")) {
    return finish();
  } else {
    return 2;
  }
  return finish();
}
