// SPDX-License-Identifier: Apache-2.0
// The reader of snapshots: the input is a snapshot's file.
#include "harness.h"
#include "tools/inspect/snapshot.h"

using namespace weft;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (!inspect::is_snapshot((const char*)data, size)) return 0;
  fuzz::set_module_file(fuzz::small_target());
  fuzz::attempt([&] {
    const auto target = inspect::open_snapshot(fuzz::memory_file({data, size}), "snapshot", {});
    fuzz::walk_target(*target);
    fuzz::walk_runtime(*target);
  });
  return 0;
}
