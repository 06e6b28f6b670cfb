// SPDX-License-Identifier: Apache-2.0
// Work that does not wait, and servers. Offloaded work stays in its coroutine, on the kernel thread it is on: what goes elsewhere is the
// worker, so there is nothing to copy and no pool to keep.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "sched/api/api.h"

namespace weft {

namespace {

std::atomic<uint32_t> offload_limit{64};
std::atomic<uint32_t> offloaded{0};
const char place = 0;  // its address is what those who wait for a turn wait for

bool all_taken(void*) { return offloaded.load() >= offload_limit.load(); }

int take_place() {
  for (;;) {
    uint32_t now = offloaded.load();
    if (now < offload_limit.load()) {
      if (offloaded.compare_exchange_weak(now, now + 1)) return 0;
      continue;
    }
    if (int error = wait_for(KeyKind::group, WaitKind::group, &place, all_taken, nullptr)) return error;
  }
}

void give_place() {
  uint32_t now = offloaded.load();
  // None is left where it was taken before a fork.
  while (now && !offloaded.compare_exchange_weak(now, now - 1)) {
  }
  if (has_waiters(park_key(KeyKind::group, &place))) unpark(park_key(KeyKind::group, &place), 1);
}

struct Service {
  void (*handler)(int fd, void* argument);
  void* argument;
  const void* caller;  // of co_listen_and_serve
};

struct Connection {
  int fd;
  Service service;
};

void* serve(void* argument) {
  Connection connection = *(Connection*)argument;
  free(argument);
  connection.service.handler(connection.fd, connection.service.argument);
  return nullptr;
}

int begin_serving(int fd, const Service& service) {
  auto* connection = (Connection*)malloc(sizeof(Connection));
  if (!connection) return ENOMEM;
  *connection = {fd, service};
  co_attr_t attributes = CO_ATTR_INIT;
  attributes.detached = 1;
  // Of many connections the one that came first has waited longest.
  int error = api_spawn(nullptr, serve, connection, &attributes, service.caller, nullptr, StartOrder::as_made);
  if (error) free(connection);
  return error;
}

constexpr uint64_t kPause = 10'000'000;

// Errors of one connection, not of the socket that accepts (accept(2)).
bool of_connection(int fd, int error) {
  int listens = 0;
  socklen_t size = sizeof listens;
  // Of a datagram socket it is the socket's own.
  if (error == EOPNOTSUPP) return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) && listens;
  return error == ECONNABORTED || error == EINTR || error == EPROTO || error == ENETDOWN || error == ENOPROTOOPT ||
         error == EHOSTDOWN || error == ENONET || error == EHOSTUNREACH || error == ENETUNREACH;
}
bool of_resources(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

// One more connection is served: 0, or why the socket serves no more.
int serve_next(int fd, const Service& service) {
  int connection = accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
  int error = connection < 0 ? errno : begin_serving(connection, service);
  if (!error) return 0;
  if (connection >= 0) {
    // Nobody can serve it: its peer is not kept waiting for what may never be.
    close(connection);
    return of_resources(error) || error == EAGAIN ? co_sleep(kPause) : error;
  }
  if (of_resources(error)) return co_sleep(kPause);
  if (error == EAGAIN) {
    // The program made it non-blocking, or gave it a limit.
    pollfd look = {fd, POLLIN, 0};
    return poll(&look, 1, -1) < 0 && errno != EINTR ? errno : 0;
  }
  return of_connection(fd, error) ? 0 : error;
}

}  // namespace

void offload_reset() { offloaded.store(0); }

}  // namespace weft

using namespace weft;

WEFT_API int co_offload(void* (*fn)(void*), void* argument, void** result) {
  Coroutine* self = woven();
  if (self) {
    take_turn();
    if (int error = take_place()) return error;
    region_enter(RegionKind::lasting);
  }
  void* value = fn(argument);
  if (self) {
    region_leave();
    give_place();
  }
  if (result) *result = value;
  return 0;
}

WEFT_API int co_offload_limit(unsigned count) {
  if (!count) return EINVAL;
  offload_limit.store(count);
  unpark(park_key(KeyKind::group, &place), ~0u);
  return 0;
}

WEFT_API int co_listen_and_serve(int fd, void (*handler)(int fd, void* argument), void* argument) {
  const Service service = {handler, argument, __builtin_return_address(0)};
  const int before = errno;
  int error;
  while (!(error = serve_next(fd, service))) {
  }
  errno = before;
  return error;
}
