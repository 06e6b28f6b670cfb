// SPDX-License-Identifier: Apache-2.0
// What a piece of code writes to descriptor 2. A pipe, not a file as in GoogleTest's own capture: the log writes to no
// file that it did not find there at the start.
#pragma once

#include <string>
#include <unistd.h>

namespace weft {

class Messages {
 public:
  Messages() {
    if (pipe(ends_)) return;
    saved_ = dup(2);
    dup2(ends_[1], 2);
  }
  ~Messages() {
    if (saved_ >= 0) text();
  }
  // Everything up to now; the capture ends.
  std::string text() {
    std::string all;
    dup2(saved_, 2);
    close(saved_);
    saved_ = -1;
    close(ends_[1]);
    char buffer[4096];
    for (ssize_t count; (count = read(ends_[0], buffer, sizeof buffer)) > 0;) all.append(buffer, (size_t)count);
    close(ends_[0]);
    return all;
  }

 private:
  int ends_[2] = {-1, -1};
  int saved_ = -1;
};

}  // namespace weft
