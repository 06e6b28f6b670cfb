// SPDX-License-Identifier: Apache-2.0
// A live process: memory by process_vm_readv (where that is forbidden, /proc/PID/mem), the rest from /proc. Nothing is stopped here but
// single kernel threads, and those only when their registers are asked for and cannot be had from outside.
//
// Its tids are those of its own pid namespace: the last in NSpid. Its files are opened through map_files, which is right even for
// deleted and replaced ones, else below its root, and only if the build-id is the mapped one's.
#include "process.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

#include "elf_image.h"
#include "failure.h"
#include "monotonic_clock.h"
#include "pages_in_use.h"
#include "process_access.h"
#include "sockets.h"
#include "thread_stop.h"

namespace weft::inspect {

namespace {

class Process : public Target {
 public:
  Process(int pid, const TargetOptions& options) : pid_(pid), options_(options), sockets_(pid) {
    read_mappings();
    memory_ = open(fmt::format("/proc/{}/mem", pid_).c_str(), O_RDONLY | O_CLOEXEC);
    const int memory_error = errno;
    // Whether it may be read at all is asked before anything is concluded from what cannot be read.
    for (const Mapping& mapping : mappings_) {
      char byte;
      if (!mapping.readable || mapping.path.starts_with("[v")) continue;
      if (Target::read(mapping.start, &byte, 1)) break;
      if (memory_ < 0) throw unreadable_process(pid_, memory_error);
    }
    modules_ = find_modules(*this);
  }
  ~Process() override {
    if (memory_ >= 0) close(memory_);
  }

  Kind kind() const override { return Kind::process; }
  std::string name() const override { return fmt::format("process {}", pid_); }
  int pid() const override { return pid_; }

  using Target::read;
  void read(std::span<ReadRequest> requests) override;
  int open_module(const Module& module) override;
  std::vector<Thread> threads() override;
  bool look_at(int tid, bool may_stop, const std::function<void(const Registers&, Found)>& look) override;
  std::optional<uint64_t> now() override { return monotonic_now() + time_offset(); }
  std::optional<Descriptor> descriptor(int fd) override;
  unsigned stop_all() override;
  void resume_all() override;
  bool is_one_instant() const override { return stopped_whole_; }
  std::optional<uint64_t> lowest_page(uint64_t low, uint64_t high) override;

 private:
  void read_mappings();
  void read_by_file(ReadRequest& request);
  bool system_call_registers(int outer, Registers* to) const;
  uint64_t time_offset() const;
  int outer_tid(int tid);

  int pid_;
  TargetOptions options_;
  Sockets sockets_;
  int memory_ = -1;
  bool by_file_ = false;      // process_vm_readv is not to be had here
  std::map<int, int> outer_;  // our number of a tid of theirs
  std::vector<std::pair<int, ThreadStop>> all_;
  uint64_t stopped_since_ = 0;
  bool stopped_whole_ = false;
  std::optional<PagesInUse> pages_;
};

void Process::read_mappings() {
  std::ifstream file(fmt::format("/proc/{}/maps", pid_));
  if (!file) throw unreadable_process(pid_, errno);
  std::string line;
  while (std::getline(file, line)) {
    Mapping mapping;
    char permissions[8];
    unsigned long start, end, offset, inode;
    int path = 0;
    if (sscanf(line.c_str(), "%lx-%lx %7s %lx %*s %lu %n", &start, &end, permissions, &offset, &inode, &path) < 5)
      continue;
    mapping.start = start, mapping.end = end, mapping.offset = offset, mapping.inode = inode;
    mapping.readable = permissions[0] == 'r', mapping.writable = permissions[1] == 'w',
    mapping.executable = permissions[2] == 'x';
    if (path > 0 && (size_t)path < line.size()) mapping.path = line.substr((size_t)path);
    constexpr std::string_view kDeleted = " (deleted)";
    if (mapping.path.ends_with(kDeleted)) {
      mapping.path.resize(mapping.path.size() - kDeleted.size());
      mapping.deleted = true;
    }
    mappings_.push_back(std::move(mapping));
  }
  if (!mappings_.empty()) return;
  // Opening works for all, reading only for those who may: the kernel says so by an error in the middle or by an empty file.
  const std::string state = status_line(pid_, "State");
  if (state.empty()) throw unreadable_process(pid_, ESRCH);
  if (state[0] == 'Z' || state[0] == 'X')
    throw Failure(kNoTarget, "process {} has ended: nobody has waited for it yet.", pid_);
  throw unreadable_process(pid_, EPERM);
}

void Process::read_by_file(ReadRequest& request) {
  while (request.got < request.size) {
    const ssize_t got = memory_ < 0 ? -1
                                    : pread(memory_, (char*)request.to + request.got, request.size - request.got,
                                            (off_t)(request.address + request.got));
    if (got <= 0) return;
    request.got += (size_t)got;
  }
}

void Process::read(std::span<ReadRequest> requests) {
  constexpr size_t kBatch = 1024;  // IOV_MAX
  size_t next = 0;
  while (next < requests.size() && !by_file_) {
    iovec local[kBatch], remote[kBatch];
    size_t count = 0;
    for (; count < kBatch && next + count < requests.size(); count++) {
      ReadRequest& request = requests[next + count];
      request.got = 0;
      local[count] = {request.to, request.size};
      remote[count] = {(void*)request.address, request.size};
    }
    const ssize_t got = process_vm_readv(pid_, local, count, remote, count, 0);
    if (got < 0 && errno != EFAULT && errno != EIO && errno != ENOMEM) {
      by_file_ = true;
      break;
    }
    size_t left = got < 0 ? 0 : (size_t)got, done = 0;
    while (done < count && left >= requests[next + done].size) {
      left -= requests[next + done].size;
      requests[next + done].got = requests[next + done].size;
      done++;
    }
    if (done < count) {
      // The transfer ends at a page that is not there: the rest of this request page by page, then on with the next.
      ReadRequest& broken = requests[next + done];
      broken.got = left;
      while (broken.got < broken.size) {
        const uint64_t from = broken.address + broken.got;
        const size_t piece = std::min<size_t>(broken.size - broken.got, kPage - from % kPage);
        iovec to{(char*)broken.to + broken.got, piece}, source{(void*)from, piece};
        if (process_vm_readv(pid_, &to, 1, &source, 1, 0) != (ssize_t)piece) break;
        broken.got += piece;
      }
      done++;
    }
    next += done;
  }
  for (; next < requests.size(); next++) {
    requests[next].got = 0;
    read_by_file(requests[next]);
  }
}

int Process::open_module(const Module& module) {
  std::vector<std::string> names;
  for (const Mapping& mapping : mappings_) {
    if (mapping.path != module.path || mapping.start < module.start || mapping.start >= module.end) continue;
    names.push_back(fmt::format("/proc/{}/map_files/{:x}-{:x}", pid_, mapping.start, mapping.end));
    break;
  }
  names.push_back(fmt::format("/proc/{}/root{}", pid_, module.path));
  names.push_back(fmt::format("/proc/{}/exe", pid_));
  if (!options_.sysroot.empty()) names.push_back(options_.sysroot + module.path);
  if (!options_.exe.empty()) names.push_back(options_.exe);
  for (const std::string& file : names) {
    // A name may have become a device or a pipe meanwhile: opened without waiting, and looked at before it is read.
    const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) continue;
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
      const bool certain = file.find("/map_files/") != std::string::npos;
      if (certain || (!module.build_id.empty() && build_id_of_file(fd) == module.build_id)) return fd;
      // Without a build-id the name has to do, but not that of a file which is gone.
      if (module.build_id.empty() && !module.deleted && file.ends_with(module.path)) return fd;
    }
    close(fd);
  }
  return -1;
}

std::vector<Thread> Process::threads() {
  std::vector<Thread> result;
  outer_.clear();
  const std::string path = fmt::format("/proc/{}/task", pid_);
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return result;
  while (dirent* entry = readdir(directory)) {
    const int outer = atoi(entry->d_name);
    if (outer == 0) continue;
    std::ifstream file(fmt::format("{}/{}/status", path, outer));
    Thread thread;
    thread.tid = outer;
    std::string line;
    while (std::getline(file, line)) {
      if (line.starts_with("Name:\t")) thread.name = line.substr(6);
      if (line.starts_with("State:\t")) thread.state = line[7];
      if (line.starts_with("NSpid:")) {
        std::istringstream words(line.substr(6));
        for (int number; words >> number;) thread.tid = number;
      }
    }
    outer_[thread.tid] = outer;
    result.push_back(thread);
  }
  closedir(directory);
  std::sort(result.begin(), result.end(), [](const Thread& a, const Thread& b) { return a.tid < b.tid; });
  return result;
}

int Process::outer_tid(int tid) {
  auto found = outer_.find(tid);
  if (found == outer_.end()) {
    threads();
    found = outer_.find(tid);
  }
  return found == outer_.end() ? 0 : found->second;
}

// "number six arguments sp pc" in a system call, "-1 sp pc" blocked elsewhere, "running" on a CPU.
bool Process::system_call_registers(int outer, Registers* to) const {
  std::ifstream file(fmt::format("/proc/{}/task/{}/syscall", pid_, outer));
  std::string word, words[8];
  if (!(file >> word) || word == "running") return false;
  unsigned count = 0;
  while (count < 8 && file >> words[count]) count++;
  if (count != 8) return false;
  to->set(Registers::kSp, strtoull(words[6].c_str(), nullptr, 16));
  to->set(Registers::kPc, strtoull(words[7].c_str(), nullptr, 16));
  return true;
}

bool Process::look_at(int tid, bool may_stop, const std::function<void(const Registers&, Found)>& look) {
  const int outer = outer_tid(tid);
  if (outer == 0) return false;
  for (auto& [number, held] : all_) {
    Registers registers;
    if (number != outer || !held.registers(&registers)) continue;
    look(registers, Found::stopped);
    return true;
  }
  Registers before;
  if (system_call_registers(outer, &before)) {
    look(before, Found::in_system_call);
    Registers after;
    if (system_call_registers(outer, &after) && after.value == before.value) return true;
  }
  if (!may_stop) return false;
  const uint64_t since = monotonic_now();
  bool looked = false;
  {
    ThreadStop stop(outer, options_.timeout_ms);
    Registers registers;
    looked = stop.holds() && stop.registers(&registers);
    if (looked) look(registers, Found::stopped);
    if (stop.error() == EPERM) {
      const std::string tracer = status_line(outer, "TracerPid");
      if (!tracer.empty() && tracer != "0") {
        warn(fmt::format(
            "kernel thread {} is traced by process {} and cannot be stopped a second time; its stack is missing.", tid,
            tracer));
      }
    }
  }
  stopped_ = std::max(stopped_, monotonic_now() - since);
  return looked;
}

unsigned Process::stop_all() {
  stopped_since_ = monotonic_now();
  stopped_whole_ = true;
  // Threads that are made meanwhile are found by looking again until a look finds none.
  for (bool found = true; found;) {
    found = false;
    for (const Thread& thread : threads()) {
      const int outer = outer_[thread.tid];
      if (std::any_of(all_.begin(), all_.end(), [&](auto& held) { return held.first == outer; })) continue;
      ThreadStop stop(outer, options_.timeout_ms);
      found |= stop.holds();
      // One that ended meanwhile does nothing any more; one that somebody else traces may.
      stopped_whole_ &= stop.holds() || stop.error() == ESRCH;
      all_.emplace_back(outer, std::move(stop));
    }
  }
  return (unsigned)std::count_if(all_.begin(), all_.end(), [](const auto& held) { return held.second.holds(); });
}

void Process::resume_all() {
  if (all_.empty()) return;
  all_.clear();
  stopped_whole_ = false;
  stopped_ = std::max(stopped_, monotonic_now() - stopped_since_);
}

std::optional<uint64_t> Process::lowest_page(uint64_t low, uint64_t high) {
  if (!pages_) pages_.emplace(pid_);
  return pages_->lowest(low, high);
}

// Nanoseconds by which CLOCK_MONOTONIC of its time namespace is ahead of the machine's.
int64_t monotonic_offset(const std::string& process) {
  std::ifstream file("/proc/" + process + "/timens_offsets");
  std::string clock;
  int64_t seconds, nanoseconds;
  while (file >> clock >> seconds >> nanoseconds) {
    if (clock == "monotonic" || clock == "1") return seconds * 1'000'000'000 + nanoseconds;
  }
  return 0;
}

uint64_t Process::time_offset() const {
  char own[64] = {}, theirs[64] = {};
  if (readlink("/proc/self/ns/time", own, sizeof own - 1) < 0 ||
      readlink(fmt::format("/proc/{}/ns/time", pid_).c_str(), theirs, sizeof theirs - 1) < 0 ||
      strcmp(own, theirs) == 0)
    return 0;
  return (uint64_t)(monotonic_offset(std::to_string(pid_)) - monotonic_offset("self"));
}

std::optional<Descriptor> Process::descriptor(int fd) {
  if (fd < 0) return std::nullopt;
  char link[4096];
  const ssize_t length = readlink(fmt::format("/proc/{}/fd/{}", pid_, fd).c_str(), link, sizeof link);
  if (length <= 0) return std::nullopt;
  Descriptor result;
  result.what.assign(link, (size_t)length);
  const size_t colon = result.what.find(':');
  if (result.what.starts_with("socket:[")) {
    sockets_.describe(strtoull(result.what.c_str() + 8, nullptr, 10), &result);
  } else if (result.what.starts_with('/')) {
    result.kind = "file";
  } else if (colon != std::string::npos) {
    result.kind = result.what.substr(0, colon);
  }
  if (result.kind == "anon_inode") result.kind = result.what.substr(colon + 1);
  return result;
}

}  // namespace

std::unique_ptr<Target> open_process(int pid, const TargetOptions& options) {
  struct stat status;
  if (stat(fmt::format("/proc/{}", pid).c_str(), &status) != 0)
    throw Failure(kNoTarget, "there is no process {}.", pid);
  return std::make_unique<Process>(pid, options);
}

}  // namespace weft::inspect
