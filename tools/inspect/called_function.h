// SPDX-License-Identifier: Apache-2.0
// Which function a call went to, from the call itself: frames lie about it where the callee went on to another function by a jump, and a
// stripped library has no names but those of what it exports.
#pragma once

#include <string>

#include "look.h"

namespace weft::inspect {

// The name of the function that is called by the instruction before `return_address`, through a PLT, a GOT or directly; "": not known.
std::string called_function(Look& look, uint64_t return_address);

}  // namespace weft::inspect
