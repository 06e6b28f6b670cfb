/* SPDX-License-Identifier: Apache-2.0 */
/* A TLS server with OpenSSL as its manual has it for blocking sockets: no BIO of one's own, no SSL_ERROR_WANT_READ.
 * It answers each line with the same in capitals.
 *     tls_server CERTIFICATE KEY [PORT] */
#include <ctype.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <weft/co.h>

#include "sockets.h"

static const uint64_t handshake_limit = 10000000000;

static int handshake(void* tls) { return SSL_accept(tls) == 1 ? 0 : -1; }

static void converse(SSL* tls) {
  char bytes[4096];
  size_t got;
  while (SSL_read_ex(tls, bytes, sizeof bytes, &got)) {
    for (size_t i = 0; i < got; i++) bytes[i] = (char)toupper((unsigned char)bytes[i]);
    if (SSL_write(tls, bytes, (int)got) <= 0) return;
  }
  if (SSL_get_shutdown(tls) & SSL_RECEIVED_SHUTDOWN) SSL_shutdown(tls);
}

static void serve(int fd, void* context) {
  SSL* tls = SSL_new(context);
  if (tls != NULL && SSL_set_fd(tls, fd) && co_with_deadline(handshake_limit, handshake, tls) == 0) converse(tls);
  SSL_free(tls);
  close(fd);
}

int main(int count, char** words) {
  if (count < 3) return fprintf(stderr, "usage: %s CERTIFICATE KEY [PORT]\n", words[0]), 2;
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  if (context == NULL || SSL_CTX_use_certificate_chain_file(context, words[1]) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, words[2], SSL_FILETYPE_PEM) != 1) {
    ERR_print_errors_fp(stderr);
    return 1;
  }
  signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write(2) */
  raise_descriptor_limit();
  int listener = listen_at((uint16_t)(count > 3 ? atoi(words[3]) : 0));
  announce(listener);
  return co_listen_and_serve(listener, serve, context);
}
