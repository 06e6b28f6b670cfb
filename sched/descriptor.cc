// SPDX-License-Identifier: Apache-2.0
// The descriptor of this process: descriptor.h filled in, and the note that leads to it. Made by the linker: a process that crashes
// before the runtime has begun has it too.
#include "sched/descriptor.h"

#include <cstddef>

#include "sched/api/mailbox.h"
#include "sched/clock.h"
#include "sched/coroutine.h"
#include "sched/inspected.h"
#include "sched/metrics.h"
#include "sched/trace.h"
#include "sched/worker.h"

extern "C" {
extern const weft::DescriptorHeader weft_descriptor;
extern char weft_context_entry_end[];
// As data: a function's address is not a constant that an initialiser may convert.
extern char switched_out_code[] asm("weft_switched_out");
extern char context_entry_code[] asm("weft_context_entry");
}

namespace weft {

namespace {

template <class T>
constexpr DescriptorField field(FieldId id, size_t offset) {
  return {(uint16_t)id, (uint16_t)sizeof(T), (uint32_t)offset};
}
#define WEFT_FIELD(id, type, member) field<decltype(type::member)>(FieldId::id, offsetof(type, member))

constexpr DescriptorField kSlot[] = {
    field<uint32_t>(FieldId::sequence, offsetof(Coroutine, context) + offsetof(Context, sequence)),
    field<void*>(FieldId::sp, offsetof(Coroutine, context) + offsetof(Context, sp)),
    field<void*>(FieldId::fs, offsetof(Coroutine, context) + offsetof(Context, fs)),
    WEFT_FIELD(id, Coroutine, id),
    WEFT_FIELD(generation, Coroutine, generation),
    WEFT_FIELD(state, Coroutine, state),
    WEFT_FIELD(wait_kind, Coroutine, wait_kind),
    WEFT_FIELD(pinned, Coroutine, pinned),
    WEFT_FIELD(pin_reason, Coroutine, pin_reason),
    WEFT_FIELD(wait_fd, Coroutine, wait_fd),
    WEFT_FIELD(wait_object, Coroutine, wait_object),
    WEFT_FIELD(wait_list, Coroutine, wait_list),
    WEFT_FIELD(wait_count, Coroutine, wait_count),
    WEFT_FIELD(since, Coroutine, since),
    field<uint64_t>(FieldId::deadline, offsetof(Coroutine, timer) + offsetof(Timer, deadline)),
    field<void*>(FieldId::has_deadline, offsetof(Coroutine, timer) + offsetof(Timer, heap)),
    WEFT_FIELD(carrier, Coroutine, carrier),
    WEFT_FIELD(worker, Coroutine, worker),
    WEFT_FIELD(stack_low, Coroutine, stack_low),
    WEFT_FIELD(stack_size, Coroutine, stack_size),
    WEFT_FIELD(guard_size, Coroutine, guard_size),
    WEFT_FIELD(tcb, Coroutine, tcb),
    WEFT_FIELD(tid, Coroutine, tid),
    WEFT_FIELD(start, Coroutine, start),
    WEFT_FIELD(argument, Coroutine, argument),
    WEFT_FIELD(creation_pc, Coroutine, creation_pc),
    WEFT_FIELD(creator, Coroutine, creator),
    WEFT_FIELD(born, Coroutine, born),
    WEFT_FIELD(run_time, Coroutine, run_time),
    WEFT_FIELD(longest_run, Coroutine, longest_run),
    WEFT_FIELD(name, Coroutine, name),
    WEFT_FIELD(ending, Coroutine, ending),
    WEFT_FIELD(region_depth, Coroutine, region_depth),
    WEFT_FIELD(stack_reached, Coroutine, stack_reached),
    WEFT_FIELD(supplied_stack, Coroutine, supplied_stack),
};

constexpr DescriptorField kWorker[] = {
    WEFT_FIELD(worker_index, Worker, index),       WEFT_FIELD(worker_switches, Worker, switches),
    WEFT_FIELD(worker_length, Worker, length),     WEFT_FIELD(worker_sleeping, Worker, sleeping),
    WEFT_FIELD(worker_carrier, Worker, carrier),   WEFT_FIELD(worker_counters, Worker, metrics),
    WEFT_FIELD(worker_epoll_fd, Worker, epoll_fd),
};

constexpr DescriptorField kCarrier[] = {
    WEFT_FIELD(carrier_tid, Carrier, tid),
    WEFT_FIELD(carrier_running, Carrier, running),
};

#define WEFT_SAVED(dwarf, member) {dwarf, offsetof(Frame, member)},
constexpr SavedRegister kSaved[] = {WEFT_SAVED_REGISTERS(WEFT_SAVED)};

constexpr DescriptorField kMailbox[] = {
    WEFT_FIELD(mailbox_next, co_mailbox, next),
    WEFT_FIELD(mailbox_name, co_mailbox, name),
    WEFT_FIELD(mailbox_length, co_mailbox, length),
    WEFT_FIELD(mailbox_capacity, co_mailbox, capacity),
    WEFT_FIELD(mailbox_highest, co_mailbox, highest),
    WEFT_FIELD(mailbox_received, co_mailbox, received),
    WEFT_FIELD(mailbox_refused, co_mailbox, refused),
    WEFT_FIELD(mailbox_waits, co_mailbox, waits),
    WEFT_FIELD(mailbox_full_since, co_mailbox, full_since),
    WEFT_FIELD(mailbox_closed, co_mailbox, closed),
};

template <class T, size_t N>
constexpr uint32_t length_of(const T (&)[N]) {
  return N;
}

}  // namespace
}  // namespace weft

using namespace weft;

// Read-write until it has been relocated: so a core file holds it.
[[gnu::used]] constinit const DescriptorHeader weft_descriptor = {
    .magic = {'w', 'e', 'f', 't', 'i', 'n', 's', 'p'},
    .major = kDescriptorMajor,
    .minor = kDescriptorMinor,
    .size = sizeof(DescriptorHeader),
    .active = &runtime_active,
    .clock = &coarse_now,
    .chunks = chunks,
    .slots = &slots,
    .max_chunks = kMaxChunks,
    .slots_per_chunk = kChunk,
    .slot_size = sizeof(Coroutine),
    .slot_fields = length_of(kSlot),
    .slot_field = kSlot,
    .workers = worker_memory,
    .worker_count = &workers_used,
    .worker_size = sizeof(Worker),
    .worker_fields = length_of(kWorker),
    .worker_field = kWorker,
    .carrier_fields = length_of(kCarrier),
    .counters = (uint32_t)Metric::kCount,
    .carrier_field = kCarrier,
    .counter_name = counter_names,
    .shared_counters = shared_counters,
    .switched_out = switched_out_code,
    .trampoline = context_entry_code,
    .trampoline_end = weft_context_entry_end,
    .frame_size = WEFT_FRAME_SIZE,
    .registers = length_of(kSaved),
    .saved = {WEFT_SAVED_REGISTERS(WEFT_SAVED)},
    .poll_wait_size = sizeof(PollWait),
    .poll_wait_fd = offsetof(PollWait, fd),
    .trace_entries = kTraceEntries,
    .trace_entry_size = sizeof(TraceEntry),
    .trace_wanted = &trace_wanted,
    .tracing = &tracing,
    .trace_rings = trace_rings,
    .monitor_tid = &monitor_tid,
    .mailboxes = &mailboxes,
    .mailbox_field = kMailbox,
    .mailbox_fields = length_of(kMailbox),
    .mailbox_size = sizeof(co_mailbox),
};

asm(R"(
  .pushsection .note.weft, "a", @note
  .p2align 2
  .long 5, 8, 1
  .asciz "WEFT"
  .p2align 2
  .quad weft_descriptor - .
  .popsection
)");
