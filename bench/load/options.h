// SPDX-License-Identifier: Apache-2.0
// What one run of the load generator is asked to do, as the command line gave it.
#pragma once

#include <cstdint>
#include <string>

namespace weft::load {

struct Options {
  enum class Protocol {
    echo,  // send `size` bytes, expect the same bytes back
    http,  // send the request of a file, expect status 200 and the body of a file
    fixed  // send the request of a file, expect exactly the bytes of a file: any protocol of one request, one answer
  };
  Protocol protocol = Protocol::echo;
  uint16_t port = 0;
  int connections = 1;
  double seconds = 2;     // how long the measured part lasts
  double warm = 0;        // left out of the figures, before the measured part
  double rate = 0;        // requests a second that are due, of all connections together; 0: a closed loop
  uint64_t requests = 0;  // stop after so many exchanges of the measured part; 0: by time alone
  int size = 64;          // bytes of an echo
  std::string request;    // what a client sends, whole
  std::string body;       // what it must get
  bool keep = true;       // false: a new connection for every exchange
  bool tls = false;
  std::string tunnel;         // HOST:PORT asked for by CONNECT before anything else
  int opening = 32;           // connections in the making at once; servers with a short backlog want few
  double timeout = 20;        // for one exchange, for each opening, and for what is due still when time is up
  bool gate = false;          // say "ready" when all are open, start at a line "go" on descriptor 0, leave at its end;
                              // a closed loop ends at a line "end"
  int server_pid = 0;         // its CPU time over the measured part is reported
  bool reset = false;         // end connections by RST: nothing of this run is left in the way of the next
  bool many_sources = false;  // spread over 127.0.0.2 and on: a source address has 28,000 ports
};

// Fills `options` from the command line. On a mistake says so on descriptor 2 and returns false.
bool parse_options(int argc, char** argv, Options* options);

}  // namespace weft::load
