// SPDX-License-Identifier: Apache-2.0
// A library whose threads are there before main, and before the constructor of any library preloaded.
#ifndef WEFT_TESTS_PROGRAMS_CONSTRUCTOR_MODULE_H_
#define WEFT_TESTS_PROGRAMS_CONSTRUCTOR_MODULE_H_

enum { kPoolThreads = 4, kPoolWork = 1000 };

extern int pool_signals;  // how many its handler took

long pool_sum_of_squares(void);

#endif
