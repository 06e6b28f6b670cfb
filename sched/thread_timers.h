// SPDX-License-Identifier: Apache-2.0
// Timers that signal one coroutine (SIGEV_THREAD_ID).
//
// The kernel knows no coroutine: its timer signals the relay (see sched/signals.h), with glibc's signal 32, which nobody else sends
// there, and the record below as its value. The relay sends on what the program asked for. An expiration that finds the last one's
// signal still queued adds to its overrun, as in the kernel.
#pragma once

#include <csignal>
#include <ctime>

namespace weft {

struct ThreadTimer;

// A record for a timer that is to send `signal` with `value` to the coroutine with this number. Null: there is no memory, or the relay
// cannot be made. Any thread.
ThreadTimer* thread_timer_obtain(int tid, int signal, sigval value);
// What the kernel's timer is to be made with.
struct sigevent thread_timer_event(ThreadTimer* timer);
void thread_timer_made(ThreadTimer* timer, timer_t made);
void thread_timer_release(ThreadTimer* timer);  // it is not made, or deleted

// The record of a timer of the program's, null if it signals no coroutine.
ThreadTimer* thread_timer_find(timer_t timer);
// The program sets or deletes it: an expiration that has not been taken is dropped, as in the kernel (since Linux 6.13).
void thread_timer_forget(const ThreadTimer* timer);
int thread_timer_overrun(const ThreadTimer* timer);  // as timer_getoverrun(3)

// A timer's signal is about to be delivered.
void thread_timer_delivered(const siginfo_t& info);

// The relay: sends on what has come.
void thread_timers_relay();
void thread_timers_reset();  // fork child, which inherits no timers

}  // namespace weft
