// SPDX-License-Identifier: Apache-2.0
// Which pages of another process's memory are in use: written once and not given back. The kernel keeps that, so it costs the process
// nothing.
//
// Not known where the process locks its memory, since the kernel fills that, and where /proc/PID/pagemap is not to be had.
#pragma once

#include <cstdint>
#include <optional>

namespace weft::inspect {

class PagesInUse {
 public:
  explicit PagesInUse(int pid);
  ~PagesInUse();
  PagesInUse(const PagesInUse&) = delete;
  PagesInUse& operator=(const PagesInUse&) = delete;

  // The lowest between these addresses, which are those of pages.
  std::optional<uint64_t> lowest(uint64_t low, uint64_t high);

 private:
  std::optional<uint64_t> scan(uint64_t low, uint64_t high);
  std::optional<uint64_t> read(uint64_t low, uint64_t high);

  int file_ = -1;
  bool by_scan_ = true;
};

}  // namespace weft::inspect
