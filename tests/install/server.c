// SPDX-License-Identifier: Apache-2.0
// A server with a thread for each connection, which says back what it hears. Prints its port, and ends when its input does.
#include <arpa/inet.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int checked(int result, const char* what) {
  if (result < 0) {
    perror(what);
    exit(1);
  }
  return result;
}

static void* serve(void* connection) {
  int fd = (int)(intptr_t)connection;
  char text[256];
  ssize_t size;
  while ((size = read(fd, text, sizeof text)) > 0 && write(fd, text, size) == size) {
  }
  close(fd);
  return NULL;
}

static void* take(void* listener) {
  for (;;) {
    pthread_t thread;
    int fd = checked(accept((int)(intptr_t)listener, NULL, NULL), "accept");
    if (pthread_create(&thread, NULL, serve, (void*)(intptr_t)fd) != 0 || pthread_detach(thread) != 0) exit(1);
  }
}

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = checked(socket(AF_INET, SOCK_STREAM, 0), "socket");
  checked(bind(listener, (struct sockaddr*)&address, length), "bind");
  checked(listen(listener, 128), "listen");
  checked(getsockname(listener, (struct sockaddr*)&address, &length), "getsockname");
  pthread_t thread;
  if (pthread_create(&thread, NULL, take, (void*)(intptr_t)listener) != 0) return 1;
  printf("port %d\n", ntohs(address.sin_port));
  fflush(stdout);
  char word;
  while (read(0, &word, 1) > 0) {
  }
  return 0;
}
