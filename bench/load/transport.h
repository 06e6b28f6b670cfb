// SPDX-License-Identifier: Apache-2.0
// One non-blocking connection as the load generator sees it: bytes in and out, in clear or through TLS.
#pragma once

#include <cstddef>
#include <cstdint>

struct ssl_st;
struct ssl_ctx_st;

namespace weft::load {

class Transport {
 public:
  enum class Result {
    done,         // `moved` bytes went through, or the step is complete
    again_read,   // nothing now; the peer must send first
    again_write,  // nothing now; there must be room to send first
    closed,       // the peer closed in good order
    failed        // errno, or the TLS library's queue, says why
  };

  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  ~Transport() { close(); }

  // Starts a connection to 127.0.0.1:port. `source` 0 leaves the choice of the source address to the kernel.
  bool open(uint16_t port, uint32_t source, bool reset_at_end);
  // Whether the connection that open() started has been made; call when writable.
  bool connected() const;
  // Begins or goes on with a TLS handshake; from its end on read() and write() are encrypted.
  Result handshake(ssl_ctx_st* context);
  Result read(char* into, size_t room, size_t* moved);
  Result write(const char* from, size_t count, size_t* moved);
  void close();
  int fd() const { return fd_; }

 private:
  Result tls_result(int returned) const;

  int fd_ = -1;
  ssl_st* tls_ = nullptr;
};

}  // namespace weft::load
