// SPDX-License-Identifier: Apache-2.0
// The version that runs, for who was compiled against another.
#include "weft/version.h"

unsigned weft_version() { return WEFT_VERSION; }
