// SPDX-License-Identifier: Apache-2.0
// Unwind rules of a target, looked at before libunwind gets them. Version 1.6 divides whatever an expression tells it to, so that the least
// number by -1 ends the process; it follows jumps of an expression for ever, and takes a CIE's word for where the return address is. No
// compiler writes any of that, and neither do those who write rules by hand. Nor do they write DW_OP_bregx, of which libunwind reads the
// first operand alone and takes the second for operations.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::inspect {

class FrameMemory;

// What .eh_frame_hdr's table, which begins at `table` and has so many entries relative to `header`, has for `pc`: rules that are whole and
// not too long, with expressions that do sums. False too: it has none.
bool are_rules_sane(FrameMemory& memory, uint64_t header, uint64_t table, uint64_t count, uint64_t pc);

}  // namespace weft::inspect
