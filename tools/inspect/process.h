// SPDX-License-Identifier: Apache-2.0
// A live process as a target.
#pragma once

#include <memory>

#include "target.h"

namespace weft::inspect {

std::unique_ptr<Target> open_process(int pid, const TargetOptions& options);

}  // namespace weft::inspect
