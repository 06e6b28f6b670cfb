// SPDX-License-Identifier: Apache-2.0
// Sockets and OpenSSL behind Transport.
#include "transport.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace weft::load {

bool Transport::open(uint16_t port, uint32_t source, bool reset_at_end) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return false;
  int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  linger at_once = {1, 0};
  if (reset_at_end) ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  if (source != 0) {
    ::setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    address.sin_addr.s_addr = htonl(source);
    if (::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return false;
  }
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 || errno == EINPROGRESS;
}

bool Transport::connected() const {
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length);
  errno = error;
  return error == 0;
}

Transport::Result Transport::tls_result(int returned) const {
  switch (SSL_get_error(tls_, returned)) {
    case SSL_ERROR_WANT_READ:
      return Result::again_read;
    case SSL_ERROR_WANT_WRITE:
      return Result::again_write;
    case SSL_ERROR_ZERO_RETURN:
      return Result::closed;
    default:
      return Result::failed;
  }
}

Transport::Result Transport::handshake(ssl_ctx_st* context) {
  if (tls_ == nullptr) {
    tls_ = SSL_new(context);
    SSL_set_fd(tls_, fd_);
    SSL_set_connect_state(tls_);
  }
  ERR_clear_error();
  int returned = SSL_do_handshake(tls_);
  return returned == 1 ? Result::done : tls_result(returned);
}

Transport::Result Transport::read(char* into, size_t room, size_t* moved) {
  if (tls_ != nullptr) {
    ERR_clear_error();
    int returned = SSL_read_ex(tls_, into, room, moved);
    return returned == 1 ? Result::done : tls_result(returned);
  }
  ssize_t got = ::recv(fd_, into, room, 0);
  if (got > 0) {
    *moved = static_cast<size_t>(got);
    return Result::done;
  }
  if (got == 0) return Result::closed;
  return errno == EAGAIN || errno == EINTR ? Result::again_read : Result::failed;
}

Transport::Result Transport::write(const char* from, size_t count, size_t* moved) {
  if (tls_ != nullptr) {
    ERR_clear_error();
    int returned = SSL_write_ex(tls_, from, count, moved);
    return returned == 1 ? Result::done : tls_result(returned);
  }
  ssize_t sent = ::send(fd_, from, count, MSG_NOSIGNAL);
  if (sent >= 0) {
    *moved = static_cast<size_t>(sent);
    return Result::done;
  }
  return errno == EAGAIN || errno == EINTR ? Result::again_write : Result::failed;
}

void Transport::close() {
  if (tls_ != nullptr) SSL_free(tls_);
  tls_ = nullptr;
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

}  // namespace weft::load
