// SPDX-License-Identifier: Apache-2.0
// Streams that own descriptors: closed past close(), their numbers reused at once and waited on, again and again.
#include "socket_pairs.h"

#include <dirent.h>
#include <fcntl.h>
#include <semaphore.h>
#include <sys/stat.h>

static sem_t about_to_wait;

static void* reader(void* argument) {
  char byte = 0;
  sem_post(&about_to_wait);
  return as_pointer(read((int)as_long(argument), &byte, 1) == 1 ? byte : -1);
}

// Waits on pair[0] in a thread until a byte comes through pair[1].
static void use(const char* what, int pair[2]) {
  pthread_t thread = start_thread(reader, as_pointer(pair[0]));
  sem_wait(&about_to_wait);
  settle();
  MUST(write(pair[1], "u", 1) == 1);
  say("%s: descriptor %d read '%c'", what, pair[0], (int)as_long(join_thread(thread)));
}

static void* close_stream(void* argument) {
  SHOW(fclose((FILE*)argument));
  return NULL;
}

static void* by_stream(void* argument) {
  char* line = NULL;
  size_t size = 0;
  FILE* stream = fdopen((int)as_long(argument), "r+");
  MUST(stream != NULL);
  while (getline(&line, &size, stream) > 0) {
    fseek(stream, 0, SEEK_CUR);
    fprintf(stream, "you said %s", line);
    fflush(stream);
  }
  free(line);
  fclose(stream);
  return NULL;
}

int main(void) {
  int pair[2], second[2];
  sem_init(&about_to_wait, 0, 0);

  // Each round a number that was waited on is closed by a stream and given to another description.
  unix_pair(SOCK_STREAM, pair);
  for (int round = 0; round < 3; round++) {
    use("before fclose", pair);
    FILE* stream = fdopen(pair[0], "r+");
    int number = pair[0];
    if (round % 2 == 0)
      close_stream(stream);
    else
      in_thread(close_stream, stream);
    close(pair[1]);
    unix_pair(SOCK_STREAM, pair);
    CHECK(pair[0] == number);
  }
  use("after fclose", pair);

  // freopen closes one description and opens another on the way.
  FILE* stream = fdopen(pair[0], "r+");
  stream = freopen("file", "w+", stream);
  MUST(stream != NULL);
  SHOW(fprintf(stream, "text\n"));
  fclose(stream);
  close(pair[1]);
  stream = freopen64("file", "r", fopen("/dev/null", "r"));
  char line[16];
  SHOW(fgets(line, sizeof line, stream) == line);
  fclose(stream);
  unix_pair(SOCK_STREAM, pair);
  use("after freopen", pair);

  // opendir's number after closedir, open's after close, fopen's after fclose, popen's after pclose.
  close(pair[0]);
  close(pair[1]);
  DIR* directory = opendir(".");
  int number = dirfd(directory);
  closedir(directory);
  unix_pair(SOCK_STREAM, pair);
  CHECK(pair[0] == number);
  use("after closedir", pair);
  close(pair[0]);
  close(pair[1]);
  number = open("file", O_RDONLY);
  close(number);
  unix_pair(SOCK_STREAM, pair);
  CHECK(pair[0] == number);
  use("after open and close", pair);
  close(pair[0]);
  close(pair[1]);
  fclose(fopen64("file", "r"));
  close(creat64("file64", 0600));
  unix_pair(SOCK_STREAM, pair);
  use("after fopen64 and creat64", pair);
  close(pair[0]);
  close(pair[1]);
  FILE* command = popen("echo from a command", "r");
  SHOW(fgets(line, sizeof line, command) == line);
  say("pclose: %d", pclose(command));
  unix_pair(SOCK_STREAM, pair);
  use("after pclose", pair);

  // A stream on a socket, in a thread that waits in getline; two at once.
  unix_pair(SOCK_STREAM, second);
  pthread_t threads[2] = {start_thread(by_stream, as_pointer(pair[0])), start_thread(by_stream, as_pointer(second[0]))};
  for (int i = 0; i < 2; i++) {
    int fd = i == 0 ? second[1] : pair[1];
    char answer[64] = {0};
    settle();
    MUST(write(fd, "hel", 3) == 3);
    settle();
    MUST(write(fd, "lo\n", 3) == 3);
    MUST(recv(fd, answer, strlen("you said hello\n"), MSG_WAITALL) == (ssize_t)strlen("you said hello\n"));
    say("stream %d: %.14s", i, answer);
    close(fd);
  }
  join_thread(threads[0]);
  join_thread(threads[1]);
  return finish();
}
