// SPDX-License-Identifier: Apache-2.0
// WEFT_CHAOS=SEED[:FILE]: a stress mode in which every decision of the scheduler is drawn, and written down.
//
// At every hook a coroutine may have to give way, change its worker or its kernel thread; who runs next, and where, is drawn. The
// log, FILE.PID, has a line a decision, written when it is made, so that a run that hangs or dies has left it whole.
//
// With one worker a seed fixes every decision: two runs to which nothing comes from outside (input, time, other processes) write the
// same log. For that the worker and the guests take turns: one of them runs at a time, and who is next is drawn as well. Who sleeps in
// the kernel or computes for long loses its turn to the others after a while: that is the outside.
#pragma once

#include <cstdint>

#include "sched/wait.h"

namespace weft {

struct Worker;

extern constinit bool chaos;        // the mode is on
extern constinit bool chaos_turns;  // there is one worker: it and the guests take turns

void chaos_init();                   // after the options are read
void chaos_begin(unsigned workers);  // the runtime starts; the calling guest has the turn
void chaos_reset();                  // fork child

// One of `choices` numbers from 0. `worker`: the caller's, null where it has none.
uint32_t chaos_draw(const Worker* worker, uint32_t choices);
void chaos_write(const Worker* worker, const char* what, uint32_t who);

// At a hook that is no wait itself: whoever called it may not be the next to run.
void chaos_at_hook_slow();
inline void chaos_at_hook() {
  if (chaos) [[unlikely]]
    chaos_at_hook_slow();
}

// Turns, called where chaos_turns says so.
void turn_await();                             // the worker is about to choose a coroutine
void turn_end();                               // it has none to run
void turn_guest_waits(const Waiter* waiter);   // the calling guest is about to sleep
void turn_guest_ready(const Waiter* waiter);   // its wait has been ended
void turn_guest_awaits(const Waiter* waiter);  // it is awake: returns when it is its turn
bool turn_look();  // monitor: takes the turn from who does not use it. True: somebody waits for it

}  // namespace weft
