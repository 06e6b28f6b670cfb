/* SPDX-License-Identifier: Apache-2.0 */
/* Opens many keep-alive connections to an HTTP server and holds or drives them, a coroutine each. One source address
 * has some 28,000 ports, so connections come from several: 127.0.0.2 and on. Every answer must be like the first.
 *     connector PORT [--connections N] [--sources N] [--target PATH] [--seconds S] [--hold]
 * Prints "open N" when all are open and have been answered once. Then each asks again and again for S seconds; with
 * --hold they wait for the end of standard input, and are asked once more. At the end one line of figures; status 1:
 * an answer was wrong or missing. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdatomic.h>
#include <weft/co.h>

#include "../sockets.h"

static const uint64_t second = 1000000000;
enum { opening_at_once = 256, answer_limit = 30, buckets = 40 * 16 };

static struct {
  int connections, sources, hold;
  double seconds;
  const char* target;
  uint16_t port;
} options = {.connections = 19000, .sources = 4, .seconds = 2, .target = "/"};

static char request[1200];
static int request_length;
static co_sem_t opening = CO_SEM_INIT(opening_at_once);
static co_wait_group_t opened = CO_WAIT_GROUP_INIT;
static co_wait_group_t started = CO_WAIT_GROUP_INIT;
static _Atomic uint64_t wanted_length, answers, errors, latencies[buckets];
static uint64_t until;

/* Sixteen buckets for each power of two. */
static int bucket_of(uint64_t nanoseconds) {
  int power = 63 - __builtin_clzll(nanoseconds | 16);
  return (power - 4) * 16 + (int)(nanoseconds >> (power - 4) & 15);
}

static double latency_us(double share) {
  uint64_t all = 0, seen = 0;
  for (int i = 0; i < buckets; i++) all += latencies[i];
  for (int i = 0; i < buckets; i++) {
    seen += latencies[i];
    if (seen > 0 && (double)seen >= share * (double)all) return (double)((uint64_t)(16 + i % 16) << (i / 16)) / 1e3;
  }
  return 0;
}

static int connect_from(int index) {
  int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in from = loopback(0), to = loopback(options.port);
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(index % options.sources));
  if (fd >= 0 && setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0 &&
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
      bind(fd, (struct sockaddr*)&from, sizeof from) == 0 && connect(fd, (struct sockaddr*)&to, sizeof to) == 0)
    return fd;
  if (fd >= 0) close(fd);
  return -1;
}

/* Reads an answer whose length the head tells. Its length in all; -1: it is none. */
static ssize_t read_answer(int fd) {
  char bytes[4096];
  size_t length = 0, wanted = 0;
  while (wanted == 0 || length < wanted) {
    size_t at = wanted == 0 ? length : 0; /* the body is only counted */
    ssize_t got = read(fd, bytes + at, sizeof bytes - 1 - at);
    if (got <= 0) return -1;
    length += (size_t)got;
    if (wanted != 0) continue;
    bytes[length] = 0;
    char *end = strstr(bytes, "\r\n\r\n"), *field = strcasestr(bytes, "\r\nContent-Length:");
    if (end == NULL && length == sizeof bytes - 1) return -1;
    if (end == NULL) continue;
    if (strncmp(bytes, "HTTP/1.1 200 ", 13) != 0 || field == NULL || field > end) return -1;
    wanted = (size_t)(end + 4 - bytes) + strtoul(field + 17, NULL, 10);
  }
  return length == wanted ? (ssize_t)length : -1;
}

/* 0: as it should be. */
static int exchange(int fd) {
  co_deadline_t limit;
  uint64_t none = 0;
  co_deadline_begin(&limit, answer_limit * second);
  ssize_t length = send(fd, request, (size_t)request_length, MSG_NOSIGNAL) == request_length ? read_answer(fd) : -1;
  co_deadline_end(&limit);
  if (length < 0) return -1;
  return atomic_compare_exchange_strong(&wanted_length, &none, (uint64_t)length) || none == (uint64_t)length ? 0 : -1;
}

static void drive(int fd) {
  do {
    uint64_t begun = co_now();
    if (exchange(fd) != 0) {
      errors++;
      return;
    }
    answers++;
    latencies[bucket_of(co_now() - begun)]++;
  } while (!options.hold && co_now() < until);
}

static int one_connection(void* index) {
  co_sem_wait(&opening);
  int fd = connect_from((int)(intptr_t)index), good = fd >= 0 && exchange(fd) == 0;
  if (!good && errors++ == 0) fprintf(stderr, "a connection failed: %s\n", strerror(errno));
  co_sem_post(&opening);
  co_wait_group_done(&opened);
  co_wait_group_wait(&started);
  if (good) drive(fd);
  if (fd >= 0) close(fd);
  return 0;
}

static void parse(int count, char** words) {
  static const struct option names[] = {{"connections", required_argument, NULL, 'c'},
                                        {"sources", required_argument, NULL, 's'},
                                        {"target", required_argument, NULL, 't'},
                                        {"seconds", required_argument, NULL, 'd'},
                                        {"hold", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};
  for (int which; (which = getopt_long(count, words, "", names, NULL)) != -1;) switch (which) {
      case 'c':
        options.connections = atoi(optarg);
        break;
      case 's':
        options.sources = atoi(optarg);
        break;
      case 't':
        options.target = optarg;
        break;
      case 'd':
        options.seconds = atof(optarg);
        break;
      case 'h':
        options.hold = 1;
        break;
      default:
        exit(2);
    }
  if (optind + 1 != count || options.connections < 1 || options.sources < 1) {
    fprintf(stderr, "usage: %s PORT [--connections N] [--sources N] [--target PATH] [--seconds S] [--hold]\n",
            words[0]);
    exit(2);
  }
  options.port = (uint16_t)atoi(words[optind]);
}

int main(int count, char** words) {
  parse(count, words);
  raise_descriptor_limit();
  request_length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", options.target);

  co_scope_t scope;
  uint64_t begun = co_now();
  check(co_scope_init(&scope), "co_scope_init");
  check(co_wait_group_add(&opened, options.connections), "co_wait_group_add");
  check(co_wait_group_add(&started, 1), "co_wait_group_add");
  for (int i = 0; i < options.connections; i++)
    check(co_scope_spawn(&scope, one_connection, (void*)(intptr_t)i, NULL), "co_scope_spawn");
  check(co_wait_group_wait(&opened), "co_wait_group_wait");
  printf("open %d in %.2f s\n", options.connections - (int)errors, (double)(co_now() - begun) / 1e9);
  fflush(stdout);

  while (options.hold && getchar() != EOF) {
  }
  uint64_t since = co_now();
  until = since + (uint64_t)(options.seconds * 1e9);
  check(co_wait_group_done(&started), "co_wait_group_done");
  check(co_scope_wait(&scope), "co_scope_wait");
  double seconds = (double)(co_now() - since) / 1e9;
  printf("connections=%d answers=%llu errors=%llu rps=%.1f p50_us=%.0f p99_us=%.0f\n", options.connections,
         (unsigned long long)answers, (unsigned long long)errors, (double)answers / seconds, latency_us(0.5),
         latency_us(0.99));
  return errors != 0 || answers == 0;
}
