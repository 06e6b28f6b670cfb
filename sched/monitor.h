// SPDX-License-Identifier: Apache-2.0
// The monitor: a kernel thread that looks at every worker each few milliseconds.
#pragma once

#include <cstdint>

namespace weft {

int monitor_start();         // 0 or an error number
void monitor_kick();         // look now: a worker waits for a carrier. Any thread
void monitor_worker_woke();  // a worker left its poller: a monitor that sleeps without a timeout starts ticking
void monitor_reset();        // fork child
void runtime_ends_with(uint64_t mask);  // the signal mask of the last coroutine, which is about to be gone
void runtime_check_main_exit();         // it is: the process ends if main has left

// Of a kernel thread of this process: its CPU time in nanoseconds, and is it off the CPU because it waits for something, not because
// others have the CPU?
uint64_t kernel_thread_cpu_time(int tid);
bool kernel_thread_sleeps(int tid);

}  // namespace weft
