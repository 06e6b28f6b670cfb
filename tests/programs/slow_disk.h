// SPDX-License-Identifier: Apache-2.0
// What the program slow_disk shares with its disk.
#pragma once

extern int disk_turns;  // the disk's futex: how often the other thread has done its part
