// SPDX-License-Identifier: Apache-2.0
// asm/tls_layout.h for aarch64: variant I.
#pragma once

namespace weft {

constexpr bool kVariablesBelow = false;
constexpr size_t kDtvWord = 0;
constexpr size_t kBehindThreadPointer = 16;

}  // namespace weft
