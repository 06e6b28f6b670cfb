// SPDX-License-Identifier: Apache-2.0
// co.h by itself for C++ older than the keyword co_yield.
#include "weft/co.h"

int main() {
  co_attr_t attributes = CO_ATTR_INIT;
  co_mutex_t mutex = CO_MUTEX_INIT;
  return static_cast<int>(attributes.size + sizeof mutex) + co_yield ();
}
