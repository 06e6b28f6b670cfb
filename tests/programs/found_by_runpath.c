// SPDX-License-Identifier: Apache-2.0
// What loading_module.c finds.
int value(void) { return 42; }
