// SPDX-License-Identifier: Apache-2.0
// setgid, setuid and kin from main and from a thread while others compute, wait and sit in the kernel: all tasks
// change.
//
// Needs root. Who calls is the argument. glibc tells every kernel thread by a signal, and waits for all of them.
#include "check.h"

#include <dirent.h>
#include <grp.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int idle[2], raw_pipe[2];
static sem_t never, waiting;
static volatile int stop;

static void* waits(void* argument) {
  char byte;
  sem_post(&waiting);
  switch (as_long(argument) % 4) {
    case 0:
      CHECK(read(idle[0], &byte, 1) == 0);
      break;
    case 1:
      sem_wait(&never);
      break;
    case 2:
      while (!stop) {
      }
      break;
    default: {
      // Stuck in the kernel, past every hook.
      long result;
      __asm__ volatile("syscall"
                       : "=a"(result)
                       : "a"(SYS_read), "D"((long)raw_pipe[0]), "S"(&byte), "d"(1L)
                       : "rcx", "r11", "memory");
      CHECK(result == 0);
    }
  }
  return NULL;
}

// Every task of the process, as the kernel sees it.
static void show_tasks(const char* when) {
  DIR* directory = opendir("/proc/self/task");
  struct dirent* entry;
  long tasks = 0, different = 0;
  char first[128] = "";
  MUST(directory != NULL);
  while ((entry = readdir(directory)) != NULL) {
    if (entry->d_name[0] == '.') continue;
    char path[300], line[256], ids[128] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
    FILE* file = fopen(path, "r");
    if (file == NULL) continue;
    while (fgets(line, sizeof line, file) != NULL) {
      if (strncmp(line, "Uid:", 4) == 0 || strncmp(line, "Gid:", 4) == 0) {
        line[strcspn(line, "\n")] = 0;
        strncat(ids, line, sizeof ids - strlen(ids) - 1);
      }
    }
    fclose(file);
    if (first[0] == 0) snprintf(first, sizeof first, "%s", ids);
    tasks++;
    different += strcmp(first, ids) != 0;
  }
  closedir(directory);
  for (char* c = first; *c != 0; c++)
    if (*c == '\t') *c = ' ';
  say("%s: %s, different %ld", when, first, different);
  CHECK(tasks >= 2);
}

static void* changes(void* unused) {
  gid_t groups[2] = {65534, 100};
  SHOW(setgroups(2, groups));
  SHOW(setgid(65534));
  show_tasks("after setgid");
  SHOW(setresgid(65534, 100, 65534));
  SHOW(setegid(65534));
  SHOW(seteuid(65534));
  show_tasks("after seteuid");
  SHOW(seteuid(0));
  SHOW(setreuid(65534, 0));
  SHOW(setuid(65534));
  show_tasks("after setuid");
  SHOW(setuid(0));
  say("%d %d %d %d", (int)getuid(), (int)geteuid(), (int)getgid(), (int)getegid());
  return unused;
}

static void* later(void* unused) {
  say("a later thread: %d %d", (int)syscall(SYS_getuid), (int)syscall(SYS_geteuid));
  return unused;
}

int main(int argc, char** argv) {
  pthread_t threads[12];
  int by_thread = argc > 1 && strcmp(argv[1], "thread") == 0;
  MUST(geteuid() == 0);
  sem_init(&never, 0, 0);
  sem_init(&waiting, 0, 0);
  MUST(pipe(idle) == 0 && pipe(raw_pipe) == 0);
  for (int i = 0; i < 12; i++) threads[i] = start_thread(waits, as_pointer(i));
  for (int i = 0; i < 12; i++) sem_wait(&waiting);
  settle();
  if (by_thread)
    in_thread(changes, NULL);
  else
    changes(NULL);
  in_thread(later, NULL);
  stop = 1;
  close(idle[1]);
  close(raw_pipe[1]);
  for (int i = 0; i < 3; i++) sem_post(&never);
  for (int i = 0; i < 12; i++) join_thread(threads[i]);
  return finish();
}
