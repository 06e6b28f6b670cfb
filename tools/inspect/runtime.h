// SPDX-License-Identifier: Apache-2.0
// What the target's weft says of itself: its descriptor, found through the ELF note, and what the tables it describes hold.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sched/descriptor.h"
#include "target.h"

namespace weft::inspect {

// Fields of a slot, a worker or a carrier by their ids; what the target does not have reads as 0.
class FieldTable {
 public:
  void add(const DescriptorField& field);
  bool has(FieldId id) const { return of(id).size != 0; }
  uint64_t get(const char* record, FieldId id) const;
  std::string text(const char* record, FieldId id) const;
  uint32_t offset(FieldId id) const { return of(id).offset; }

 private:
  static constexpr size_t kIds = 1024;
  const DescriptorField& of(FieldId id) const { return field_[(size_t)id % kIds]; }
  DescriptorField field_[kIds] = {};
};

struct Coroutine {
  uint32_t slot = 0;
  uint64_t address = 0;  // of the slot; carriers and joins name it so
  uint32_t sequence = 0;
  uint32_t id = 0;
  uint32_t generation = 0;
  State state = State::free;
  WaitKind wait_kind = WaitKind::none;
  bool pinned = false;
  PinReason pin_reason = PinReason::none;
  int wait_fd = -1;
  uint64_t wait_object = 0;
  std::vector<int> wait_fds;  // of poll, the first kMaxPollShown
  uint32_t wait_count = 0;
  int owner_tid = 0;  // of the lock that it waits for, as the lock holds it; 0: of none
  std::optional<uint64_t> since, deadline;
  uint64_t carrier = 0, worker = 0;
  int carrier_tid = 0;  // 0: none
  int worker_index = -1;
  uint64_t stack_low = 0, stack_size = 0, guard_size = 0;
  uint64_t sp = 0, fs = 0, tcb = 0;
  int tid = 0;
  uint64_t start = 0, argument = 0, creation_pc = 0;
  uint32_t creator = 0;
  uint64_t born = 0, run_time = 0, longest_run = 0;
  std::string name;
  bool detached = false;
  uint32_t region_depth = 0;
  uint64_t stack_reached = 0;   // as the runtime has noted it; 0: not
  bool supplied_stack = false;  // the program's own

  static constexpr uint32_t kMaxPollShown = 16;

  uint64_t switches() const { return ((uint64_t)sequence + 1) / 2; }
  bool is_used() const { return state != State::free; }
  bool on_stack() const { return is_used() && state != State::finished; }  // it has a stack worth unwinding
  bool runs() const { return (sequence & 1) != 0; }                        // its registers are a kernel thread's
  uint64_t stack_high() const { return stack_low + stack_size; }
};

struct Worker {
  unsigned index = 0;
  uint64_t address = 0, carrier = 0;
  int carrier_tid = 0;
  uint64_t running = 0;  // address of a slot, 0: none
  uint64_t switches = 0;
  uint32_t length = 0;
  bool sleeping = false;
  int epoll_fd = -1;
};

struct Mailbox {
  uint64_t address = 0;
  std::string name;
  uint64_t length = 0, capacity = 0, highest = 0;
  uint64_t received = 0, refused = 0, waits = 0;
  std::optional<uint64_t> full_since;
  bool closed = false;
};

struct Counter {
  std::string name, text;
  uint64_t value = 0;
};

class Runtime {
 public:
  // Throws Failure: kNotWeft, kVersion, kPermission.
  static Runtime find(Target& target);

  Target& target() const { return *target_; }
  const DescriptorHeader& header() const { return header_; }
  const Module& module() const { return *module_; }
  bool is_active() const;  // has made coroutines, and not ended
  uint32_t slots() const;
  uint64_t clock() const;  // when the runtime looked last

  // The records of all slots, `slot_size` bytes each. Slots are stable memory: an index means the same slot for ever.
  struct Table {
    std::vector<char> bytes;
    uint32_t slot_size = 0;
    uint32_t count = 0;
    std::vector<uint64_t> address;  // of each slot
    const char* record(uint32_t slot) const { return bytes.data() + (size_t)slot * slot_size; }
  };
  Table read_slots() const;
  // A slot's record again; false: unreadable.
  bool read_slot(const Table& table, uint32_t slot, char* record) const;
  // Without what takes another look into memory: tids of carriers, descriptors of a poll, owners of locks. See complete().
  Coroutine decode(const Table& table, uint32_t slot) const;
  void complete(std::span<Coroutine> coroutines) const;
  // Where the lock that it waits for has its owner's tid.
  static std::optional<uint64_t> owner_address(const Coroutine& coroutine);

  std::vector<Worker> workers() const;
  std::vector<Counter> counters() const;
  // Of a live process as far as they are there all the while: nobody is kept from destroying one.
  std::vector<Mailbox> mailboxes() const;
  int monitor_tid() const;
  const FieldTable& slot_fields() const { return slot_; }

  bool in_trampoline(uint64_t pc) const;
  // libweft.so's own frames, which are hidden unless all are asked for.
  bool is_own(uint64_t pc) const { return module_->contains(pc); }
  // Where a coroutine that does not run goes on: inside of weft_switch, whose own unwind rules say where it has saved the rest.
  Registers switched_out(const Coroutine& coroutine) const;
  uint64_t sequence_address(const Coroutine& coroutine) const {
    return coroutine.address + slot_.offset(FieldId::sequence);
  }

 private:
  Target* target_ = nullptr;
  const Module* module_ = nullptr;
  uint64_t address_ = 0;
  DescriptorHeader header_{};
  FieldTable slot_, worker_, carrier_, mailbox_;
};

const char* name_of(State state);
const char* name_of(WaitKind kind);
const char* name_of(PinReason reason);

}  // namespace weft::inspect
