// SPDX-License-Identifier: Apache-2.0
// Will the kernel start this file with more rights than its caller has? Then it says so to ld.so (AT_SECURE), which
// ignores LD_PRELOAD without a word. Follows the rule of the kernel's cap_bprm_creds_from_file().
#pragma once

namespace weft {

struct Privilege {
  const char* why = nullptr;     // "is setuid root, ..."; null: ld.so will heed LD_PRELOAD
  const char* remedy = nullptr;  // goes with why
  const char* note = nullptr;    // where it depends on who asks: for whom the answer is another
};

Privilege look_at_privilege(const char* path);

}  // namespace weft
