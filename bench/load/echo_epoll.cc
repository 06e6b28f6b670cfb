// SPDX-License-Identifier: Apache-2.0
// What one would write by hand for speed: a single thread, every socket non-blocking and registered once,
// edge-triggered.
//
// Prints "port N" once it listens. Bytes that a full socket buffer did not take are kept and sent at the next event, so
// it is right for any size of message, and serves the tests as an origin too.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace {

struct Connection {
  std::string unsent;
  bool readable = false;
  bool ending = false;  // the peer has sent its last byte, so no further edge will come
};

// Sends what it can. False when the connection is lost.
bool flush(int fd, Connection& connection) {
  while (!connection.unsent.empty()) {
    ssize_t sent = send(fd, connection.unsent.data(), connection.unsent.size(), MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    connection.unsent.erase(0, static_cast<size_t>(sent));
  }
  return true;
}

// Echoes until there is nothing to read, or no room to send. False when the connection is over.
bool pump(int fd, Connection& connection) {
  static char buffer[65536];
  if (!flush(fd, connection)) return false;
  while (connection.readable && connection.unsent.empty()) {
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) return false;
    if (got < 0) {
      connection.readable = false;
      break;
    }
    ssize_t sent = send(fd, buffer, static_cast<size_t>(got), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent < got) connection.unsent.assign(buffer + (sent < 0 ? 0 : sent), buffer + got);
    // Less than there was room for: the buffer is empty, and the next edge tells of more.
    if (got < static_cast<ssize_t>(sizeof buffer) && !connection.ending) connection.readable = false;
  }
  return true;
}

int fail(const char* what) {
  perror(what);
  return 1;
}

}  // namespace

int main() {
  rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0) return fail("bind");
  if (listen(listener, 4096) != 0) return fail("listen");
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  printf("port %d\n", ntohs(address.sin_port));
  fflush(stdout);

  int epoll = epoll_create1(0);
  epoll_event event = {EPOLLIN, {}};
  event.data.fd = listener;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0) return fail("epoll_ctl");
  std::vector<Connection> connections;  // by descriptor
  epoll_event events[512];
  for (;;) {
    int count = epoll_wait(epoll, events, 512, -1);
    for (int i = 0; i < count; ++i) {
      int fd = events[i].data.fd;
      if (fd != listener) {
        Connection& connection = connections[static_cast<size_t>(fd)];
        if ((events[i].events & ~uint32_t{EPOLLOUT}) != 0) connection.readable = true;
        if ((events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) connection.ending = true;
        if (!pump(fd, connection)) {
          close(fd);
          connection = {};
        }
        continue;
      }
      for (int made; (made = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
        int on = 1;
        setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (connections.size() <= static_cast<size_t>(made)) connections.resize(static_cast<size_t>(made) * 2 + 64);
        // A TCP socket gives an edge for room only after it had none, so asking for both costs nothing.
        event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
        event.data.fd = made;
        epoll_ctl(epoll, EPOLL_CTL_ADD, made, &event);
      }
    }
  }
}
