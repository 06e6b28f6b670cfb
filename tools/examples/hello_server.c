/* SPDX-License-Identifier: Apache-2.0 */
/* The first program: an HTTP server that waits wherever it likes, one coroutine for each connection.
 *     cc hello_server.c -o hello_server $(pkg-config --cflags --libs weft) && ./hello_server 8080 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <weft/co.h>

static void serve(int fd, void* unused) {
  FILE* connection = fdopen(fd, "r+");
  char line[1000];
  while (fgets(line, sizeof line, connection))
    if (strcmp(line, "\r\n") == 0) { /* the end of a request */
      fputs("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n", connection);
      fflush(connection);
    }
  fclose(connection);
}

int main(int count, char** words) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_port = htons(count > 1 ? atoi(words[1]) : 0), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof at;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)); /* the port may just have been another's */
  if (bind(fd, (struct sockaddr*)&at, size) || listen(fd, SOMAXCONN) || getsockname(fd, (struct sockaddr*)&at, &size))
    return perror("listen"), 1;
  printf("port %d\n", ntohs(at.sin_port));
  fflush(stdout);
  return co_listen_and_serve(fd, serve, NULL);
}
