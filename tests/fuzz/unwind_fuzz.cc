// SPDX-License-Identifier: Apache-2.0
// Both unwinders: the input is an image, whose registers, stacks and unwind tables they are given. libdw reads the module's file, which is
// the image's memory.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "image.h"
#include "tools/inspect/runtime.h"
#include "tools/inspect/stacks.h"
#include "tools/inspect/unwind.h"

using namespace weft;
using inspect::UnwinderKind;

namespace {

void unwind(inspect::Unwinder& unwinder, const inspect::StackCopy& copy, std::span<const char> stack) {
  const inspect::Trace trace = unwinder.unwind(copy, stack);
  if (trace.frames.size() <= inspect::kMaxFrames) return;
  fprintf(stderr, "fuzz: %zu frames\n", trace.frames.size());
  abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::attempt([&] {
    const auto target = fuzz::open_image({data, size});
    const inspect::Runtime runtime = inspect::Runtime::find(*target);
    const inspect::Stacks stacks = inspect::copy_stacks(runtime, {.stop = inspect::Stop::all, .threads = true});
    for (UnwinderKind kind : {UnwinderKind::libunwind, UnwinderKind::libdw}) {
      fuzz::attempt([&] {
        const auto unwinder = inspect::make_unwinder(kind, runtime);
        for (const inspect::StackCopy& copy : stacks.copies) {
          if (copy.ending != inspect::Ending::none) unwind(*unwinder, copy, stacks.bytes_of(copy));
        }
      });
    }
  });
  return 0;
}
