// SPDX-License-Identifier: Apache-2.0
// What a process under weft tells of itself to those who look from outside: the layout of its coroutines, workers and counters, for a
// live process, a core file or a snapshot. Everything else of weft may change without the inspector noticing; this may only grow.
//
//   note        ELF note of libweft.so: name "WEFT", type kNoteType, an int64_t: the distance from itself to the header. Found through the
//               program headers, so it survives strip
//   header      where everything is, as addresses in the process
//   slot        one coroutine, used or free. Slots lie in chunks that are never unmapped or moved; ids are never reused, a slot's
//               generation counts those who had it
//   field       a value of a slot, a worker or a carrier by its id, offset and size: those that a reader does not know it leaves be, those
//               that are missing it does without
//   sequence    of a slot: odd while the coroutine runs. Read it, then the slot and the stack from `sp` up, then it again: if it is even
//               and the same, they belong together. Half of it, rounded up, is how often the coroutine was switched to
//
// The stack pointer of a slot whose sequence is even is that of the frame which weft_switch has saved: the registers lie at `registers`,
// and an unwinder goes on from `switched_out` with them.
//
// Major: 1. A change that an older reader would misread raises it; new fields, kinds and states at the end raise the minor one.
#pragma once

#include <cstdint>

namespace weft {

constexpr char kNoteName[] = "WEFT";
constexpr uint32_t kNoteType = 1;
constexpr char kDescriptorMagic[8] = {'w', 'e', 'f', 't', 'i', 'n', 's', 'p'};
constexpr uint16_t kDescriptorMajor = 1;
constexpr uint16_t kDescriptorMinor = 1;

enum class State : uint8_t {
  free,      // in the pool or never used
  ready,     // in a run queue, an inbox, or about to be put there
  running,   // on a carrier
  parked,    // in no run queue; a waker will make it ready
  blocked,   // in the kernel on its carrier, whose worker went on
  finished,  // its end is reached; kept until it is joined
};

// What a coroutine waits for; the inspector's word and the rescuer's criterion.
enum class WaitKind : uint8_t {
  none,
  fd_read,
  fd_write,
  poll,
  lock,
  condition,
  sleep,
  join,
  futex,
  semaphore,
  barrier,
  once,
  region,
  signal,
  file,
  rwlock_read,
  rwlock_write,
  // of weft/co.h
  suspend,
  co_lock,  // a co_mutex_t
  co_rwlock_read,
  co_rwlock_write,
  group,  // a co_wait_group_t
  scope,  // its children
  channel_send,
  channel_receive,
  select,
  mailbox_send,
  mailbox_receive,
};

// Waits whose object is the number wait_fd.
constexpr bool waits_on_descriptor(WaitKind kind) {
  return kind == WaitKind::fd_read || kind == WaitKind::fd_write || kind == WaitKind::poll || kind == WaitKind::file;
}

// Why a coroutine has a kernel thread of its own for good.
enum class PinReason : uint8_t {
  none,
  asked_for,     // WEFT_NATIVE_THREADS names it
  epoll_loop,    // it waits in epoll_wait
  signal_wait,   // sigwait, signalfd and their kin
  kernel_state,  // affinity, scheduling, credentials, namespaces, … of its kernel thread
  shared_lock,   // a lock that other processes or the kernel take part in
  futex,         // a raw futex operation of the kernel's own queue
  tracing,       // ptrace
  cpu_clock,     // a timer or clock of its own CPU time
  process,       // it has made a process that shares its memory
  no_memory,     // no room for the timer of a wait, which it waited for itself
};

enum class FieldId : uint16_t {
  // of a slot
  sequence = 1,
  sp,
  fs,
  id,
  generation,
  state,
  wait_kind,
  pinned,  // bool
  pin_reason,
  wait_fd,      // of wait kinds that have one; of poll the first
  wait_object,  // address: of a lock, a condition variable, …; of join the slot waited for
  wait_list,  // of poll: address of the first of `wait_count` entries, each `poll_wait_size` bytes, an int32_t descriptor at
              // `poll_wait_fd`
  wait_count,
  since,     // nanoseconds of CLOCK_MONOTONIC when it was parked, coarse; all ones: not known
  deadline,  // the same clock; valid where `has_deadline` is not 0
  has_deadline,
  carrier,  // address, of a running, blocked or pinned one
  worker,   // address, where it ran last
  stack_low,
  stack_size,
  guard_size,
  tcb,    // its pthread_t
  tid,    // its gettid()
  start,  // start routine
  argument,
  creation_pc,  // return address of the call that made it
  creator,      // id, 0: a kernel thread of the program
  born,         // CLOCK_MONOTONIC, coarse
  run_time,     // nanoseconds, sampled by the monitor
  longest_run,  // nanoseconds without a switch, sampled
  name,         // char[16]
  ending,       // bit 0: detached
  region_depth,
  // from 1.1 on
  stack_reached,   // most bytes of the stack that were in use when the runtime gave some back; 0: it has given none
  supplied_stack,  // address of a stack that the program gave, 0: none

  // of a worker
  worker_index = 256,
  worker_switches,
  worker_length,    // of its queue
  worker_sleeping,  // 0 or not
  worker_carrier,   // address
  worker_counters,  // uint64_t[counters]
  worker_epoll_fd,

  // of a carrier
  carrier_tid = 512,
  carrier_running,  // of a slot

  // of a mailbox; from 1.1 on
  mailbox_next = 768,  // address of the next one, 0: it is the last
  mailbox_name,        // char[16]
  mailbox_length,      // messages
  mailbox_capacity,
  mailbox_highest,  // most messages that there were
  mailbox_received,
  mailbox_refused,     // sends that did not wait and found it full
  mailbox_waits,       // sends that had to wait
  mailbox_full_since,  // nanoseconds of CLOCK_MONOTONIC; 0: it is not full
  mailbox_closed,      // bool
};

using Address = const volatile void*;  // in the process that is looked at; a reader never follows it itself

struct DescriptorField {
  uint16_t id;      // FieldId
  uint16_t size;    // bytes
  uint32_t offset;  // from the beginning of the slot, worker or carrier
};

struct SavedRegister {
  uint16_t dwarf;   // its number in DWARF
  uint16_t offset;  // of 8 bytes, from sp; the value of rsp itself is sp + frame_size
};

struct CounterName {
  char name[32];
  char text[160];
};

enum class TraceEvent : uint16_t {
  none,
  run,           // a worker has switched to it; who ran there before and has no `park` since is ready
  park,          // it waits; object and detail: what wait_object (or the descriptor) and wait_kind are
  ready,         // it was made ready
  region_enter,  // a call made for real
  region_leave,
  pin,       // detail: PinReason
  begin,     // made; object: start routine
  finish,    // it has ended
  hand_off,  // the worker was taken from a stuck carrier; no coroutine
  sleep,     // the worker waits in its poller; no coroutine
  wake,      // and goes on
};

struct TraceEntry {
  uint64_t time;  // CLOCK_MONOTONIC
  uint64_t object;
  uint32_t coroutine;  // id
  uint32_t number;     // low half of its place in the order, plus one
  uint16_t event;      // TraceEvent
  uint16_t detail;
  uint32_t unused;
};

struct TraceRing {
  TraceEntry* entries;  // kTraceEntries of them; null: not there
  uint64_t next;        // number of the entry that is written next
};

constexpr uint64_t kTraceEntries = 1 << 16;
constexpr unsigned kMaxSavedRegisters = 16;

struct DescriptorHeader {
  char magic[8];
  uint16_t major;
  uint16_t minor;
  uint32_t size;  // of this header

  Address active;  // of a uint32_t: not 0 while the runtime runs
  Address clock;   // of a uint64_t: CLOCK_MONOTONIC when the runtime looked last

  Address chunks;  // of a table of addresses, `max_chunks` long; 0: not there yet
  Address slots;   // of a uint32_t: slots there are, stored after the chunk that has the last
  uint32_t max_chunks;
  uint32_t slots_per_chunk;
  uint32_t slot_size;
  uint32_t slot_fields;
  Address slot_field;  // so many DescriptorField

  Address workers;       // the first
  Address worker_count;  // of a uint32_t
  uint32_t worker_size;
  uint32_t worker_fields;
  Address worker_field;

  uint32_t carrier_fields;
  uint32_t counters;
  Address carrier_field;
  Address counter_name;     // so many CounterName
  Address shared_counters;  // so many uint64_t, to which those of all workers are added

  Address switched_out;  // pc for the first frame of a parked coroutine
  Address trampoline;    // the first function of every coroutine's stack
  Address trampoline_end;
  uint32_t frame_size;
  uint32_t registers;
  SavedRegister saved[kMaxSavedRegisters];

  uint32_t poll_wait_size;
  uint32_t poll_wait_fd;
  uint32_t trace_entries;  // of a ring
  uint32_t trace_entry_size;
  Address trace_wanted;  // of a uint64_t that the inspector may write: CLOCK_MONOTONIC until which it wants events
  Address tracing;       // of a uint32_t
  Address trace_rings;   // TraceRing: that of those who are no worker, then one for each worker
  Address monitor_tid;   // of a uint32_t, 0: none

  // from 1.1 on
  Address mailboxes;  // of the address of the first one of weft/co.h, 0: there is none
  Address mailbox_field;
  uint32_t mailbox_fields;
  uint32_t mailbox_size;
};

}  // namespace weft
