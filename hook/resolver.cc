// SPDX-License-Identifier: Apache-2.0
// Name resolution: the real resolver, in a bounded number of regions at once (WEFT_MAX_REGIONS). What asks nobody, an
// address written in digits, needs no place there.
#include "hook/hook.h"

#include <arpa/inet.h>
#include <cstring>

namespace weft {

namespace {

bool is_number(const char* name) {
  unsigned char address[sizeof(in6_addr)];
  return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

template <class Call>
auto resolve(Call call) {
  if (!woven()) return call();
  int error = errno;
  resolver_enter();
  errno = error;
  auto result = call();
  error = errno;
  int host_error = h_errno;
  resolver_leave();
  errno = error;
  h_errno = host_error;
  return result;
}

}  // namespace
}  // namespace weft

using namespace weft;

WEFT_EXPORT int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** result) {
  auto call = [&] { return real().getaddrinfo(node, service, hints, result); };
  if (!node || (hints && (hints->ai_flags & AI_NUMERICHOST)) || is_number(node)) return call();
  return resolve(call);
}

WEFT_EXPORT int getnameinfo(const sockaddr* address, socklen_t length, char* host, socklen_t host_size, char* service,
                            socklen_t service_size, int flags) {
  auto call = [&] { return real().getnameinfo(address, length, host, host_size, service, service_size, flags); };
  bool asks_host = host && host_size && !(flags & NI_NUMERICHOST);
  return asks_host ? resolve(call) : call();
}

WEFT_EXPORT hostent* gethostbyaddr(const void* address, socklen_t length, int type) {
  return resolve([&] { return real().gethostbyaddr(address, length, type); });
}

WEFT_EXPORT int gethostbyaddr_r(const void* address, socklen_t length, int type, hostent* entry, char* buffer,
                                size_t size, hostent** result, int* host_error) {
  return resolve(
      [&] { return real().gethostbyaddr_r(address, length, type, entry, buffer, size, result, host_error); });
}

WEFT_EXPORT hostent* gethostbyname(const char* name) {
  auto call = [&] { return real().gethostbyname(name); };
  return is_number(name) ? call() : resolve(call);
}

WEFT_EXPORT hostent* gethostbyname2(const char* name, int family) {
  auto call = [&] { return real().gethostbyname2(name, family); };
  return is_number(name) ? call() : resolve(call);
}

WEFT_EXPORT int gethostbyname2_r(const char* name, int family, hostent* entry, char* buffer, size_t size,
                                 hostent** result, int* host_error) {
  auto call = [&] { return real().gethostbyname2_r(name, family, entry, buffer, size, result, host_error); };
  return is_number(name) ? call() : resolve(call);
}

WEFT_EXPORT int gethostbyname_r(const char* name, hostent* entry, char* buffer, size_t size, hostent** result,
                                int* host_error) {
  auto call = [&] { return real().gethostbyname_r(name, entry, buffer, size, result, host_error); };
  return is_number(name) ? call() : resolve(call);
}
