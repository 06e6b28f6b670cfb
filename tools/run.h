// SPDX-License-Identifier: Apache-2.0
// `weft run`: reads the options, prepares the environment and becomes the program.
#pragma once

namespace weft {

// `arguments` ends with a null; arguments[0] is the word before the options.
[[noreturn]] void run(int count, char** arguments);

}  // namespace weft
