// SPDX-License-Identifier: Apache-2.0
// stdio on sockets and pipes: lines, blocks, characters and formats in both directions, every way of buffering, wide streams, ends
// and errors, signals and cancellation. Many threads wait in one at once.
#include "socket_pairs.h"

#include <semaphore.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <wchar.h>

enum { kMany = 300, kLarge = 300000 };

static sem_t started;

static FILE* opened(int fd, const char* mode) {
  FILE* stream = fdopen(fd, mode);
  MUST(stream != NULL);
  return stream;
}

// A service of one connection, written as such services are.
static void* serve(void* argument) {
  int fd = (int)as_long(argument);
  FILE *from = opened(fd, "r"), *to = opened(dup(fd), "w");
  char* line = NULL;
  size_t room = 0;
  sem_post(&started);
  while (getline(&line, &room, from) > 0) {
    int number;
    if (sscanf(line, "double %d", &number) == 1)
      fprintf(to, "%d\n", 2 * number);
    else if (strcmp(line, "quit\n") == 0)
      break;
    else
      fprintf(to, "what is %s", line);
    fflush(to);
  }
  free(line);
  CHECK(fclose(to) == 0);
  CHECK(fclose(from) == 0);
  return NULL;
}

static void many_connections(void) {
  static int ends[kMany];
  pthread_t threads[kMany];
  for (int i = 0; i < kMany; i++) {
    int pair[2];
    unix_pair(SOCK_STREAM, pair);
    ends[i] = pair[1];
    threads[i] = start_thread(serve, as_pointer(pair[0]));
  }
  for (int i = 0; i < kMany; i++) sem_wait(&started);
  long sum = 0;
  for (int i = 0; i < kMany; i++) {
    FILE *from = opened(ends[i], "r"), *to = opened(dup(ends[i]), "w");
    char line[64];
    CHECK(fprintf(to, "double %d\nhello\n", i) > 0 && fflush(to) == 0);
    CHECK(fgets(line, sizeof line, from) != NULL);
    sum += atol(line);
    CHECK(fgets(line, sizeof line, from) != NULL && strcmp(line, "what is hello\n") == 0);
    CHECK(fputs("quit\n", to) >= 0 && fflush(to) == 0);
    CHECK(fgetc(from) == EOF && feof(from) && !ferror(from));
    fclose(to);
    fclose(from);
  }
  for (int i = 0; i < kMany; i++) join_thread(threads[i]);
  say("%d services: sum %ld", kMany, sum);
}

static char* pattern(void) {
  char* bytes = malloc(kLarge);
  for (int i = 0; i < kLarge; i++) bytes[i] = (char)(i * 31 + i / 251);
  return bytes;
}

static void* writes_much(void* argument) {
  FILE* stream = argument;
  char* bytes = pattern();
  CHECK(fwrite(bytes, 1, kLarge, stream) == kLarge);
  CHECK(fputc('.', stream) == '.');
  CHECK(fclose(stream) == 0);
  free(bytes);
  return NULL;
}

static void* reads_much(void* argument) {
  FILE* stream = argument;
  char *bytes = malloc(kLarge), *wanted = pattern();
  size_t got = fread(bytes, 1, 1000, stream);
  for (; got < 2000; got++) bytes[got] = (char)fgetc(stream);
  got += fread(bytes + got, 1, kLarge - got, stream);
  say("read %zu, %s, then '%c'", got, memcmp(bytes, wanted, kLarge) == 0 ? "all right" : "wrong", fgetc(stream));
  SHOW(fgetc(stream));
  SHOW(fclose(stream));
  free(bytes);
  free(wanted);
  return NULL;
}

// More than the pipe holds, so that both ends wait.
static void much(const char* what, int from, int to, int mode, size_t size) {
  say("%s", what);
  FILE *reader = opened(from, "r"), *writer = opened(to, "w");
  CHECK(setvbuf(reader, NULL, mode, size) == 0 && setvbuf(writer, NULL, mode, size) == 0);
  pthread_t threads[2] = {start_thread(reads_much, reader), 0};
  settle();
  threads[1] = start_thread(writes_much, writer);
  join_thread(threads[1]);
  join_thread(threads[0]);
}

// How much each flush writes, as the other end sees it: the buffer is as large as natively.
static void* fills(void* argument) {
  FILE* stream = argument;
  for (int i = 0; i < 10000; i++) fputc('x', stream);
  fflush(stream);
  SHOW(__fbufsize(stream));
  SHOW(fileno(stream) == fileno_unlocked(stream));
  SHOW(__flbf(stream));
  SHOW(fseek(stream, 0, SEEK_SET));
  SHOW(ftell(stream));
  fclose(stream);
  return NULL;
}

static void buffer_sizes(void) {
  int pair[2];
  unix_pair(SOCK_SEQPACKET, pair);
  in_thread(fills, opened(pair[0], "w"));
  char bytes[16384];
  for (long got; (got = read(pair[1], bytes, sizeof bytes)) > 0;) say("a record of %ld", got);
  close(pair[1]);
}

static void* reads_wide(void* argument) {
  FILE* stream = opened((int)as_long(argument), "r+");
  wchar_t line[64] = L"";
  SHOW(fwide(stream, 0));
  SHOW(fgetws(line, 64, stream) == line);
  SHOW(fwide(stream, 0));
  SHOW(wcscmp(line, L"a wide line\n"));
  SHOW(fputws(L"a wide answer\n", stream));
  SHOW(fclose(stream));
  return NULL;
}

static void wide(void) {
  int pair[2];
  char answer[64];
  unix_pair(SOCK_STREAM, pair);
  pthread_t thread = start_thread(reads_wide, as_pointer(pair[0]));
  settle();
  MUST(write(pair[1], "a wide line\n", 12) == 12);
  join_thread(thread);
  SHOW(read(pair[1], answer, sizeof answer));
  close(pair[1]);
}

static void* closed_by_peer(void* argument) {
  FILE* stream = opened((int)as_long(argument), "r+");
  SHOW(fputs("nobody reads this\n", stream));
  SHOW(fflush(stream));
  SHOW(ferror(stream) != 0);
  SHOW(fclose(stream));
  return NULL;
}

static void* closed_by_peer_unflushed(void* argument) {
  FILE* stream = opened((int)as_long(argument), "w");
  SHOW(fputs("nobody reads this\n", stream));
  SHOW(fclose(stream));
  return NULL;
}

static void* wrong_modes(void* argument) {
  int read_end = (int)as_long(argument);
  SHOW(fdopen(read_end, "w") == NULL ? -1 : 0);
  SHOW(fdopen(read_end, "?") == NULL ? -1 : 0);
  SHOW(fdopen(987, "r") == NULL ? -1 : 0);
  FILE* stream = opened(read_end, "r");
  SHOW(fputc('x', stream));
  SHOW(ferror(stream) != 0);
  SHOW(fclose(stream));
  return NULL;
}

static void on_signal(int signal) { (void)signal; }

static void* interrupted(void* argument) {
  FILE* stream = argument;
  char line[64];
  sem_post(&started);
  SHOW(fgets(line, sizeof line, stream) == line ? 0 : -1);
  SHOW(ferror(stream) != 0);
  clearerr(stream);
  sem_post(&started);
  SHOW(fgets(line, sizeof line, stream) == line);
  SHOW(strcmp(line, "after the signal\n"));
  return NULL;
}

// The handler without SA_RESTART ends the wait; the same stream goes on afterwards.
static void signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  int ends[2];
  MUST(sigaction(SIGUSR1, &action, NULL) == 0 && pipe(ends) == 0);
  FILE* stream = opened(ends[0], "r");
  pthread_t thread = start_thread(interrupted, stream);
  sem_wait(&started);
  // A signal that comes before the wait does not end it: sent until it is seen to have.
  while (sem_trywait(&started) != 0) {
    pthread_kill(thread, SIGUSR1);
    settle();
  }
  MUST(write(ends[1], "after the signal\n", 17) == 17);
  join_thread(thread);
  fclose(stream);
  close(ends[1]);
}

static void note_cleanup(void* argument) { say("cleanup: %s", (const char*)argument); }

static void* waits_for_ever(void* argument) {
  char line[64];
  pthread_cleanup_push(note_cleanup, "of the one that waited in fgets");
  sem_post(&started);
  fgets(line, sizeof line, argument);
  pthread_cleanup_pop(0);
  return NULL;
}

// Whoever is cancelled inside a stream leaves it unlocked.
static void cancelled(void) {
  int ends[2];
  MUST(pipe(ends) == 0);
  FILE* stream = opened(ends[0], "r");
  pthread_t thread = start_thread(waits_for_ever, stream);
  sem_wait(&started);
  settle();
  pthread_cancel(thread);
  SHOW(join_thread(thread) == PTHREAD_CANCELED);
  SHOW(ftrylockfile(stream));
  funlockfile(stream);
  MUST(write(ends[1], "x", 1) == 1);
  SHOW(fgetc(stream));
  fclose(stream);
  close(ends[1]);
}

static void* runs_commands(void* unused) {
  char line[64];
  FILE* from = popen("read line; echo got \"$line\"; exit 3", "r");
  SHOW(fgets(line, sizeof line, from) == line);
  say("popen: %s", strtok(line, "\n"));
  SHOW(WEXITSTATUS(pclose(from)));
  FILE* to = popen("read line; test \"$line\" = sent; exit $?", "w");
  SHOW(fprintf(to, "sent\n"));
  SHOW(WEXITSTATUS(pclose(to)));
  return unused;
}

static void* prints_to(void* argument) {
  SHOW(dprintf((int)as_long(argument), "%s of %d\n", "formatted", 1));
  return NULL;
}

static void* reads_standard_input(void* unused) {
  char line[64];
  SHOW(scanf("%63s", line));
  say("stdin: %s", line);
  return unused;
}

int main(void) {
  int ends[2];
  signal(SIGPIPE, SIG_IGN);
  sem_init(&started, 0, 0);
  many_connections();

  const struct {
    const char* name;
    int mode;
    size_t size;
  } ways[] = {{"fully buffered", _IOFBF, 0}, {"by lines", _IOLBF, 0}, {"unbuffered", _IONBF, 0}};
  for (int i = 0; i < 3; i++) {
    MUST(pipe(ends) == 0);
    much(ways[i].name, ends[0], ends[1], ways[i].mode, ways[i].size);
    unix_pair(SOCK_STREAM, ends);
    much(ways[i].name, ends[0], ends[1], ways[i].mode, ways[i].size);
  }
  buffer_sizes();
  wide();

  unix_pair(SOCK_STREAM, ends);
  close(ends[1]);
  in_thread(closed_by_peer, as_pointer(ends[0]));
  MUST(pipe(ends) == 0);
  close(ends[0]);
  in_thread(closed_by_peer_unflushed, as_pointer(ends[1]));
  MUST(pipe(ends) == 0);
  in_thread(wrong_modes, as_pointer(ends[0]));
  close(ends[1]);

  signals();
  cancelled();

  // The shell reads what was standard input, and then a thread does.
  MUST(pipe(ends) == 0 && dup2(ends[0], STDIN_FILENO) == STDIN_FILENO);
  close(ends[0]);
  pthread_t thread = start_thread(runs_commands, NULL);
  MUST(write(ends[1], "for the shell\n", 14) == 14);
  join_thread(thread);
  thread = start_thread(reads_standard_input, NULL);
  settle();
  MUST(write(ends[1], "for-scanf\n", 10) == 10);
  join_thread(thread);
  in_thread(prints_to, as_pointer(ends[1]));
  return finish();
}
