// SPDX-License-Identifier: Apache-2.0
// Carriers as kernel threads, and what only the runtime's own files may do with workers.
#pragma once

#include "sched/worker.h"

namespace weft {

extern Lock handoff_lock;  // guards which carrier has which worker, the spare carriers and the workers without one

// A kernel thread by the real pthread_create, with the carriers' signal mask; detached unless *to_join is wanted. 0 or an error number.
int kernel_thread_create(void* (*start)(void*), void* argument, unsigned long* to_join = nullptr);

// Makes a carrier by the real pthread_create, from the calling thread, whose kernel state it inherits. 0 or an error number.
int carrier_create();
unsigned carriers_alive();

// Kernel threads made while the runtime starts wait here until all that it needs is there. False: it was not to be had.
bool runtime_gate();

void carrier_loop(Carrier* carrier);  // returns when the carrier is not needed any more
bool take_worker(Worker* worker);     // monitor: true: another carrier has it or will
bool worker_waits_for_carrier();
void add_orphan(Worker* worker);       // it waits for a carrier
bool try_enter(Carrier* carrier);      // false: it has no worker, and is outside
void release_worker(Coroutine* self);  // inside; afterwards outside and without a worker
Worker* least_loaded_worker(uint8_t group);
extern bool may_spin;                  // there are CPUs for those who would be spun for
Worker* worker_begin(unsigned index);  // makes it; with neither poller nor carrier
void workers_set_count(unsigned count);
void workers_reset();  // fork child
void carriers_reset();

// A new one: runs soon. newest_first: where many are ready, before those that were made before it.
void start_coroutine(Coroutine* coroutine, bool newest_first);
void coroutine_begins(Coroutine* self, uintptr_t message);  // first thing on its stack; what the switch to it brought
[[noreturn]] void switch_finished(Coroutine* self);         // last thing on its stack
void coroutine_gone(Coroutine* coroutine);                  // its stack has been left for good

}  // namespace weft
