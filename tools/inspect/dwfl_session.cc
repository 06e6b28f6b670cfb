// SPDX-License-Identifier: Apache-2.0
// Reports a target's modules to libdw. Files are opened when something is asked of a module, not before.
#include "dwfl_session.h"

#include <stdlib.h>
#include <string.h>

#include "failure.h"

namespace weft::inspect {

DwflSession::DwflSession(Target& target, const std::string& debug_dir, bool debuginfod) {
  if (!debuginfod) unsetenv("DEBUGINFOD_URLS");
  debug_path_ = ":.debug:" + (debug_dir.empty() ? "" : debug_dir + ":") + "/usr/lib/debug";
  debug_path_pointer_ = debug_path_.data();
  callbacks_.find_elf = find_elf;
  callbacks_.find_debuginfo = dwfl_standard_find_debuginfo;
  callbacks_.debuginfo_path = &debug_path_pointer_;
  dwfl_ = dwfl_begin(&callbacks_);
  if (dwfl_ == nullptr) throw Failure(kNoTarget, "libdw: {}.", dwfl_errmsg(-1));
  dwfl_report_begin(dwfl_);
  for (const Module& module : target.modules()) {
    if (!module.error.empty()) continue;
    Dwfl_Module* reported = dwfl_report_module(dwfl_, module.path.c_str(), module.start, module.end);
    if (reported == nullptr) continue;
    places_.push_back({&target, &module, {}});
    void** data = nullptr;
    dwfl_module_info(reported, &data, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
    *data = &places_.back();
  }
  dwfl_report_end(dwfl_, nullptr, nullptr);
}

DwflSession::~DwflSession() { dwfl_end(dwfl_); }

int DwflSession::find_elf(Dwfl_Module*, void** data, const char* name, Dwarf_Addr base, char** file_name, Elf** elf) {
  Place* place = (Place*)*data;
  if (place == nullptr) return -1;
  if (place->module->is_vdso()) {
    constexpr uint64_t kMaxVdso = 1 << 20;
    if (place->module->end - place->module->start > kMaxVdso) return -1;
    place->image.resize(place->module->end - place->module->start);
    ReadRequest request{place->module->start, place->image.data(), place->image.size()};
    place->target->read(std::span(&request, 1));
    if (request.got == 0) return -1;
    elf_version(EV_CURRENT);
    *elf = elf_memory(place->image.data(), request.got);
    return -1;
  }
  const int fd = place->target->open_module(*place->module);
  if (fd >= 0) *file_name = strdup(place->module->path.c_str());
  return fd;
}

}  // namespace weft::inspect
