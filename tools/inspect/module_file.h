// SPDX-License-Identifier: Apache-2.0
// Where the file of a module is, for targets that no longer run: below --sysroot, at its own name, or --exe for the executable.
#pragma once

#include "open_file.h"
#include "target.h"

namespace weft::inspect {

struct ModuleFile {
  OpenFile file;
  std::string other;  // a file was there, of another build: its build-id
  std::string path;   // of the file, or of the one of another build
};

// `is_executable`: --exe is meant for this module.
ModuleFile find_module_file(const Module& module, bool is_executable, const TargetOptions& options);

}  // namespace weft::inspect
