// SPDX-License-Identifier: Apache-2.0
// What weft leaves in the memory of a process, in 8 KiB: an ELF file that is never run, with the note, the descriptor and everything that
// it leads to, the functions that its stacks go through, and their unwind rules. seeds.py makes the seeds of all fuzzers from it.
//
// Linked to a fixed place and into one segment, so that its addresses are those in memory and its bytes those of the file.
#include <cstddef>
#include <cstdint>

#include "sched/descriptor.h"

using weft::Address;
using weft::FieldId;
using weft::State;
using weft::WaitKind;

// As unwinders meet them: a fixed frame, a frame pointer, rules that are expressions, and a signal's frame. Those of `expression`: its CFA
// is what lies 16 above the stack pointer, as in functions that align their stack; r12 is where an expression says, and r13 is the value of
// one.
asm(R"(
	.text
	.globl	switched_out, in_fixed, in_pointer, in_expression, in_signal, trampoline, trampoline_end
	.type	weft_switch, @function
weft_switch:
	.cfi_startproc
	.cfi_def_cfa_offset 64
	.cfi_offset rbp, -16
	.cfi_offset rbx, -24
	.cfi_offset r12, -32
	.cfi_offset r13, -40
	.cfi_offset r14, -48
	.cfi_offset r15, -56
	nop
switched_out:
	nop
	.cfi_remember_state
	addq	$56, %rsp
	.cfi_def_cfa_offset 8
	.cfi_restore rbp
	ret
	.cfi_restore_state
	nop
	ret
	.cfi_endproc
	.size	weft_switch, . - weft_switch

	.type	fixed, @function
fixed:
	.cfi_startproc
	subq	$24, %rsp
	.cfi_def_cfa_offset 32
	call	weft_switch
in_fixed:
	addq	$24, %rsp
	.cfi_def_cfa_offset 8
	ret
	.cfi_endproc
	.size	fixed, . - fixed

	.type	pointer, @function
pointer:
	.cfi_startproc
	pushq	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset rbp, -16
	movq	%rsp, %rbp
	.cfi_def_cfa_register rbp
	call	fixed
in_pointer:
	popq	%rbp
	.cfi_def_cfa rsp, 8
	ret
	.cfi_endproc
	.size	pointer, . - pointer

	.type	expression, @function
expression:
	.cfi_startproc
	nop
	.cfi_escape 0x0f, 3, 0x77, 16, 0x06
	.cfi_escape 0x10, 12, 2, 0x77, 8
	.cfi_escape 0x16, 13, 9, 0x77, 0, 0x31, 0x22, 0x31, 0x1c, 0x12, 0x13, 0x96
	call	pointer
in_expression:
	ret
	.cfi_endproc
	.size	expression, . - expression

	.type	signal_return, @function
signal_return:
	.cfi_startproc simple
	.cfi_signal_frame
	.cfi_def_cfa rsp, 160
	.cfi_offset rip, 8
	.cfi_offset rsp, 0
	nop
in_signal:
	movq	$15, %rax
	syscall
	.cfi_endproc
	.size	signal_return, . - signal_return

	.type	trampoline, @function
trampoline:
	.cfi_startproc
	.cfi_undefined rip
	nop
	call	expression
	ud2
	.cfi_endproc
	.size	trampoline, . - trampoline
trampoline_end:
	nop
)");

extern "C" const char switched_out[], in_fixed[], in_pointer[], in_expression[], in_signal[], trampoline[],
    trampoline_end[];

namespace {

struct Slot {
  uint32_t sequence, id, generation;
  State state;
  WaitKind wait_kind;
  uint8_t pinned, pin_reason;
  int32_t wait_fd;
  uint32_t wait_count;
  Address wait_object, wait_list;
  uint64_t since, deadline;
  uint8_t has_deadline, ending;
  uint16_t region_depth;
  uint32_t creator;
  Address carrier, worker, stack_low;
  uint64_t stack_size, guard_size;
  Address sp, fs, tcb, start, argument, creation_pc;
  uint64_t born, run_time, longest_run;
  int32_t tid;
  char name[16];
};

struct Worker {
  uint32_t index, sleeping;
  uint64_t switches;
  Address carrier;
  uint32_t length;
  int32_t epoll_fd;
  uint64_t counters[2];
};

struct Carrier {
  int32_t tid;
  uint32_t unused;
  Address running;
};

struct PollWait {
  int32_t fd;
  uint32_t events;
};

// Through all functions above. The place of the return address from `expression` is what its CFA says.
struct Stack {
  uint64_t control, r15, r14, r13, r12, rbx;
  Address rbp, from_switch;
  uint64_t room[3];
  Address from_fixed, saved_rbp, from_pointer;
  uint64_t saved_r12[2];
  Address cfa;
  uint64_t more[2];
  Address from_expression, end;
};

extern const Slot chunk_0[4], chunk_1[4];
extern const Carrier carriers[2];
extern const Worker workers[2];

constexpr uint64_t kNow = 5'000'000'000;
constexpr int kTid = 1000;

#define STACK(n)                                                                                          \
  {                                                                                                       \
    .rbp = &stacks[n].saved_rbp, .from_switch = in_fixed, .from_fixed = in_pointer, .saved_rbp = nullptr, \
    .from_pointer = in_expression, .cfa = &stacks[n].end, .from_expression = trampoline, .end = nullptr   \
  }
extern const Stack stacks[6];
constexpr Stack stacks[6] = {STACK(0), STACK(1), STACK(2), STACK(3), STACK(4), STACK(5)};

constexpr PollWait poll_list[] = {{3, 1}, {4, 4}};
// Each a pthread_mutex_t, a pthread_rwlock_t: owner's tid at 8, writer's at 24.
constexpr int32_t locks[2][10] = {{2, 0, kTid + 3, 1}, {2, 0, kTid + 2, 1}};
constexpr int32_t rwlock[14] = {0, 0, 0, 0, 0, 0, kTid + 5};

#define ON_STACK(n)                                                                            \
  .stack_low = &stacks[n], .stack_size = sizeof(Stack), .sp = &stacks[n], .start = trampoline, \
  .creation_pc = in_pointer, .born = 1'000'000'000

constexpr Slot chunk_0[4] = {
    {.sequence = 2,
     .id = 1,
     .state = State::parked,
     .wait_kind = WaitKind::fd_read,
     .wait_fd = 3,
     .since = 4'000'000'000,
     .worker = &workers[0],
     ON_STACK(0),
     .tid = kTid + 1,
     .name = "reader"},
    {.sequence = 4,
     .id = 2,
     .generation = 1,
     .state = State::parked,
     .wait_kind = WaitKind::lock,
     .wait_object = locks[0],
     .since = 2'000'000'000,
     .worker = &workers[1],
     ON_STACK(1),
     .tid = kTid + 2,
     .name = "first"},
    {.sequence = 4,
     .id = 3,
     .state = State::parked,
     .wait_kind = WaitKind::lock,
     .wait_object = locks[1],
     .since = 2'000'000'000,
     .creator = 1,
     .worker = &workers[1],
     ON_STACK(2),
     .tid = kTid + 3,
     .name = "second"},
    {.sequence = 6,
     .id = 4,
     .state = State::parked,
     .wait_kind = WaitKind::poll,
     .wait_fd = 3,
     .wait_count = 2,
     .wait_list = poll_list,
     .deadline = 6'000'000'000,
     .has_deadline = 1,
     .worker = &workers[0],
     ON_STACK(3),
     .tid = kTid + 4},
};
constexpr Slot chunk_1[4] = {
    {.sequence = 7,
     .id = 5,
     .state = State::running,
     .carrier = &carriers[0],
     .worker = &workers[0],
     ON_STACK(4),
     .run_time = 1'000'000,
     .longest_run = 500'000,
     .tid = kTid + 5,
     .name = "computes"},
    {.sequence = 8,
     .id = 6,
     .state = State::blocked,
     .wait_kind = WaitKind::region,
     .pinned = 1,
     .pin_reason = 4,
     .since = 3'000'000'000,
     .region_depth = 1,
     .carrier = &carriers[1],
     ON_STACK(5),
     .tid = kTid + 6},
    {.sequence = 2,
     .id = 7,
     .state = State::parked,
     .wait_kind = WaitKind::join,
     .wait_object = &chunk_0[1],
     .since = 3'000'000'000,
     .tid = kTid + 7},
    {.sequence = 10,
     .id = 8,
     .state = State::parked,
     .wait_kind = WaitKind::rwlock_read,
     .wait_object = rwlock,
     .ending = 1,
     .tid = kTid + 8},
};
constexpr Address chunks[2] = {chunk_0, chunk_1};
constexpr Carrier carriers[2] = {{kTid + 20, 0, &chunk_1[0]}, {kTid + 21, 0, &chunk_1[1]}};
constexpr Worker workers[2] = {{0, 0, 12, &carriers[0], 1, 5, {3, 4}}, {1, 1, 8, nullptr, 0, 6, {1, 2}}};
constexpr weft::CounterName counter_names[2] = {{"switches", "how often"}, {"coroutines", "how many were made"}};
constexpr uint64_t shared_counters[2] = {1, 8};
constexpr uint32_t active = 1, slots = 8, worker_count = 2, tracing = 0, monitor_tid = kTid + 30;
constexpr uint64_t trace_wanted = 0, now = kNow;

#define SLOT(field) \
  { (uint16_t) FieldId::field, sizeof(Slot::field), offsetof(Slot, field) }
#define WORKER(id, field) \
  { (uint16_t) FieldId::worker_##id, sizeof(Worker::field), offsetof(Worker, field) }
constexpr weft::DescriptorField slot_fields[] = {
    SLOT(sequence),   SLOT(sp),          SLOT(fs),          SLOT(id),           SLOT(generation),  SLOT(state),
    SLOT(wait_kind),  SLOT(pinned),      SLOT(pin_reason),  SLOT(wait_fd),      SLOT(wait_object), SLOT(wait_list),
    SLOT(wait_count), SLOT(since),       SLOT(deadline),    SLOT(has_deadline), SLOT(carrier),     SLOT(worker),
    SLOT(stack_low),  SLOT(stack_size),  SLOT(guard_size),  SLOT(tcb),          SLOT(tid),         SLOT(start),
    SLOT(argument),   SLOT(creation_pc), SLOT(creator),     SLOT(born),         SLOT(run_time),    SLOT(longest_run),
    SLOT(name),       SLOT(ending),      SLOT(region_depth)};
constexpr weft::DescriptorField worker_fields[] = {
    WORKER(index, index),     WORKER(switches, switches), WORKER(length, length),    WORKER(sleeping, sleeping),
    WORKER(carrier, carrier), WORKER(counters, counters), WORKER(epoll_fd, epoll_fd)};
constexpr weft::DescriptorField carrier_fields[] = {
    {(uint16_t)FieldId::carrier_tid, sizeof(Carrier::tid), offsetof(Carrier, tid)},
    {(uint16_t)FieldId::carrier_running, sizeof(Carrier::running), offsetof(Carrier, running)}};

}  // namespace

extern "C" constexpr weft::DescriptorHeader descriptor = {
    .magic = {'w', 'e', 'f', 't', 'i', 'n', 's', 'p'},
    .major = weft::kDescriptorMajor,
    .minor = weft::kDescriptorMinor,
    .size = sizeof(weft::DescriptorHeader),
    .active = &active,
    .clock = &now,
    .chunks = chunks,
    .slots = &slots,
    .max_chunks = 2,
    .slots_per_chunk = 4,
    .slot_size = sizeof(Slot),
    .slot_fields = sizeof slot_fields / sizeof slot_fields[0],
    .slot_field = slot_fields,
    .workers = workers,
    .worker_count = &worker_count,
    .worker_size = sizeof(Worker),
    .worker_fields = sizeof worker_fields / sizeof worker_fields[0],
    .worker_field = worker_fields,
    .carrier_fields = sizeof carrier_fields / sizeof carrier_fields[0],
    .counters = 2,
    .carrier_field = carrier_fields,
    .counter_name = counter_names,
    .shared_counters = shared_counters,
    .switched_out = switched_out,
    .trampoline = trampoline,
    .trampoline_end = trampoline_end,
    .frame_size = 64,
    .registers = 7,
    .saved = {{6, 48}, {3, 40}, {12, 32}, {13, 24}, {14, 16}, {15, 8}, {16, 56}},
    .poll_wait_size = sizeof(PollWait),
    .poll_wait_fd = offsetof(PollWait, fd),
    .trace_entries = 0,
    .trace_entry_size = sizeof(weft::TraceEntry),
    .trace_wanted = &trace_wanted,
    .tracing = &tracing,
    .trace_rings = nullptr,
    .monitor_tid = &monitor_tid,
};

asm(R"(
	.section .note.weft, "a", @note
	.p2align 2
	.long	5, 8, 1
	.asciz	"WEFT"
	.p2align 2
0:	.quad	descriptor - 0b
)");
