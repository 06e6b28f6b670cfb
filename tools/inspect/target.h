// SPDX-License-Identifier: Apache-2.0
// What is looked at: memory, modules, kernel threads, descriptors and the clock of a live process, a core file or a snapshot. Everything
// above this file works alike on all three.
//
// Addresses are the target's. Thread ids are those that the target itself sees (its own pid namespace). Nothing here knows of weft.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace weft::inspect {

// By their DWARF numbers: rax rdx rcx rbx rsi rdi rbp rsp r8…r15 rip.
struct Registers {
  static constexpr unsigned kRbp = 6, kSp = 7, kPc = 16, kCount = 17;
  std::array<uint64_t, kCount> value{};
  uint32_t known = 0;  // bit n: value[n] was read

  void set(unsigned number, uint64_t to) {
    value[number] = to;
    known |= 1u << number;
  }
  bool has(unsigned number) const { return known >> number & 1; }
  uint64_t pc() const { return value[kPc]; }
  uint64_t sp() const { return value[kSp]; }
};

struct Mapping {
  uint64_t start = 0, end = 0, offset = 0;
  bool readable = false, writable = false, executable = false;
  uint64_t inode = 0;
  std::string path;  // as the target names it, " (deleted)" cut off
  bool deleted = false;
};

struct ProgramHeader {
  uint32_t type, flags;
  uint64_t offset, vaddr, file_size, memory_size, alignment;
};

// An ELF file as it is mapped.
struct Module {
  std::string path;      // as the target names it; "[vdso]"
  std::string build_id;  // lower-case hex, "" where it has none or it could not be read
  uint64_t start = 0, end = 0;
  uint64_t bias = 0;  // address in memory less address in the file
  bool deleted = false;
  std::string error;  // why its headers could not be read; "" they were
  std::vector<ProgramHeader> headers;
  uint64_t eh_frame_hdr = 0;  // its address, 0: none

  std::string name() const;  // without directories
  bool is_vdso() const { return path == "[vdso]"; }
  bool contains(uint64_t address) const { return address >= start && address < end; }
};

struct Thread {
  int tid = 0;
  std::string name;
  char state = '?';  // as in /proc: R S D T t …
};

// How a thread was found when its registers were read.
enum class Found : uint8_t {
  in_system_call,  // only sp and pc are known, and it was not stopped
  stopped,         // by us, or it is that of a core: all registers are known
};

struct Descriptor {
  std::string what;         // as its link in /proc says: "socket:[123]", "/etc/passwd"
  std::string kind;         // "tcp", "tcp6", "udp", "unix", "pipe", "file", …
  std::string local, peer;  // of sockets, "" not known
};

struct ReadRequest {
  uint64_t address;
  void* to;
  size_t size;
  size_t got = 0;  // bytes from the beginning that could be read
  bool whole() const { return got == size; }
};

enum class Stop : uint8_t { running, all, none };  // which kernel threads may be stopped

class Target {
 public:
  enum class Kind : uint8_t { process, core, snapshot };

  virtual ~Target() = default;
  virtual Kind kind() const = 0;
  virtual std::string name() const = 0;  // for messages: "process 812", "core.77"
  virtual int pid() const { return 0; }  // of a live one in our namespace, else what it was

  // Reads as many as possible with few system calls; sets `got` of each.
  virtual void read(std::span<ReadRequest> requests) = 0;
  bool read(uint64_t address, void* to, size_t size);
  template <class T>
  std::optional<T> get(uint64_t address) {
    T value;
    if (!read(address, &value, sizeof value)) return std::nullopt;
    return value;
  }
  std::string read_string(uint64_t address, size_t limit);  // without what follows the first zero

  const std::vector<Mapping>& mappings() const { return mappings_; }
  const std::vector<Module>& modules() const { return modules_; }  // in the order of addresses
  const Module* module_at(uint64_t address) const;
  // Open for reading, of the build that is mapped; -1: there is none. The caller closes it.
  virtual int open_module(const Module& module) = 0;

  virtual std::vector<Thread> threads() = 0;
  // Calls `look` with the registers of a thread, while it cannot run on: stopped, or it was seen in the same system call before and
  // afterwards (false if not, and what was copied is to be thrown away). Stops it only if that may be.
  virtual bool look_at(int tid, bool may_stop, const std::function<void(const Registers&, Found)>& look) = 0;
  // The registers of the last look at this thread belong to nothing that was copied.
  virtual void discard(int tid) {}
  // What has been read so far belongs together: where it is read again, it has changed since.
  virtual void settle() {}

  virtual std::optional<uint64_t> now() = 0;  // its CLOCK_MONOTONIC, nanoseconds
  virtual std::optional<Descriptor> descriptor(int fd) = 0;
  // The lowest page in use between these addresses of a stack; none: none is, or it is not known.
  virtual std::optional<uint64_t> lowest_page(uint64_t low, uint64_t high) { return std::nullopt; }

  // All kernel threads, for one instant. Only a live process does anything. Returns how many.
  virtual unsigned stop_all() { return 0; }
  virtual void resume_all() {}
  // What is read now is all of one moment: nothing of it goes on, or it is over.
  virtual bool is_one_instant() const { return false; }
  uint64_t stopped_nanoseconds() const { return stopped_; }  // the longest that any thread was

  // What it holds is no more than this: of a file its size. A damaged one may have a hundred coroutines say that the same bytes are theirs.
  virtual uint64_t size() const { return ~uint64_t{0}; }

  // Missing pieces in words, for kTruncated.
  virtual std::string damage() const { return {}; }

 protected:
  std::vector<Mapping> mappings_;
  std::vector<Module> modules_;
  uint64_t stopped_ = 0;
};

struct TargetOptions {
  std::string exe;      // the executable's file, where the target's own name for it does not lead to it
  std::string sysroot;  // put before the names of modules
  unsigned timeout_ms = 10'000;
};

// "812": a process; else a file, a core or a snapshot by what is in it. Throws Failure.
std::unique_ptr<Target> open_target(const std::string& name, const TargetOptions& options);

}  // namespace weft::inspect
