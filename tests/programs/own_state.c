// SPDX-License-Identifier: Apache-2.0
// Threads that change what belongs to a kernel thread: each sees its own change, across waits, and nobody else does.
//
// Needs root. One thread for each kind of state; all of them live at once, beside threads that changed nothing.
#include "check.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/io.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

int capset(cap_user_header_t header, const cap_user_data_t data);
int arch_prctl(int option, unsigned long value);

static pthread_barrier_t barrier;

static void between(void) {
  struct timespec nap = {0, 300000};
  for (int i = 0; i < 10; i++) {
    nanosleep(&nap, NULL);
    sched_yield();
  }
  pthread_barrier_wait(&barrier);
}

static void* changes_nice(void* unused) {
  CHECK(setpriority(PRIO_PROCESS, 0, 7) == 0);
  between();
  CHECK(getpriority(PRIO_PROCESS, 0) == 7);
  errno = 0;
  CHECK(nice(2) == 9);
  CHECK(getpriority(PRIO_PROCESS, 0) == 9);
  return unused;
}

static void* changes_affinity(void* unused) {
  cpu_set_t set, seen;
  CPU_ZERO(&set);
  CPU_SET(0, &set);
  CHECK(pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0);
  between();
  CHECK(pthread_getaffinity_np(pthread_self(), sizeof seen, &seen) == 0);
  CHECK(CPU_EQUAL(&set, &seen));
  CHECK(sched_getaffinity(0, sizeof seen, &seen) == 0);
  CHECK(CPU_EQUAL(&set, &seen));
  CHECK(sched_getcpu() == 0);
  CHECK(sched_setaffinity(0, sizeof set, &set) == 0);
  return unused;
}

static void* changes_policy(void* unused) {
  struct sched_param parameter = {0}, seen;
  int policy = -1;
  CHECK(pthread_getschedparam(pthread_self(), &policy, &seen) == 0);
  CHECK(policy == SCHED_OTHER);
  CHECK(pthread_setschedparam(pthread_self(), SCHED_BATCH, &parameter) == 0);
  between();
  CHECK(pthread_getschedparam(pthread_self(), &policy, &seen) == 0);
  CHECK(policy == SCHED_BATCH && sched_getscheduler(0) == SCHED_BATCH);
  CHECK(sched_setscheduler(0, SCHED_IDLE, &parameter) == 0);
  CHECK(sched_getscheduler(0) == SCHED_IDLE);
  CHECK(sched_setparam(0, &parameter) == 0);
  CHECK(sched_getparam(0, &seen) == 0 && seen.sched_priority == 0);
  CHECK(pthread_setschedprio(pthread_self(), 1) == EINVAL);
  return unused;
}

static void* changes_fsids(void* unused) {
  setfsgid(65534);
  setfsuid(65534);
  between();
  CHECK(setfsuid((uid_t)-1) == 65534);
  CHECK(setfsgid((gid_t)-1) == 65534);
  CHECK(open("only_root", O_RDONLY) == -1 && errno == EACCES);
  return unused;
}

// The functions change all threads, the system calls the caller alone.
static void* changes_raw_ids(void* unused) {
  CHECK(syscall(SYS_setresgid, -1, 65534, -1) == 0);
  CHECK(syscall(SYS_setresuid, -1, 65534, -1) == 0);
  between();
  CHECK(geteuid() == 65534 && getegid() == 65534);
  CHECK(open("only_root", O_RDONLY) == -1 && errno == EACCES);
  return unused;
}

static void* changes_raw_groups(void* unused) {
  gid_t groups[3] = {7, 8, 9}, seen[8];
  CHECK(syscall(SYS_setgroups, 3L, groups) == 0);
  between();
  CHECK(getgroups(8, seen) == 3 && seen[2] == 9);
  return unused;
}

static void* changes_segment(void* unused) {
  long there[2] = {11, 22}, seen = 0;
  CHECK(arch_prctl(ARCH_SET_GS, (unsigned long)there) == 0);
  between();
  __asm__ volatile("movq %%gs:8, %0" : "=r"(seen));
  CHECK(seen == 22);
  CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &seen) == 0 && seen == (long)there);
  return unused;
}

// A virtual machine may refuse them, to all alike.
static void* changes_ports(void* unused) {
  int level = iopl(1), ports = ioperm(0x378, 1, 1);
  between();
  SHOW(level);
  SHOW(ports);
  return unused;
}

static void* changes_session_keys(void* unused) {
  enum { kGetId = 0, kJoinSession = 1, kSession = -3 };
  long ring = syscall(SYS_keyctl, kJoinSession, "of a thread", 0, 0, 0);
  int unsupported = ring == -1 && errno == ENOSYS;
  between();
  CHECK(unsupported || syscall(SYS_keyctl, kGetId, kSession, 0, 0, 0) == ring);
  return unused;
}

static void* changes_personality(void* unused) {
  CHECK(personality(ADDR_NO_RANDOMIZE) != -1);
  between();
  CHECK(personality(0xffffffff) == ADDR_NO_RANDOMIZE);
  return unused;
}

static void* changes_capabilities(void* unused) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  memset(data, 0, sizeof data);
  CHECK(capset(&header, data) == 0);
  between();
  CHECK(open("only_root", O_RDONLY) == -1 && errno == EACCES);
  return unused;
}

static void* changes_namespace(void* unused) {
  int before = open("/proc/thread-self/ns/uts", O_RDONLY);
  CHECK(before >= 0);
  CHECK(unshare(CLONE_NEWUTS) == 0);
  CHECK(sethostname("of-a-thread", 11) == 0);
  between();
  char name[64] = "";
  CHECK(gethostname(name, sizeof name) == 0 && strcmp(name, "of-a-thread") == 0);
  CHECK(setns(before, CLONE_NEWUTS) == 0);
  CHECK(gethostname(name, sizeof name) == 0 && strcmp(name, "of-a-thread") != 0);
  close(before);
  return unused;
}

static void* changes_directory(void* unused) {
  CHECK(unshare(CLONE_FS) == 0);
  CHECK(chdir("/") == 0);
  between();
  char path[64] = "";
  CHECK(getcwd(path, sizeof path) != NULL && strcmp(path, "/") == 0);
  return unused;
}

static void* changes_prctl(void* unused) {
  CHECK(prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0) == 0);
  between();
  CHECK(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == 123456);
  return unused;
}

static volatile sig_atomic_t on_alternate;
static char* alternate;
static void handler(int number) {
  char local;
  on_alternate = number != 0 && &local >= alternate && &local < alternate + 65536;
}

static void* changes_signal_stack(void* unused) {
  alternate = malloc(65536);
  stack_t stack = {.ss_sp = alternate, .ss_size = 65536}, seen;
  CHECK(sigaltstack(&stack, NULL) == 0);
  between();
  CHECK(sigaltstack(NULL, &seen) == 0 && seen.ss_sp == alternate);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = SA_ONSTACK;
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  CHECK(raise(SIGUSR1) == 0);
  CHECK(on_alternate);
  stack.ss_flags = SS_DISABLE;
  CHECK(sigaltstack(&stack, NULL) == 0);
  free(alternate);
  return unused;
}

static void* traces(void* unused) {
  int ends[2];
  MUST(pipe(ends) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    char byte;
    close(ends[1]);
    _exit((int)read(ends[0], &byte, 1) + 6);
  }
  int status = 0;
  close(ends[0]);
  CHECK(ptrace(PTRACE_ATTACH, pid, NULL, NULL) == 0);
  CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
  between();
  CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
  close(ends[1]);
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 6);
  return unused;
}

// Its number is enough for the kernel.
static void* changes_by_number(void* unused) {
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attributes = {.size = 48};
  enum { kProcess = 1, kBestEffort = 2 << 13 };
  CHECK(syscall(SYS_sched_getattr, gettid(), &attributes, 48, 0) == 0);
  CHECK(attributes.policy == SCHED_OTHER && attributes.nice == 0);
  attributes.nice = 3;
  CHECK(syscall(SYS_sched_setattr, gettid(), &attributes, 0) == 0);
  CHECK(syscall(SYS_ioprio_set, kProcess, gettid(), kBestEffort | 6) == 0);
  between();
  attributes.nice = 0;
  CHECK(syscall(SYS_sched_getattr, gettid(), &attributes, 48, 0) == 0);
  CHECK(attributes.nice == 3);
  CHECK(syscall(SYS_ioprio_get, kProcess, gettid()) == (kBestEffort | 6));
  CHECK(syscall(SYS_ioprio_get, kProcess, 0) == (kBestEffort | 6));
  return unused;
}

static volatile int signals_of_descriptor, signals_astray;
static __thread int owns_descriptor;
static void on_descriptor(int number) {
  (void)number;
  signals_of_descriptor += owns_descriptor;
  signals_astray += !owns_descriptor;
}

static void* owns_a_descriptor(void* unused) {
  int ends[2];
  owns_descriptor = 1;
  signal(SIGIO, on_descriptor);
  CHECK(pipe(ends) == 0);
  struct f_owner_ex owner = {F_OWNER_TID, gettid()}, seen = {F_OWNER_PID, 0};
  CHECK(fcntl(ends[0], F_SETOWN_EX, &owner) == 0);
  CHECK(fcntl(ends[0], F_GETOWN_EX, &seen) == 0);
  CHECK(seen.type == F_OWNER_TID && seen.pid == gettid());
  CHECK(fcntl(ends[0], F_SETFL, O_ASYNC) == 0);
  between();
  CHECK(write(ends[1], "x", 1) == 1);
  while (!signals_of_descriptor) {
  }
  CHECK(signals_astray == 0);
  close(ends[0]);
  close(ends[1]);
  return unused;
}

static void* changes_nothing(void* unused) {
  clockid_t clock;
  between();
  CHECK(getpriority(PRIO_PROCESS, 0) == 0);
  CHECK(sched_getscheduler(0) == SCHED_OTHER);
  int fd = open("only_root", O_RDONLY);
  CHECK(fd >= 0);
  close(fd);
  CHECK(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == 50000);
  CHECK(personality(0xffffffff) == 0);
  CHECK(geteuid() == 0 && getegid() == 0 && getgroups(0, NULL) != 3);
  CHECK(pthread_getcpuclockid(pthread_self(), &clock) == 0);
  struct timespec used;
  CHECK(clock_gettime(clock, &used) == 0);
  char name[64] = "", path[256] = "";
  CHECK(gethostname(name, sizeof name) == 0 && strcmp(name, "of-a-thread") != 0);
  CHECK(getcwd(path, sizeof path) != NULL && strcmp(path, "/") != 0);
  return unused;
}

int main(void) {
  static const thread_start starts[] = {changes_nice,
                                        changes_affinity,
                                        changes_policy,
                                        changes_fsids,
                                        changes_raw_ids,
                                        changes_raw_groups,
                                        changes_segment,
                                        changes_ports,
                                        changes_session_keys,
                                        changes_personality,
                                        changes_capabilities,
                                        changes_namespace,
                                        changes_directory,
                                        changes_prctl,
                                        changes_signal_stack,
                                        traces,
                                        changes_by_number,
                                        owns_a_descriptor,
                                        changes_nothing,
                                        changes_nothing,
                                        changes_nothing};
  enum { kCount = sizeof starts / sizeof starts[0] };
  pthread_t threads[kCount];
  int fd = creat("only_root", 0600);
  MUST(fd >= 0);
  // Of another owner: only root's privileges open it.
  MUST(fchown(fd, 1, 1) == 0);
  close(fd);
  pthread_barrier_init(&barrier, NULL, kCount);
  for (int i = 0; i < kCount; i++) threads[i] = start_thread(starts[i], NULL);
  for (int i = 0; i < kCount; i++) join_thread(threads[i]);
  // And later threads start with main's state.
  pthread_barrier_destroy(&barrier);
  pthread_barrier_init(&barrier, NULL, 4);
  for (int i = 0; i < 4; i++) threads[i] = start_thread(changes_nothing, NULL);
  for (int i = 0; i < 4; i++) join_thread(threads[i]);
  return finish();
}
