// SPDX-License-Identifier: Apache-2.0
// The reader of ELF cores: the input is a core file, and also the file of each module that it names.
#include "harness.h"
#include "tools/inspect/core.h"
#include "tools/inspect/elf_image.h"

using namespace weft;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // What open_target() has seen before it takes a file for a core.
  if (!inspect::is_elf_header((const char*)data, size) || !inspect::is_core((const char*)data)) return 0;
  fuzz::set_module_file({data, size});
  fuzz::attempt([&] {
    const auto target = inspect::open_core(fuzz::memory_file({data, size}), "core", {.exe = "", .sysroot = "/root"});
    fuzz::walk_target(*target);
    fuzz::walk_runtime(*target);
  });
  return 0;
}
