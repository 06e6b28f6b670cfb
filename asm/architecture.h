// SPDX-License-Identifier: Apache-2.0
// Which CPU this is built for: the one place that asks. What differs from CPU to CPU lies in files of its own, one a CPU, with the same
// names in each; a header NAME.h says what they are and takes its file, which lies beside it, by #include WEFT_FOR_CPU(NAME).
#pragma once

#define WEFT_TEXT_OF(text) #text

#if defined(__x86_64__)
#define WEFT_FOR_CPU(name) WEFT_TEXT_OF(name##_x86_64.h)
#elif defined(__aarch64__)
#define WEFT_FOR_CPU(name) WEFT_TEXT_OF(name##_aarch64.h)
#else
#error "weft has no context switch for this CPU: see asm/README.md"
#endif
