// SPDX-License-Identifier: Apache-2.0
// Names resolved from a hundred threads at once, by every call there is; numbers, localhost, the reverse, and what
// fails.
#include "socket_pairs.h"

#include <netdb.h>

enum { kThreads = 100 };

static pthread_barrier_t barrier;

static int is_loopback(const struct addrinfo* list) {
  for (; list != NULL; list = list->ai_next) {
    if (list->ai_family != AF_INET) continue;
    return ((struct sockaddr_in*)list->ai_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
  }
  return 0;
}

static void* resolves(void* argument) {
  struct addrinfo hints, *list = NULL;
  char host[256], service[64], buffer[2048];
  struct hostent entry, *found = NULL;
  int error = 0;
  memset(&hints, 0, sizeof hints);
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < 3; i++) {
    MUST(getaddrinfo("localhost", "7", &hints, &list) == 0);
    CHECK(is_loopback(list));
    CHECK(getnameinfo(list->ai_addr, list->ai_addrlen, host, sizeof host, service, sizeof service,
                      NI_NUMERICHOST | NI_NUMERICSERV) == 0);
    CHECK(strcmp(host, "127.0.0.1") == 0 && strcmp(service, "7") == 0);
    freeaddrinfo(list);
    hints.ai_flags = AI_NUMERICHOST;
    MUST(getaddrinfo("10.1.2.3", NULL, &hints, &list) == 0);
    CHECK(((struct sockaddr_in*)list->ai_addr)->sin_addr.s_addr == htonl(0x0a010203));
    freeaddrinfo(list);
    CHECK(getaddrinfo("not-a-number", NULL, &hints, &list) == EAI_NONAME);
    hints.ai_flags = 0;
    CHECK(gethostbyname_r("localhost", &entry, buffer, sizeof buffer, &found, &error) == 0 && found == &entry);
    CHECK(gethostbyname2_r("127.0.0.1", AF_INET, &entry, buffer, sizeof buffer, &found, &error) == 0 &&
          found == &entry);
    uint32_t address = htonl(INADDR_LOOPBACK);
    CHECK(gethostbyaddr_r(&address, 4, AF_INET, &entry, buffer, sizeof buffer, &found, &error) == 0 && found == &entry);
    CHECK(strcmp(entry.h_name, "localhost") == 0);
    errno = (int)as_long(argument);
    h_errno = (int)as_long(argument);
    sched_yield();
    CHECK(errno == as_long(argument) && h_errno == as_long(argument));
  }
  return NULL;
}

static void* one_at_a_time(void* unused) {
  uint32_t address = htonl(INADDR_LOOPBACK);
  struct hostent* found = gethostbyname("localhost");
  say("gethostbyname: %s", found != NULL ? inet_ntoa(*(struct in_addr*)found->h_addr_list[0]) : "?");
  found = gethostbyname2("127.0.0.1", AF_INET);
  say("gethostbyname2: %s", found != NULL ? found->h_name : "?");
  found = gethostbyaddr(&address, 4, AF_INET);
  say("gethostbyaddr: %s", found != NULL ? found->h_name : "?");
  return unused;
}

int main(void) {
  pthread_t threads[kThreads];
  pthread_barrier_init(&barrier, NULL, kThreads);
  for (long i = 0; i < kThreads; i++) threads[i] = start_thread(resolves, as_pointer(i + 1));
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  say("resolved");
  in_thread(one_at_a_time, NULL);
  one_at_a_time(NULL);
  return finish();
}
