// SPDX-License-Identifier: Apache-2.0
// The readers of what lies in a target's memory: ELF images, their notes, weft's descriptor and the tables that it leads to. The input is
// an image.
#include "image.h"

using namespace weft;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::attempt([&] {
    const auto target = fuzz::open_image({data, size});
    fuzz::walk_target(*target);
    fuzz::walk_runtime(*target);
  });
  return 0;
}
