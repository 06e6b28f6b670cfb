// SPDX-License-Identifier: Apache-2.0
// Code on the stack: forbidden, until a library that needs it is loaded, by main or by a thread, and allowed from then on to all threads,
// those that wait, those on stacks of any size and new ones; also after the library has been closed. What is no stack stays as it was.
// Linked with -z execstack it is the program itself that needs it, from the start. A libc may refuse to load such a library where the
// stack is not executable already; then the rest cannot be seen, and the program ends with 77 and libc's words.
#include "check.h"

#include <dlfcn.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

enum { kThreads = 20 };

static sem_t go, ready;
static int pair[2];
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static const char* path;
static int handles;  // the program has a handler for faults
static volatile sig_atomic_t faults;
static __thread sigjmp_buf way_back;
static long (*add)(long, long);
static long (*add_below)(long, long, long);
static long (*lend)(long (*)(long (*)(long)), long);

static const unsigned char returns_42[] = {0xb8, 42, 0, 0, 0, 0xc3};  // mov $42, %eax; ret

static void on_fault(int number) {
  (void)number;
  faults++;
  siglongjmp(way_back, 1);
}

// What the code says, or -1 where it cannot be run.
static int run(unsigned char* code) {
  int result = -1;
  memcpy(code, returns_42, sizeof returns_42);
  if (sigsetjmp(way_back, 1) == 0) result = ((int (*)(void))(void*)code)();
  return result;
}

static int run_on_stack(void) {
  unsigned char code[sizeof returns_42];
  return run(code);
}

static int run_elsewhere(void) {
  unsigned char* memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  MUST(memory != MAP_FAILED);
  int result = run(memory);
  munmap(memory, 4096);
  return result;
}

static void* runs(void* unused) {
  (void)unused;
  return as_pointer(run_on_stack());
}

static long uses_lent(long (*function)(long)) {
  sched_yield();
  return function(6);
}

static long (*volatile lent_function)(long);
static sem_t lent, used;

static void* calls_lent(void* unused) {
  (void)unused;
  sem_wait(&lent);
  long result = lent_function(7);
  sem_post(&used);
  return as_pointer(result);
}

// To a thread that may never have run code on its own stack.
static long lends(long (*function)(long)) {
  lent_function = function;
  sem_post(&lent);
  sem_wait(&used);
  return 0;
}

static void* waits_and_calls(void* argument) {
  long number = as_long(argument);
  char byte;
  struct timespec nap = {0, 100000000};
  sem_post(&ready);
  switch (number % 4) {
    case 0:
      MUST(read(pair[0], &byte, 1) == 1);
      break;
    case 1:
      MUST(pthread_mutex_lock(&held) == 0);
      MUST(pthread_mutex_unlock(&held) == 0);
      break;
    case 2:
      nanosleep(&nap, NULL);
      break;
    default:
      break;
  }
  sem_wait(&go);
  for (int i = 0; i < 3; i++) {
    CHECK(add(number, 1000) == number + 1000);
    CHECK(add_below(number, 1, 10) == number + 1);
    CHECK(lend(uses_lent, number) == 6 * number);
    CHECK(run_on_stack() == 42);
    sched_yield();
  }
  return NULL;
}

static void* load(void* unused) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    const char* why = dlerror();
    say("%s", why);
    MUST(strstr(why, "cannot enable executable stack") != NULL && (!handles || run_on_stack() == -1));
    exit(77);
  }
  add = (long (*)(long, long))dlsym(library, "module_add");
  add_below = (long (*)(long, long, long))dlsym(library, "module_add_below");
  lend = (long (*)(long (*)(long (*)(long)), long))dlsym(library, "module_lend");
  long (*constructed)(void) = (long (*)(void))dlsym(library, "module_constructed");
  MUST(add && add_below && lend && constructed);
  say("constructed: %ld, on the stack that loaded it: %d", constructed(), run_on_stack());
  (void)unused;
  return library;
}

static pthread_t start_on(size_t size, thread_start start, void* argument) {
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  if (size) MUST(pthread_attr_setstacksize(&attributes, size) == 0);
  MUST(pthread_create(&thread, &attributes, start, argument) == 0);
  pthread_attr_destroy(&attributes);
  return thread;
}

static void before(void) {
  if (!handles) return;
  say("in main: %d", run_on_stack());
  say("in a thread: %ld", as_long(in_thread(runs, NULL)));
  int result = run_elsewhere();
  say("elsewhere: %d, faults %d", result, (int)faults);
}

int main(int argc, char** argv) {
  static const size_t sizes[] = {0, 64 << 10, 1 << 20, 3 << 20};
  MUST(argc > 2);
  path = argv[1];
  handles = strcmp(argv[2], "handler") == 0;
  int by_main = argc > 3;
  sem_init(&go, 0, 0);
  sem_init(&ready, 0, 0);
  sem_init(&lent, 0, 0);
  sem_init(&used, 0, 0);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_fault;
  if (handles) MUST(sigaction(SIGSEGV, &action, NULL) == 0);
  before();
  MUST(pipe(pair) == 0);
  MUST(pthread_mutex_lock(&held) == 0);
  pthread_t threads[kThreads], lent_to;
  for (long i = 0; i < kThreads; i++) threads[i] = start_on(sizes[i / 4 % 4], waits_and_calls, as_pointer(i));
  lent_to = start_thread(calls_lent, NULL);
  for (int i = 0; i < kThreads; i++) sem_wait(&ready);
  settle();
  int faults_before = faults;
  void* library = by_main ? load(NULL) : in_thread(load, NULL);
  CHECK(lend(lends, 5) == 0);
  say("lent to a thread: %ld", as_long(join_thread(lent_to)));
  MUST(write(pair[1], "12345", 5) == 5);
  MUST(pthread_mutex_unlock(&held) == 0);
  for (int i = 0; i < kThreads; i++) sem_post(&go);
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  for (int i = 0; i < 4; i++) say("a new thread: %ld", as_long(join_thread(start_on(sizes[i], runs, NULL))));
  say("a thread of another size: %ld", as_long(join_thread(start_on(5 << 20, runs, NULL))));
  CHECK(faults == faults_before);
  if (handles) {
    int result = run_elsewhere();
    say("elsewhere: %d, faults %d more", result, (int)faults - faults_before);
  }
  MUST(dlclose(library) == 0);
  say("closed: in main %d, in a thread %ld, of yet another size %ld", run_on_stack(), as_long(in_thread(runs, NULL)),
      as_long(join_thread(start_on(7 << 20, runs, NULL))));
  return finish();
}
