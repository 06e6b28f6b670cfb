// SPDX-License-Identifier: Apache-2.0
// Where glibc's struct pthread and a thread's variables lie around the thread pointer, in namespace weft:
//   kVariablesBelow       variant II of the ELF TLS ABI: the variables lie below the thread pointer, which points at struct pthread.
//                         Variant I: above it, behind two words of the ABI's; struct pthread lies below
//   kDtvWord              bytes from the thread pointer to the pointer to its DTV
//   kBehindThreadPointer  bytes from there on that are a thread's own, not one of its variables, and not in struct pthread
#pragma once

#include <cstddef>

#include "asm/architecture.h"
#include WEFT_FOR_CPU(tls_layout)
