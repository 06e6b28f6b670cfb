// SPDX-License-Identifier: Apache-2.0
// Children from threads by posix_spawn, system, popen and fork with exec, waited for in every way, with a clean signal
// mask.
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

extern char** environ;

static void show_output(const char* what, int fd) {
  char text[256];
  ssize_t got = 0, now;
  while ((now = read(fd, text + got, sizeof text - 1 - (size_t)got)) > 0) got += now;
  text[got] = 0;
  while (got > 0 && text[got - 1] == '\n') text[--got] = 0;
  say("%s: \"%s\"", what, text);
  close(fd);
}

static char* const mask_command[] = {"grep", "SigBlk", "/proc/self/status", NULL};

// Which signals are blocked is what the thread itself blocks, not what the machinery beneath it does.
static void masks_of_children(void) {
  int ends[2], status;
  pid_t pid;
  posix_spawn_file_actions_t actions;
  for (int use_path = 0; use_path < 2; use_path++) {
    MUST(pipe(ends) == 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    int error = use_path ? posix_spawnp(&pid, "grep", &actions, NULL, mask_command, environ)
                         : posix_spawn(&pid, "/bin/grep", &actions, NULL, mask_command, environ);
    MUST(error == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    show_output(use_path ? "posix_spawnp" : "posix_spawn", ends[0]);
    MUST(waitpid(pid, &status, 0) == pid);
  }
  for (int how = 0; how < 8; how++) {
    static const char* const names[] = {"execv", "execve", "execvp", "execvpe", "execl", "execle", "execlp", "fexecve"};
    MUST(pipe(ends) == 0);
    pid = fork();
    if (pid == 0) {
      dup2(ends[1], 1);
      if (how == 0) execv("/bin/grep", mask_command);
      if (how == 1) execve("/bin/grep", mask_command, environ);
      if (how == 2) execvp("grep", mask_command);
      if (how == 3) execvpe("grep", mask_command, environ);
      if (how == 4) execl("/bin/grep", "grep", "SigBlk", "/proc/self/status", (char*)NULL);
      if (how == 5) execle("/bin/grep", "grep", "SigBlk", "/proc/self/status", (char*)NULL, environ);
      if (how == 6) execlp("grep", "grep", "SigBlk", "/proc/self/status", (char*)NULL);
      if (how == 7) fexecve(open("/bin/grep", O_RDONLY), mask_command, environ);
      _exit(99);
    }
    close(ends[1]);
    show_output(names[how], ends[0]);
    MUST(waitpid(pid, &status, 0) == pid && status == 0);
  }
  FILE* stream = popen("grep SigBlk /proc/self/status", "r");
  char line[128] = {0};
  MUST(fgets(line, sizeof line, stream) != NULL);
  line[strcspn(line, "\n")] = 0;
  say("popen: \"%s\", status %d", line, pclose(stream));
  say("system: %d", system("grep SigBlk /proc/self/status > system.out"));
  show_output("system", open("system.out", O_RDONLY));
}

static pid_t child_with(int code) {
  pid_t pid = fork();
  if (pid == 0) {
    struct timespec nap = {0, 5000000};
    nanosleep(&nap, NULL);
    _exit(code);
  }
  return pid;
}

static void* waits_for(void* argument) {
  int status = 0;
  pid_t pid = (pid_t)as_long(argument);
  CHECK(waitpid(pid, &status, 0) == pid);
  return as_pointer(WEXITSTATUS(status));
}

static void waits(void) {
  int status = 0;
  struct rusage usage;
  siginfo_t info;
  pid_t pid = child_with(1);
  CHECK(wait(&status) == pid);
  say("wait: %d", WEXITSTATUS(status));
  pid = child_with(2);
  CHECK(wait3(&status, 0, &usage) == pid);
  say("wait3: %d", WEXITSTATUS(status));
  pid = child_with(3);
  CHECK(wait4(pid, &status, 0, &usage) == pid);
  say("wait4: %d", WEXITSTATUS(status));
  pid = child_with(4);
  memset(&info, 0, sizeof info);
  CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED) == 0);
  say("waitid: %d %s", info.si_status, info.si_code == CLD_EXITED ? "exited" : "?");
  pid = child_with(5);
  pid_t got;
  while ((got = waitpid(pid, &status, WNOHANG)) == 0) sched_yield();
  CHECK(got == pid);
  say("WNOHANG: %d", WEXITSTATUS(status));
  SHOW(waitpid(-1, &status, WNOHANG));
  SHOW(wait(&status));
  pthread_t threads[10];
  for (int i = 0; i < 10; i++) threads[i] = start_thread(waits_for, as_pointer(child_with(40 + i)));
  long sum = 0;
  for (int i = 0; i < 10; i++) sum += as_long(join_thread(threads[i]));
  say("ten waits at once: %ld", sum);
  say("system: %d %d", WEXITSTATUS(system("exit 3")), system(NULL) != 0);
  pid = fork();
  if (pid == 0) {
    raise(SIGKILL);
    _exit(0);
  }
  MUST(waitpid(pid, &status, 0) == pid);
  say("killed by %d", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
}

static void* all(void* unused) {
  masks_of_children();
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  say("-- with SIGUSR1 blocked");
  masks_of_children();
  waits();
  MUST(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
  return unused;
}

int main(void) {
  say("-- from a thread");
  in_thread(all, NULL);
  say("-- from main");
  all(NULL);
  return finish();
}
