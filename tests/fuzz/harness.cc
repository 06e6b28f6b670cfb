// SPDX-License-Identifier: Apache-2.0
// Files without names, and the walks through everything that readers offer.
#include "harness.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tools/inspect/elf_image.h"
#include "tools/inspect/failure.h"
#include "tools/inspect/runtime.h"
#include "tools/inspect/stacks.h"

namespace {

weft::fuzz::Bytes module_file;

void expect(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "fuzz: %s\n", what);
  abort();
}

}  // namespace

extern "C" int __real_open(const char* path, int flags, ...);
extern "C" int __wrap_open(const char* path, int flags, ...);

// The linker leads the inspector's calls of open() here (--wrap).
int __wrap_open(const char* path, int flags, ...) {
  if (strncmp(path, "/proc/self/fd/", 14) == 0) return __real_open(path, flags & ~O_CREAT);
  if (path[0] == '/') return weft::fuzz::memory_file(module_file);
  errno = ENOENT;
  return -1;
}

extern "C" int LLVMFuzzerInitialize(int*, char***);

// Commands print; a fuzzer's own words go to descriptor 2.
int LLVMFuzzerInitialize(int*, char***) {
  expect(freopen("/dev/null", "w", stdout) != nullptr, "no /dev/null");
  return 0;
}

extern "C" const char* __lsan_default_suppressions();

// elfutils 0.188 forgets the operands of an expression that it gives up.
const char* __lsan_default_suppressions() { return "leak:libdw.so\n"; }

// In place of the one that prints.
void weft::inspect::warn(const std::string&) {}

namespace weft::fuzz {

int memory_file(Bytes bytes) {
  const int fd = memfd_create("fuzz", MFD_CLOEXEC);
  expect(fd >= 0, "no descriptor is left");
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t written = write(fd, bytes.data() + at, bytes.size() - at);
    expect(written > 0, "no memory for a file");
    at += (size_t)written;
  }
  lseek(fd, 0, SEEK_SET);
  return fd;
}

void set_module_file(Bytes bytes) { module_file = bytes; }

Bytes small_target() {
  static const std::vector<uint8_t> content = [] {
    std::vector<uint8_t> read;
    FILE* file = fopen(WEFT_FUZZ_SMALL_TARGET, "re");
    expect(file != nullptr, "there is no " WEFT_FUZZ_SMALL_TARGET);
    for (int byte; (byte = fgetc(file)) != EOF;) read.push_back((uint8_t)byte);
    fclose(file);
    return read;
  }();
  return content;
}

void attempt(const std::function<void()>& act) {
  try {
    act();
  } catch (const inspect::Failure&) {
  }
}

void walk_target(inspect::Target& target) {
  auto read = [&](uint64_t address) {
    char bytes[64];
    target.read(address, bytes, sizeof bytes);
    expect(target.read_string(address, 32).size() <= 32, "a string is longer than was asked for");
  };
  for (uint64_t address : {uint64_t{0}, uint64_t{1} << 63, ~uint64_t{0} - 15}) read(address);
  // As many as matter: a target may claim a great many.
  constexpr size_t kMost = 64;
  for (size_t i = 0; i < target.mappings().size() && i < kMost; i++) {
    const inspect::Mapping& mapping = target.mappings()[i];
    read(mapping.start);
    read(mapping.end - 8);
  }
  for (size_t i = 0; i < target.modules().size() && i < kMost; i++) {
    const inspect::Module& module = target.modules()[i];
    read(module.end - 8);
    size_t notes = 0;
    inspect::for_each_note(target, module, [&](const inspect::Note& note, uint64_t) {
      notes += inspect::hexadecimal(note.content).size() + note.name.size();
    });
    const int fd = target.open_module(module);
    if (fd < 0) continue;
    inspect::build_id_of_file(fd);
    close(fd);
  }
  const std::vector<inspect::Thread> threads = target.threads();
  for (size_t i = 0; i < threads.size() && i < kMost; i++) {
    target.look_at(threads[i].tid, true, [&](const inspect::Registers& registers, inspect::Found) {
      read(registers.sp());
      read(registers.pc());
    });
  }
  for (int fd = 0; fd < 8; fd++) target.descriptor(fd);
  target.now();
  target.damage();
}

void walk_runtime(inspect::Target& target) {
  const inspect::Runtime runtime = inspect::Runtime::find(target);
  runtime.is_active();
  runtime.clock();
  runtime.monitor_tid();
  for (const inspect::Worker& worker : runtime.workers()) runtime.in_trampoline(worker.address);
  runtime.counters();
  inspect::copy_stacks(runtime, {.stop = inspect::Stop::all, .threads = true});
}

}  // namespace weft::fuzz
