// SPDX-License-Identifier: Apache-2.0
// The monitor: a kernel thread that looks at every worker each few milliseconds.
#pragma once

namespace weft {

int monitor_start();         // 0 or an error number
void monitor_kick();         // look now: a worker waits for a carrier. Any thread
void monitor_worker_woke();  // a worker left its poller: a monitor that sleeps without a timeout starts ticking
void monitor_reset();        // fork child
void runtime_check_main_exit();

}  // namespace weft
