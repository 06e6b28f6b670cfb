// SPDX-License-Identifier: Apache-2.0
// The rules of ptrace(2), "access mode checking", looked up one by one to say which of them was in the way.
#include "process_access.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace weft::inspect {

std::string status_line(int pid, const char* name) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  std::string line;
  const std::string begin = std::string(name) + ":";
  while (std::getline(file, line)) {
    if (!line.starts_with(begin)) continue;
    const size_t at = line.find_first_not_of(" \t", begin.size());
    return at == std::string::npos ? "" : line.substr(at);
  }
  return {};
}

std::string scope_words(const std::string& name) {
  int scope = 0;
  std::ifstream file(name);
  if (!(file >> scope) || scope == 0) return {};
  const char* who = scope == 1   ? "only a process's ancestors may read it"
                    : scope == 2 ? "only who has CAP_SYS_PTRACE may read a process"
                                 : "nobody may read a process until the next boot";
  return fmt::format(" /proc/sys/kernel/yama/ptrace_scope is {}: {}.", scope, who);
}

Failure unreadable_process(int pid, int error) {
  if (error == ESRCH || error == ENOENT) return Failure(kNoTarget, "there is no process {}.", pid);
  if (error != EPERM && error != EACCES) return Failure(kNoTarget, "cannot read process {}: {}.", pid, strerror(error));

  unsigned uid = 0, effective = 0, saved = 0;
  std::istringstream(status_line(pid, "Uid")) >> uid >> effective >> saved;
  struct stat status {};
  // Its directory belongs to its user in any case, the files in it to root where it is not dumpable.
  const bool known = stat(fmt::format("/proc/{}/maps", pid).c_str(), &status) == 0;
  const unsigned own = getuid();
  std::string why;
  if (uid != own || effective != own || saved != own) {
    why = fmt::format("It belongs to user {}, you are {}.", uid, own);
  } else if (known && status.st_uid != own) {
    why = "It is not dumpable (PR_SET_DUMPABLE 0, or it has changed its ids).";
  } else {
    const uint64_t theirs = strtoull(status_line(pid, "CapPrm").c_str(), nullptr, 16);
    const uint64_t ours = strtoull(status_line((int)getpid(), "CapEff").c_str(), nullptr, 16);
    if ((theirs & ~ours) != 0) why = "It holds capabilities you lack (CAP_SYS_PTRACE).";
  }
  if (why.empty()) why = "CAP_SYS_PTRACE is needed.";
  why += scope_words("/proc/sys/kernel/yama/ptrace_scope");
  return Failure(kPermission, "cannot read process {}: {}. {} Try sudo, or docker run --cap-add=SYS_PTRACE.", pid,
                 strerror(EPERM), why);
}

}  // namespace weft::inspect
