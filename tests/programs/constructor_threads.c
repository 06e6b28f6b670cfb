// SPDX-License-Identifier: Apache-2.0
// The first threads of a program are made by the constructor of a library it is linked with.
#include "check.h"

#include <signal.h>

#include "constructor_module.h"

int main(void) {
  raise(SIGUSR1);
  raise(SIGUSR2);
  say("signals: %d", pool_signals);
  say("sum of squares: %ld", pool_sum_of_squares());
  return check_failures != 0;
}
