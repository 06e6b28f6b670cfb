// SPDX-License-Identifier: Apache-2.0
// Signals of coroutines: what pthread_kill queues for one, and how handlers come to run in it.
//
//   mask      each coroutine's own, in signal_mask. Carriers block everything asynchronous, so changing it is no
//             system call
//   queue     signals sent to a coroutine wait in it; whoever sends one ends an interruptible wait, or kicks the
//             carrier
//   window    a stretch in which the coroutine's mask is the kernel's and its calls are native: the queue is handed to
//             its kernel thread and the kernel delivers, with its own semantics (sa_mask, SA_RESETHAND, SA_RESTART,
//             default actions). Opened to deliver, around lasting blocking calls, and around fork and exec, whose
//             child inherits the mask
//   kick      signal 32 with a mark: the handler opens a window in the midst of a computation. Not in weft's own code,
//             where locks may be held: then the next cancellation point or the monitor's next look does it
//   relay     a kernel thread for process-directed signals that main blocks and some coroutine does not; made when
//             there is one
//
// While a window is open woven() is null: handlers run as a kernel thread would run them, and the coroutine cannot
// change carriers under a signal frame, whose return restores a kernel thread's mask. A handler that leaves by longjmp
// closes the window in the hook of longjmp. Rejected: a trampoline that emulates delivery, which would have to do all
// that the kernel does here.
#pragma once

#include <csignal>
#include <cstdint>

#include "sched/coroutine.h"

namespace weft {

// What a carrier has in the kernel: everything but what instructions raise, glibc's own two, and signals of CPU time
// once the program has a handler for them.
uint64_t carrier_signal_mask();
uint64_t synchronous_signals();  // what instructions raise

struct SignalWindow {
  Coroutine* self;
  bool in_region;  // opened inside a blocking region, which a longjmp out of it ends as well
  bool alternate;  // the kernel has the program's alternate stack meanwhile
};

// The running coroutine's. Neither touches errno.
void signal_window_open(SignalWindow* window, Coroutine* self, bool in_region);
void signal_window_close(SignalWindow* window);
// In the handler of what an instruction raised: its action blocks `blocked` too, and it runs on the alternate stack that it is to run
// on, which the kernel has been given (`moved`) or not.
void signal_window_open_in_handler(SignalWindow* window, Coroutine* self, uint64_t blocked, bool moved);
// That handler is about to return, its window closed, to code with this mask.
void signal_handler_returns(Coroutine* self, uint64_t mask);
// The program has changed its alternate stack meanwhile.
void signal_window_alternate(Coroutine* self);
// Leaves it without going back to the carrier's mask: in a fork child.
void signal_window_forget();
// A longjmp or setcontext to a frame whose stack pointer is `sp`, or the end of the thread (null): closes the window it leaves.
// `restores_mask`: the mask is as before the window opened; else as the handler had it.
void signal_window_leave(const void* sp, bool restores_mask);

// Bits of Coroutine::handlers_ran: whether a call that was interrupted goes on is known by the time its signals are delivered, and that
// may be before it asks.
constexpr uint8_t kHandlerRan = 1;            // without SA_RESTART
constexpr uint8_t kRestartingHandlerRan = 2;  // with it

// Was it the runtime's own code, or code under a lock of it, that the signal interrupted?
bool inside_weft(const void* context);

// Runs what is pending and not blocked. The coroutine's own thread, outside the runtime.
void deliver_signals_now();
// As that, from the handler of a kick, if what it interrupted is the program's own code; also acts on an asynchronous
// cancellation.
void deliver_in_interrupted_code(void* context);
// Makes the carrier of a running coroutine do so.
void signal_kick(Coroutine* target);

// Sends a signal as pthread_kill or pthread_sigqueue do: 0 or EAGAIN. Any thread; also from a signal handler.
int signal_post(Coroutine* target, int signal, const siginfo_t& info);
siginfo_t signal_info_of_sender(int signal, int code);

// Drops what a timer has queued.
void signal_drop_timer(Coroutine* target, int timer);

// Takes the first queued signal of `set`; 0 if there is none.
int signal_take(Coroutine* self, uint64_t set, siginfo_t* info);

// The coroutine becomes a kernel thread (pin_current): the kernel has its mask and its queue from here on.
void signals_pin(Coroutine* self);
// The thread is about to end: what came for it so far is delivered. A signal of the process that was sent before something that it has
// seen is one it would have taken natively, even if the relay has not come to it yet.
void signals_leave(Coroutine* self);
// The thread is over: drops what is queued.
void signals_end(Coroutine* self);

// The running coroutine's mask changes; SIGKILL, SIGSTOP and glibc's own are never in it.
void set_signal_mask(Coroutine* self, uint64_t mask);

// The relay. What main blocks, of all signals; and what the relay waits for: of these, what some coroutine may have
// unblocked.
extern std::atomic<uint64_t> main_signal_mask;
extern std::atomic<uint64_t> relayed_signals;
Coroutine* coroutine_with_open(uint64_t bit);  // one that takes such a signal, or null. No lock; also from a handler
void relay_also(uint64_t set);
unsigned relay_threads();  // 1 if there is one
bool relay_begin();        // makes it, if there is none. False: it cannot be made
int relay_tid();           // its kernel thread's number
// Queues for a coroutine that the relay passes by what is pending for the process and not blocked by it, and waits until the relay has
// queued what it chose it for.
void relay_settle(Coroutine* self);
// A coroutine is being made with this mask, or has changed to it.
inline void signal_mask_in_use(uint64_t mask) {
  uint64_t wanted = main_signal_mask.load(std::memory_order_relaxed) & ~mask;
  if (wanted & ~relayed_signals.load()) [[unlikely]]
    relay_also(wanted);
}
// A guest has changed its mask, or the runtime begins: if it is main, the relay may be needed.
void guest_signal_mask_changed();

// The monitor: kicks coroutines that run on with signals to deliver.
void signals_rescue();
void signals_reset();  // fork child

enum class Disposition {
  ignored,             // dropped: SIG_IGN, or the default action is to do nothing
  handled,             // a handler of the program's, whose calls end with EINTR
  handled_restarting,  // one with SA_RESTART
  fatal,               // the default action ends or stops the process
};
Disposition disposition_of(int signal);

}  // namespace weft
