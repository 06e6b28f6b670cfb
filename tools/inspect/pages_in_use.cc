// SPDX-License-Identifier: Apache-2.0
// By PAGEMAP_SCAN (Linux 6.7), which finds a page in a few steps; else entry by entry.
#include "pages_in_use.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "elf_image.h"
#include "process_access.h"

namespace weft::inspect {

namespace {

// linux/fs.h, which is older here than the kernel may be.
struct Region {
  uint64_t start, end, categories;
};
struct Scan {
  uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted, category_mask,
      category_anyof_mask, return_mask;
};
constexpr uint64_t kPresent = 1 << 3, kSwapped = 1 << 4, kZeroPage = 1 << 5;
constexpr unsigned long kScan = _IOWR('f', 16, Scan);

constexpr uint64_t kEntryPresent = uint64_t{1} << 63, kEntrySwapped = uint64_t{1} << 62;

}  // namespace

PagesInUse::PagesInUse(int pid) {
  const std::string locked = status_line(pid, "VmLck");
  if (locked.empty() || locked[0] != '0') return;
  file_ = open(fmt::format("/proc/{}/pagemap", pid).c_str(), O_RDONLY | O_CLOEXEC);
}

PagesInUse::~PagesInUse() {
  if (file_ >= 0) close(file_);
}

std::optional<uint64_t> PagesInUse::lowest(uint64_t low, uint64_t high) {
  if (file_ < 0 || low >= high) return std::nullopt;
  return by_scan_ ? scan(low, high) : read(low, high);
}

std::optional<uint64_t> PagesInUse::scan(uint64_t low, uint64_t high) {
  Region found{};
  Scan scan{};
  scan.size = sizeof scan;
  scan.start = low, scan.end = high;
  scan.vec = (uint64_t)(uintptr_t)&found, scan.vec_len = 1;
  scan.max_pages = 1;
  // One that was only read is the kernel's page of zeros.
  scan.category_mask = scan.category_inverted = kZeroPage;
  scan.category_anyof_mask = kPresent | kSwapped;
  scan.return_mask = kPresent;
  const int count = ioctl(file_, kScan, &scan);
  if (count < 0) {
    by_scan_ = false;
    return read(low, high);
  }
  return count == 0 ? std::nullopt : std::optional(found.start);
}

std::optional<uint64_t> PagesInUse::read(uint64_t low, uint64_t high) {
  constexpr uint64_t kAtOnce = 4096;
  std::vector<uint64_t> entries;
  for (uint64_t at = low; at < high;) {
    entries.resize(std::min(kAtOnce, (high - at) / kPage));
    const size_t size = entries.size() * sizeof entries[0];
    if (size == 0 || pread(file_, entries.data(), size, (off_t)(at / kPage * sizeof entries[0])) != (ssize_t)size)
      return std::nullopt;
    for (uint64_t entry : entries) {
      if ((entry & (kEntryPresent | kEntrySwapped)) != 0) return at;
      at += kPage;
    }
  }
  return std::nullopt;
}

}  // namespace weft::inspect
