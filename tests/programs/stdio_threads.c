// SPDX-License-Identifier: Apache-2.0
// One stream used by many threads: whole lines, explicit locks held across waits, recursion, try-locks, unlocked calls.
#include "check.h"

#include <semaphore.h>

enum { kThreads = 12, kLines = 200 };

static FILE* stream;
static sem_t held, let_go;

static void* prints(void* argument) {
  for (int i = 0; i < kLines; i++) fprintf(stream, "thread %ld line %d of %d\n", as_long(argument), i, kLines);
  return NULL;
}

static void* prints_in_pieces(void* argument) {
  struct timespec nap = {0, 50000};
  for (int i = 0; i < 30; i++) {
    flockfile(stream);
    fprintf(stream, "<%ld ", as_long(argument));
    nanosleep(&nap, NULL);
    flockfile(stream);
    fputs("and ", stream);
    funlockfile(stream);
    putc_unlocked('>', stream);
    putc_unlocked('\n', stream);
    funlockfile(stream);
  }
  return NULL;
}

static void* holds(void* unused) {
  flockfile(stream);
  sem_post(&held);
  sem_wait(&let_go);
  fputs("written by the holder\n", stream);
  funlockfile(stream);
  return unused;
}

static void* tries(void* unused) {
  say("ftrylockfile while held: %s", ftrylockfile(stream) != 0 ? "refused" : "taken");
  return unused;
}

static void* writes_once(void* unused) {
  fputs("written later\n", stream);
  return unused;
}

static void count_lines(const char* what, const char* pattern) {
  char line[256];
  long lines = 0, broken = 0;
  rewind(stream);
  while (fgets(line, sizeof line, stream) != NULL) {
    long a;
    int b, end = 0;
    lines++;
    if (strchr(pattern, '<') != NULL)
      sscanf(line, "<%ld and >\n%n", &a, &end);
    else
      sscanf(line, "thread %ld line %d of 200\n%n", &a, &b, &end);
    broken += end != (int)strlen(line);
  }
  say("%s: %ld lines, %ld broken", what, lines, broken);
}

int main(void) {
  pthread_t threads[kThreads];
  sem_init(&held, 0, 0);
  sem_init(&let_go, 0, 0);
  stream = fopen("lines", "w+");
  for (long i = 0; i < kThreads; i++) threads[i] = start_thread(prints, as_pointer(i));
  prints(as_pointer(99));
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  count_lines("whole lines", "thread");
  fclose(stream);
  stream = fopen("pieces", "w+");
  for (long i = 0; i < kThreads; i++) threads[i] = start_thread(prints_in_pieces, as_pointer(i));
  prints_in_pieces(as_pointer(99));
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  count_lines("pieces under a lock", "<");
  fclose(stream);

  stream = fopen("held", "w+");
  pthread_t holder = start_thread(holds, NULL);
  sem_wait(&held);
  in_thread(tries, NULL);
  tries(NULL);
  for (int i = 0; i < kThreads; i++) threads[i] = start_thread(writes_once, NULL);
  settle();
  sem_post(&let_go);
  join_thread(holder);
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  rewind(stream);
  char line[64] = "";
  CHECK(fgets(line, sizeof line, stream) != NULL);
  say("first: %s", strtok(line, "\n"));
  SHOW(ftrylockfile(stream));
  SHOW(ftrylockfile(stream));
  funlockfile(stream);
  funlockfile(stream);
  fclose(stream);

  // stdout itself, whole lines by one thread after the other.
  for (int i = 0; i < 3; i++) {
    printf("line %d\n", i);
    fflush(stdout);
  }
  return finish();
}
