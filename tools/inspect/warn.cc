// SPDX-License-Identifier: Apache-2.0
// The inspector's words on descriptor 2.
#include <unistd.h>

#include <algorithm>

#include "failure.h"
#include "plain_output.h"

namespace weft::inspect {

void warn(const std::string& words) {
  // One write a line, so that it is not torn apart by what others write there.
  size_t begin = 0;
  while (begin < words.size()) {
    const size_t end = std::min(words.find('\n', begin), words.size());
    const std::string line = "weft: " + plain(words.substr(begin, end - begin)) + "\n";
    (void)!write(STDERR_FILENO, line.data(), line.size());
    begin = end + 1;
  }
}

}  // namespace weft::inspect
