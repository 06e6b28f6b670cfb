// SPDX-License-Identifier: Apache-2.0
// What all targets share, and which kind of them a name means.
#include "target.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core.h"
#include "elf_image.h"
#include "failure.h"
#include "process.h"
#include "snapshot.h"

namespace weft::inspect {

std::string Module::name() const {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

bool Target::read(uint64_t address, void* to, size_t size) {
  ReadRequest request{address, to, size};
  read(std::span(&request, 1));
  return request.whole();
}

std::string Target::read_string(uint64_t address, size_t limit) {
  std::string result(limit, '\0');
  ReadRequest request{address, result.data(), limit};
  read(std::span(&request, 1));
  result.resize(strnlen(result.data(), request.got));
  return result;
}

const Module* Target::module_at(uint64_t address) const {
  auto next = std::upper_bound(modules_.begin(), modules_.end(), address,
                               [](uint64_t value, const Module& module) { return value < module.start; });
  if (next == modules_.begin()) return nullptr;
  const Module& module = *--next;
  return module.contains(address) ? &module : nullptr;
}

std::unique_ptr<Target> open_target(const std::string& name, const TargetOptions& options) {
  if (!name.empty() && name.size() < 10 &&
      std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return open_process(std::stoi(name), options);

  const int fd = open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw Failure(errno == EACCES ? kPermission : kNoTarget, "cannot open {}: {}.", name, strerror(errno));
  struct stat status;
  char start[64] = {};
  const bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  const ssize_t got = regular ? pread(fd, start, sizeof start, 0) : 0;
  if (got > 0 && is_snapshot(start, (size_t)got)) return open_snapshot(fd, name, options);
  if (got > 0 && is_elf_header(start, (size_t)got) && is_core(start)) return open_core(fd, name, options);
  close(fd);
  throw Failure(
      kNoTarget,
      "{} is neither a core file nor a snapshot of weft. TARGET is a process id, a core file or what weft snap wrote.",
      name);
}

}  // namespace weft::inspect
