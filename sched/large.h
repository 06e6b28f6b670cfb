// SPDX-License-Identifier: Apache-2.0
// Where large tables lie: behind all other variables, so that these share few pages. A program that never makes a thread touches no
// large table, and its start must not cost a page for each variable that happens to lie between two of them.
#pragma once

#define WEFT_LARGE [[gnu::section(".bss.large")]]
