// SPDX-License-Identifier: Apache-2.0
// co.h and co.hpp by themselves, as C++20 has them, in either order and more than once.
#include "weft/co.hpp"
#include "weft/co.h"
#include "weft/co.hpp"

int main() {
  co_attr_t attributes = CO_ATTR_INIT;
  co_rwlock_t rwlock = CO_RWLOCK_INIT;
  co_sem_t sem = CO_SEM_INIT(3);
  weft::result<> done = weft::sleep_for(std::chrono::milliseconds(1));
  return static_cast<int>(attributes.size + sizeof rwlock + sizeof sem) + co_yield_now() + (done ? 0 : 1);
}
