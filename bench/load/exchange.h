// SPDX-License-Identifier: Apache-2.0
// One request and the answer it must get, byte for byte: an echo of pseudo-random bytes, HTTP/1.1 with a known body, or
// a fixed answer to a fixed request.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "options.h"

namespace weft::load {

class Exchange {
 public:
  enum class Verdict {
    more,       // right so far, not complete
    complete,   // the answer is right and whole
    last,       // as complete, and the server will close the connection
    bad_bytes,  // not what was to come back
    bad_status  // well-formed, but not the status 200
  };

  Exchange(const Options& options, uint32_t seed) : options_(options), seed_(seed * 2654435761u + 1) {}

  // Makes the next request; no two of a connection, and no two connections', carry the same bytes.
  void begin();
  std::string_view request() const;
  // Takes what came. `end`: the server has closed after it.
  Verdict take(std::string_view bytes, bool end);

 private:
  Verdict take_exact(std::string_view bytes, bool end);
  Verdict judge_http(bool end) const;
  Verdict judge_chunked(std::string_view rest, Verdict when_whole, bool end) const;

  const Options& options_;
  uint32_t seed_;
  std::string sent_;      // the bytes of this echo
  std::string received_;  // what came so far of an http answer
  size_t matched_ = 0;    // bytes of an exact answer that came right
};

}  // namespace weft::load
