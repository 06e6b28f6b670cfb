// SPDX-License-Identifier: Apache-2.0
// Work that does not wait, and servers. Offloaded work stays in its coroutine, on the kernel thread it is on: what goes elsewhere is the
// worker, so there is nothing to copy and no pool to keep.
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
  offloaded.fetch_sub(1);
  if (has_waiters(park_key(KeyKind::group, &place))) unpark(park_key(KeyKind::group, &place), 1);
}

struct Connection {
  int fd;
  void (*handler)(int fd, void* argument);
  void* argument;
};

void* serve(void* argument) {
  Connection connection = *(Connection*)argument;
  free(argument);
  connection.handler(connection.fd, connection.argument);
  return nullptr;
}

int begin_serving(int fd, void (*handler)(int, void*), void* argument) {
  auto* connection = (Connection*)malloc(sizeof(Connection));
  if (!connection) return ENOMEM;
  *connection = {fd, handler, argument};
  co_attr_t attributes = CO_ATTR_INIT;
  attributes.detached = 1;
  int error = co_spawn(nullptr, serve, connection, &attributes);
  if (error) free(connection);
  return error;
}

constexpr uint64_t kPause = 10'000'000;

// Errors of one connection, not of the socket that accepts (accept(2)).
bool of_connection(int error) {
  return error == ECONNABORTED || error == EINTR || error == EPROTO || error == ENETDOWN || error == ENOPROTOOPT ||
         error == EHOSTDOWN || error == ENONET || error == EHOSTUNREACH || error == EOPNOTSUPP || error == ENETUNREACH;
}
bool of_resources(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM || error == EAGAIN;
}

}  // namespace
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
  const int before = errno;
  for (;;) {
    int connection = accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
    int error = connection < 0 ? errno : begin_serving(connection, handler, argument);
    if (!error) continue;
    if (connection >= 0) {
      // Nobody can serve it: its peer is not kept waiting for what may never be.
      close(connection);
      if (!of_resources(error)) return error;
    }
    errno = before;
    if (of_resources(error)) error = co_sleep(kPause);
    if (error && !of_connection(error)) return error;
  }
}
