// SPDX-License-Identifier: Apache-2.0
// Connected sockets of each kind for the programs of this directory, on loopback ports that the kernel chooses.
#ifndef WEFT_TESTS_PROGRAMS_SOCKET_PAIRS_H_
#define WEFT_TESTS_PROGRAMS_SOCKET_PAIRS_H_

#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

__attribute__((unused)) static struct sockaddr_in loopback(int port) {
  struct sockaddr_in address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_port = htons((uint16_t)port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

__attribute__((unused)) static struct sockaddr_in address_of(int fd) {
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  MUST(getsockname(fd, (struct sockaddr*)&address, &length) == 0);
  return address;
}

__attribute__((unused)) static int tcp_listener(int backlog) {
  struct sockaddr_in address = loopback(0);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  MUST(fd >= 0);
  MUST(bind(fd, (struct sockaddr*)&address, sizeof address) == 0);
  MUST(listen(fd, backlog) == 0);
  return fd;
}

__attribute__((unused)) static int tcp_client(int listener) {
  struct sockaddr_in address = address_of(listener);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  MUST(fd >= 0);
  MUST(connect(fd, (struct sockaddr*)&address, sizeof address) == 0);
  return fd;
}

__attribute__((unused)) static void tcp_pair(int pair[2]) {
  int listener = tcp_listener(1);
  pair[0] = tcp_client(listener);
  pair[1] = accept(listener, NULL, NULL);
  MUST(pair[1] >= 0);
  MUST(close(listener) == 0);
}

__attribute__((unused)) static void unix_pair(int type, int pair[2]) { MUST(socketpair(AF_UNIX, type, 0, pair) == 0); }

__attribute__((unused)) static int udp_socket(void) {
  struct sockaddr_in address = loopback(0);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  MUST(fd >= 0);
  MUST(bind(fd, (struct sockaddr*)&address, sizeof address) == 0);
  return fd;
}

__attribute__((unused)) static void udp_pair(int pair[2]) {
  for (int i = 0; i < 2; i++) pair[i] = udp_socket();
  for (int i = 0; i < 2; i++) {
    struct sockaddr_in other = address_of(pair[1 - i]);
    MUST(connect(pair[i], (struct sockaddr*)&other, sizeof other) == 0);
  }
}

__attribute__((unused)) static struct sockaddr_un unix_address(const char* path) {
  struct sockaddr_un address;
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  return address;
}

__attribute__((unused)) static int unix_bound(int type, const char* path) {
  struct sockaddr_un address = unix_address(path);
  int fd = socket(AF_UNIX, type, 0);
  MUST(fd >= 0);
  MUST(bind(fd, (struct sockaddr*)&address, sizeof address) == 0);
  return fd;
}

#endif
