// SPDX-License-Identifier: Apache-2.0
// asm/tls_layout.h for x86-64: variant II.
#pragma once

namespace weft {

constexpr bool kVariablesBelow = true;
constexpr size_t kDtvWord = 8;
constexpr size_t kBehindThreadPointer = 0;

}  // namespace weft
