// SPDX-License-Identifier: Apache-2.0
// hook/declarations.h: what glibc has on x86-64 alone.
#pragma once

#include <sys/io.h>

extern "C" int arch_prctl(int option, unsigned long value) noexcept;
