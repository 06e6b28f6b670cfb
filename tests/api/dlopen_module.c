// SPDX-License-Identifier: Apache-2.0
// A module of a program that knows nothing of weft, linked with the library.
#include "weft/co.h"

co_t module_self(void);
co_t module_self(void) { return co_self(); }
