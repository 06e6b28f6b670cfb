// SPDX-License-Identifier: Apache-2.0
// A core file as a target: the kernel's or gcore's.
#pragma once

#include <memory>
#include <string>

#include "target.h"

namespace weft::inspect {

bool is_core(const char* elf_header);  // 64 bytes that begin an ELF file
std::unique_ptr<Target> open_core(int fd, const std::string& name, const TargetOptions& options);  // takes fd

}  // namespace weft::inspect
