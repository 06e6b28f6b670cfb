/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP/1.1 server of files: keep-alive, HEAD and GET, pipelined requests, a time limit for whoever is slow, and
 * an end in good order at SIGTERM or SIGINT. Each connection is a coroutine in plain blocking code.
 *     http_server DIRECTORY [PORT] */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <weft/co.h>

#include "../sockets.h"

static const uint64_t second = 1000000000;
static const uint64_t idle_limit = 120 * second;   /* between requests */
static const uint64_t request_limit = 20 * second; /* from its first byte until its answer has been sent */

static int root;
static co_scope_t connections;

struct request {
  char method[8], target[1024];
  int keep;
};

struct connection {
  int fd;
  size_t length; /* of what has been read and not yet been used */
  char bytes[4096];
};

/* Reads until there is a whole head, with its empty line. Its length; 0: the peer has closed; -1: too long, or an
 * error. */
static ssize_t read_head(struct connection* from) {
  for (;;) {
    char* end = memmem(from->bytes, from->length, "\r\n\r\n", 4);
    if (end != NULL) return end + 4 - from->bytes;
    if (from->length == sizeof from->bytes) return -1;
    ssize_t got = read(from->fd, from->bytes + from->length, sizeof from->bytes - from->length);
    if (got <= 0) return got;
    from->length += (size_t)got;
  }
}

/* 0, or the status that says what is wrong with it. */
static int parse(const char* head, size_t length, struct request* request) {
  char text[sizeof((struct connection*)0)->bytes + 1];
  unsigned minor;
  memcpy(text, head, length);
  text[length] = 0;
  if (strlen(text) != length || sscanf(text, "%7s %1023s HTTP/1.%u\r\n", request->method, request->target, &minor) != 3)
    return 400;
  request->keep = minor > 0;
  for (char* line = strstr(text, "\r\n") + 2; *line != '\r'; line = strstr(line, "\r\n") + 2) {
    if (strncasecmp(line, "Connection:", 11) == 0)
      request->keep = strncasecmp(line + 11 + strspn(line + 11, " "), "close", 5) != 0;
    /* A body would be taken for the next request. */
    if (strncasecmp(line, "Transfer-Encoding:", 18) == 0) return 501;
    if (strncasecmp(line, "Content-Length:", 15) == 0 && atoll(line + 15) != 0) return 413;
  }
  return strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0 ? 0 : 405;
}

static const char* reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 413:
      return "Content Too Large";
    default:
      return "Not Implemented";
  }
}

/* The file that a target names, below the root and nowhere else; -1: there is none. */
static int open_target(const char* target, struct stat* about) {
  const char* path = target + strspn(target, "/");
  if (*target != '/' || strstr(path, "..") != NULL) return -1;
  int file = openat(root, *path != 0 ? path : "index.html", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file >= 0 && fstat(file, about) == 0 && S_ISREG(about->st_mode)) return file;
  if (file >= 0) close(file);
  return -1;
}

static int send_file(int fd, int file, off_t size) {
  for (off_t at = 0; at < size;)
    if (sendfile(fd, file, &at, (size_t)(size - at)) <= 0) return -1;
  return 0;
}

/* 0: the connection may go on. */
static int answer(int fd, const struct request* request, int status) {
  char head[256];
  struct stat about = {.st_size = 0};
  int file = status == 0 ? open_target(request->target, &about) : -1;
  if (status == 0) status = file >= 0 ? 200 : 404;
  int keep = request->keep && (status == 200 || status == 404);
  int length = snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\nContent-Length: %lld\r\n%s\r\n", status, reason(status),
                        (long long)about.st_size, keep ? "" : "Connection: close\r\n");
  int body = file >= 0 && strcmp(request->method, "GET") == 0;
  int failed = send(fd, head, (size_t)length, MSG_NOSIGNAL | (body ? MSG_MORE : 0)) != length ||
               (body && send_file(fd, file, about.st_size) != 0);
  if (file >= 0) close(file);
  return failed || !keep;
}

/* One request and its answer; not 0: it was the last. */
static int exchange(struct connection* with) {
  char next;
  co_deadline_t limit;
  if (with->length == 0) {
    co_deadline_begin(&limit, idle_limit);
    ssize_t came = recv(with->fd, &next, 1, MSG_PEEK);
    co_deadline_end(&limit);
    if (came <= 0) return 1;
  }
  struct request request = {.keep = 0};
  co_deadline_begin(&limit, request_limit);
  ssize_t length = read_head(with);
  int last = length <= 0;
  if (!last) {
    int status = parse(with->bytes, (size_t)length, &request);
    with->length -= (size_t)length;
    memmove(with->bytes, with->bytes + length, with->length);
    last = answer(with->fd, &request, status);
  }
  co_deadline_end(&limit);
  return last;
}

static int serve(void* argument) {
  struct connection connection = {.fd = (int)(intptr_t)argument, .length = 0};
  int on = 1;
  setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  while (exchange(&connection) == 0) {
  }
  close(connection.fd);
  return 0; /* an end like any other: the other connections stay */
}

/* co_listen_and_serve does as much for servers that need not know when their last connection has ended. */
static void* accept_connections(void* argument) {
  int listener = (int)(intptr_t)argument;
  co_attr_t attributes = CO_ATTR_INIT;
  attributes.name = "connection";
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
      if (co_scope_spawn(&connections, serve, (void*)(intptr_t)fd, &attributes) != 0) close(fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      co_sleep(second / 100); /* until a connection has ended */
    } else if (errno != ECONNABORTED && errno != EINTR) {
      return NULL;
    }
  }
}

int main(int count, char** words) {
  if (count < 2) return fprintf(stderr, "usage: %s DIRECTORY [PORT]\n", words[0]), 2;
  root = open(words[1], O_DIRECTORY | O_RDONLY | O_CLOEXEC);
  if (root < 0) fail(words[1]);
  raise_descriptor_limit();

  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, NULL);

  co_t acceptor;
  int listener = listen_at((uint16_t)(count > 2 ? atoi(words[2]) : 0)), number;
  check(co_scope_init(&connections), "co_scope_init");
  check(co_spawn(&acceptor, accept_connections, (void*)(intptr_t)listener, NULL), "co_spawn");
  announce(listener);

  sigwait(&ends, &number); /* main is a thread as ever */
  shutdown(listener, SHUT_RD);
  check(co_join(acceptor, NULL), "co_join");
  co_scope_cancel(&connections); /* those that wait for a request or a slow peer end; what need not wait is done */
  check(co_scope_wait(&connections), "co_scope_wait");
  return 0;
}
