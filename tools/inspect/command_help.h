// SPDX-License-Identifier: Apache-2.0
// What --help prints for each command, before the flags that all have.
#pragma once

namespace weft::inspect {

extern const char kPsHelp[];
extern const char kBtHelp[];
extern const char kSnapHelp[];
extern const char kStatHelp[];
extern const char kFlameHelp[];
extern const char kLintHelp[];
extern const char kTopHelp[];
extern const char kDiffHelp[];
extern const char kTraceHelp[];

}  // namespace weft::inspect
