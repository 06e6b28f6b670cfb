// SPDX-License-Identifier: Apache-2.0
// hook/declarations.h: what glibc has on aarch64 alone, which is nothing that is hooked.
#pragma once
