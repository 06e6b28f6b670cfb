// SPDX-License-Identifier: Apache-2.0
// Makes very many threads that all wait, and tells what they took: a plain pthread program, run natively and woven.
//
// Usage: parked THREADS [unguarded]. Prints one line: nanoseconds for each thread until all were running; RSS, page
// tables and mappings while all wait; nanoseconds for each until all had been woken and joined; and how many threads
// found the page beyond their stack out of bounds, tried after the memory was read, since asking for one's own stack
// allocates. With the second word they do not try, and the wake-up is timed alone.
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

namespace {

struct Gate {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
  int expected = 0;
  int arrived = 0;    // guarded by mutex
  bool open = false;  // guarded by mutex
  int guarded = 0;    // guarded by mutex
  bool tries = true;
  int probe[2];  // a pipe: the kernel refuses to read from a guard on behalf of write
} gate;

// Whether the kernel may read a byte there; a guard answers EFAULT and harms nobody.
bool readable(const char* address) {
  char byte;
  return write(gate.probe[1], address, 1) == 1 ? read(gate.probe[0], &byte, 1) == 1 : errno != EFAULT;
}

// glibc counts the guard as part of the stack it tells of, others may not: so either side of its end counts.
bool has_guard() {
  pthread_attr_t attributes;
  void* lowest = nullptr;
  size_t size = 0;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return false;
  pthread_attr_getstack(&attributes, &lowest, &size);
  pthread_attr_destroy(&attributes);
  const char* end = static_cast<const char*>(lowest);
  return !readable(end) || !readable(end - 1);
}

void* wait_at_gate(void*) {
  pthread_mutex_lock(&gate.mutex);
  if (++gate.arrived == gate.expected) pthread_cond_broadcast(&gate.changed);
  while (!gate.open) pthread_cond_wait(&gate.changed, &gate.mutex);
  pthread_mutex_unlock(&gate.mutex);
  if (!gate.tries) return nullptr;
  bool guarded = has_guard();
  pthread_mutex_lock(&gate.mutex);
  gate.guarded += guarded ? 1 : 0;
  pthread_mutex_unlock(&gate.mutex);
  return nullptr;
}

long status_kb(const char* key) {
  FILE* file = fopen("/proc/self/status", "r");
  char line[256];
  long value = -1;
  while (file != nullptr && fgets(line, sizeof line, file) != nullptr) {
    if (strncmp(line, key, strlen(key)) == 0) value = atol(line + strlen(key) + 1);
  }
  if (file != nullptr) fclose(file);
  return value;
}

int count_mappings() {
  FILE* file = fopen("/proc/self/maps", "r");
  int count = 0;
  for (int c; file != nullptr && (c = fgetc(file)) != EOF;) count += c == '\n' ? 1 : 0;
  if (file != nullptr) fclose(file);
  return count;
}

int64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

int main(int argc, char** argv) {
  gate.tries = argc == 2;
  if ((!gate.tries && (argc != 3 || strcmp(argv[2], "unguarded") != 0)) || atoi(argv[1]) <= 0) {
    fputs("usage: parked THREADS [unguarded]\n", stderr);
    return 2;
  }
  gate.expected = atoi(argv[1]);
  if (pipe2(gate.probe, O_NONBLOCK) != 0) return 1;
  std::vector<pthread_t> threads(static_cast<size_t>(gate.expected));
  int64_t before = now_ns();
  for (pthread_t& thread : threads) {
    int error = pthread_create(&thread, nullptr, wait_at_gate, nullptr);
    if (error != 0) {
      fprintf(stderr, "pthread_create: %s\n", strerror(error));
      return 1;
    }
  }
  pthread_mutex_lock(&gate.mutex);
  while (gate.arrived != gate.expected) pthread_cond_wait(&gate.changed, &gate.mutex);
  pthread_mutex_unlock(&gate.mutex);
  int64_t taken = now_ns() - before;
  long rss = status_kb("VmRSS:"), tables = status_kb("VmPTE:");
  int mappings = count_mappings();

  before = now_ns();
  pthread_mutex_lock(&gate.mutex);
  gate.open = true;
  pthread_cond_broadcast(&gate.changed);
  pthread_mutex_unlock(&gate.mutex);
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  double woken = static_cast<double>(now_ns() - before) / gate.expected;
  printf("threads=%d first_ns=%.0f rss_kb=%ld tables_kb=%ld mappings=%d woken_ns=%.0f guarded=%d\n", gate.expected,
         static_cast<double>(taken) / gate.expected, rss, tables, mappings, woken, gate.guarded);
  return 0;
}
