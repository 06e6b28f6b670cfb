// SPDX-License-Identifier: Apache-2.0
// Calls as compilers and linkers write them for x86-64:
//   e8 rel32        call function, or its PLT entry
//   ff 15 rel32     call *slot(%rip): the slot is in the GOT
//   PLT entry       [f3 0f 1e fa endbr64] [f2 bnd] ff 25 rel32  jmp *slot(%rip)
#include <cstring>

#include "called_function.h"

namespace weft::inspect {
namespace {

int32_t displacement(const unsigned char* at) {
  int32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

// Where a PLT entry leads to; 0: this is none.
uint64_t through_plt(Target& target, uint64_t entry) {
  unsigned char code[16];
  if (!target.read(entry, code, sizeof code)) return 0;
  constexpr unsigned char kEndbr[] = {0xf3, 0x0f, 0x1e, 0xfa};
  size_t at = memcmp(code, kEndbr, sizeof kEndbr) == 0 ? sizeof kEndbr : 0;
  if (code[at] == 0xf2) at++;
  if (code[at] != 0xff || code[at + 1] != 0x25) return 0;
  return target.get<uint64_t>(entry + at + 6 + (int64_t)displacement(code + at + 2)).value_or(0);
}

}  // namespace

std::string called_function(Look& look, uint64_t return_address) {
  Target& target = look.target();
  unsigned char code[6];
  if (!target.read(return_address - sizeof code, code, sizeof code)) return {};
  uint64_t function = 0;
  if (code[0] == 0xff && code[1] == 0x15) {
    function = target.get<uint64_t>(return_address + (int64_t)displacement(code + 2)).value_or(0);
  } else if (code[1] == 0xe8) {
    function = return_address + (int64_t)displacement(code + 2);
    if (const uint64_t behind = through_plt(target, function)) function = behind;
  }
  if (function == 0 || target.module_at(function) == nullptr) return {};
  const Named& named = look.symbols().at(function, true);
  return named.function().function.empty() ? "" : look.symbols().short_text(named);
}

}  // namespace weft::inspect
