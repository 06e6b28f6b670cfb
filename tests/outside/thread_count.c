// SPDX-License-Identifier: Apache-2.0
// A preload library for native runs: how many threads a process and its children make. The number is in the file that
// THREAD_COUNT names, and right whichever way a process ends, since it is counted in the mapped file itself.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <threads.h>
#include <unistd.h>

static uint64_t* count;
static int (*next_pthread_create)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
static int (*next_thrd_create)(thrd_t*, thrd_start_t, void*);

// Not at the first call: dlsym would wait for a dlopen whose constructor waits for the caller.
static void find_next(void) {
  next_pthread_create =
      (int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*))dlsym(RTLD_NEXT, "pthread_create");
  next_thrd_create = (int (*)(thrd_t*, thrd_start_t, void*))dlsym(RTLD_NEXT, "thrd_create");
}

__attribute__((constructor)) static void map_count(void) {
  find_next();
  const char* path = getenv("THREAD_COUNT");
  int file = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (file == -1) return;
  void* mapped = MAP_FAILED;
  if (lseek(file, 0, SEEK_END) == sizeof *count || ftruncate(file, sizeof *count) == 0)
    mapped = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (mapped != MAP_FAILED) count = mapped;
}

static void count_if(int made) {
  if (made && count != NULL) __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
}

int pthread_create(pthread_t* restrict thread, const pthread_attr_t* restrict attributes, void* (*start)(void*),
                   void* restrict argument) {
  if (next_pthread_create == NULL) find_next();  // another library's constructor, before ours
  int error = next_pthread_create(thread, attributes, start, argument);
  count_if(error == 0);
  return error;
}

int thrd_create(thrd_t* thread, thrd_start_t start, void* argument) {
  if (next_thrd_create == NULL) find_next();
  int result = next_thrd_create(thread, start, argument);
  count_if(result == thrd_success);
  return result;
}
