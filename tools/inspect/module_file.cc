// SPDX-License-Identifier: Apache-2.0
// Tries the names a module's file may have, and compares the build-id of what is there with that of what was mapped.
#include "module_file.h"

#include <fcntl.h>

#include "elf_image.h"

namespace weft::inspect {

ModuleFile find_module_file(const Module& module, bool is_executable, const TargetOptions& options) {
  std::vector<std::string> names;
  if (is_executable && !options.exe.empty()) names.push_back(options.exe);
  if (!options.sysroot.empty()) {
    names.push_back(options.sysroot + module.path);
    names.push_back(options.sysroot + "/" + module.name());
  }
  if (module.path.starts_with('/')) names.push_back(module.path);
  ModuleFile result;
  for (const std::string& name : names) {
    OpenFile file(open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    struct stat status;
    if (!file.is_open() || fstat(file.fd(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    const std::string id = build_id_of_file(file.fd());
    // Without a build-id in the core there is nothing to compare; the name has to do.
    if (module.build_id.empty() || id == module.build_id) {
      result.file = std::move(file);
      result.path = name;
      result.other.clear();
      return result;
    }
    if (result.path.empty()) {
      result.other = id.empty() ? "none" : id;
      result.path = name;
    }
  }
  return result;
}

}  // namespace weft::inspect
