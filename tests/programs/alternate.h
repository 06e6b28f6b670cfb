// SPDX-License-Identifier: Apache-2.0
// A thread's own alternate stack, for programs that look where handlers run.
#pragma once

#include "check.h"

#include <signal.h>

enum { kSize = 64 << 10 };

static __thread char* alternate;

static int on_alternate(void) {
  char local;
  char* volatile here = &local;
  return alternate && here >= alternate && here < alternate + kSize;
}

static void set_stack(void) {
  alternate = malloc(kSize);
  stack_t stack = {.ss_sp = alternate, .ss_size = kSize};
  CHECK(sigaltstack(&stack, NULL) == 0);
}

static void disable_stack(void) {
  stack_t none = {.ss_flags = SS_DISABLE};
  CHECK(sigaltstack(&none, NULL) == 0);
  free(alternate);
  alternate = NULL;
}
