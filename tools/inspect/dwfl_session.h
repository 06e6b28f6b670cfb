// SPDX-License-Identifier: Apache-2.0
// libdw's view of a target: its modules, each with the file that the target itself gives for it, and debug info by build-id.
//
// libdw's own ways of finding files are not used: across mount namespaces they find other files of the same name.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include <elfutils/libdwfl.h>

#include "target.h"

namespace weft::inspect {

class DwflSession {
 public:
  // `debug_dir`: searched for .build-id/xx/….debug beside the usual places.
  DwflSession(Target& target, const std::string& debug_dir, bool debuginfod);
  ~DwflSession();
  DwflSession(const DwflSession&) = delete;

  Dwfl* dwfl() const { return dwfl_; }
  Dwfl_Module* module_at(uint64_t address) const { return dwfl_addrmodule(dwfl_, address); }

 private:
  struct Place {
    Target* target;
    const Module* module;
    std::vector<char> image;  // of the vDSO
  };
  static int find_elf(Dwfl_Module*, void** data, const char* name, Dwarf_Addr base, char** file_name, Elf** elf);

  std::string debug_path_;
  char* debug_path_pointer_;
  Dwfl_Callbacks callbacks_{};
  std::deque<Place> places_;
  Dwfl* dwfl_ = nullptr;
};

}  // namespace weft::inspect
