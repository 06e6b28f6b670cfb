// SPDX-License-Identifier: Apache-2.0
// Copies of stacks: the many that hold still in batches, the few that moved one by one, the running ones through their kernel threads.
#include "stacks.h"

#include <time.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "monotonic_clock.h"

namespace weft::inspect {

namespace {

// What is worth copying above a stack pointer: to the thread's control block at the end of the stack, 0 if it is no stack of this one.
uint64_t wanted_size(const Coroutine& coroutine, uint64_t sp) {
  uint64_t high = coroutine.stack_high();
  if (coroutine.tcb > sp && coroutine.tcb < high) high = coroutine.tcb;
  if (sp < coroutine.stack_low || sp >= high) return 0;
  return std::min(high - sp, kStackLimit);
}

class Copier {
 public:
  Copier(const Runtime& runtime, const CopyOptions& options)
      : runtime_(runtime), target_(runtime.target()), options_(options), may_stop_(options.stop != Stop::none) {}

  Stacks copy() {
    if (options_.stop == Stop::all) result_.stopped = target_.stop_all();
    left_ = target_.size();
    table_ = runtime_.read_slots();
    std::vector<Coroutine> coroutines;
    for (uint32_t i = 0; i < table_.count; i++) {
      Coroutine coroutine = runtime_.decode(table_, i);
      if (coroutine.is_used()) coroutines.push_back(std::move(coroutine));
    }
    runtime_.complete(coroutines);
    result_.copies.resize(coroutines.size());
    for (size_t i = 0; i < coroutines.size(); i++) result_.copies[i].coroutine = std::move(coroutines[i]);
    if (options_.stacks) copy_stacks();
    target_.settle();
    result_.clock = target_.now().value_or(runtime_.clock());
    if (options_.threads) copy_threads();
    result_.coherent = target_.is_one_instant();
    if (options_.stop == Stop::all && !options_.stay_stopped) target_.resume_all();
    return std::move(result_);
  }

 private:
  void copy_stacks();
  void copy_batch(std::span<StackCopy* const> batch);
  bool is_blank(const StackCopy& copy) const;
  void copy_again(StackCopy& copy);
  bool copy_once(StackCopy& copy);
  void copy_running(StackCopy& copy);
  size_t own_room(uint64_t sp) const;
  void copy_threads();
  bool read_coroutine(StackCopy& copy);
  void spend(uint64_t size);
  bool stops_one_by_one() const { return options_.stop == Stop::running && target_.kind() == Target::Kind::process; }
  void take_stack(StackCopy& copy, uint64_t sp, size_t size);
  void keep_stack(StackCopy& copy);

  const Runtime& runtime_;
  Target& target_;
  const CopyOptions& options_;
  const bool may_stop_;
  Runtime::Table table_;
  Stacks result_;
  uint64_t left_ = ~uint64_t{0};  // bytes of stacks that there can still be
  std::vector<char> scratch_;
  std::set<int> looked_at_;  // tids whose stacks are coroutines'
};

void Copier::copy_stacks() {
  constexpr size_t kBatch = 512;
  std::vector<StackCopy*> still, running;
  for (StackCopy& copy : result_.copies) {
    if (!copy.coroutine.on_stack()) {
      copy.ending = Ending::none;
    } else {
      (copy.coroutine.runs() && options_.check_sequence ? running : still).push_back(&copy);
    }
  }
  for (size_t at = 0; at < still.size(); at += kBatch) {
    copy_batch(std::span(still).subspan(at, std::min(kBatch, still.size() - at)));
  }
  const uint64_t until = monotonic_now() + kRetryMilliseconds * uint64_t{1'000'000};
  for (StackCopy* copy : still) {
    if (copy->ending != Ending::moving) continue;
    result_.moved++;
    if (monotonic_now() < until) copy_again(*copy);
  }
  for (StackCopy* copy : running) copy_running(*copy);
}

void Copier::copy_batch(std::span<StackCopy* const> batch) {
  size_t total = 0;
  for (StackCopy* copy : batch) {
    copy->registers = runtime_.switched_out(copy->coroutine);
    copy->low = copy->coroutine.sp;
    copy->size = std::min(wanted_size(copy->coroutine, copy->coroutine.sp), left_);
    total += copy->size;
  }
  char* const begin = result_.store.take(total);
  char* bytes = begin;
  std::vector<ReadRequest> requests;
  for (StackCopy* copy : batch) {
    copy->bytes = bytes;
    requests.push_back({copy->low, bytes, copy->size});
    bytes += copy->size;
  }
  target_.read(requests);
  // A damaged slot may ask for much that is not there.
  bytes = begin;
  for (size_t i = 0; i < batch.size(); i++) {
    const size_t got = std::min(requests[i].got, left_);
    if (batch[i]->bytes != bytes) memmove(bytes, batch[i]->bytes, got);
    batch[i]->bytes = bytes;
    batch[i]->size = got;
    bytes += got;
    spend(got);
  }
  result_.store.give_back(total - (size_t)(bytes - begin));
  std::vector<uint32_t> sequence(batch.size());
  std::vector<ReadRequest> again;
  for (size_t i = 0; i < batch.size(); i++) {
    again.push_back({runtime_.sequence_address(batch[i]->coroutine), &sequence[i], sizeof sequence[i]});
  }
  target_.read(again);
  for (size_t i = 0; i < batch.size(); i++) {
    StackCopy& copy = *batch[i];
    if (is_blank(copy)) copy.size = 0;
    copy.ending = copy.size == 0 ? Ending::unreadable : Ending::complete;
    if (options_.check_sequence && sequence[i] != copy.coroutine.sequence) copy.ending = Ending::moving;
  }
}

// A core's maker may have left a hole where it could not read: the saved frame without a return address is none.
bool Copier::is_blank(const StackCopy& copy) const {
  constexpr uint16_t kReturnAddress = 16;
  const DescriptorHeader& header = runtime_.header();
  for (uint32_t i = 0; i < header.registers && target_.kind() != Target::Kind::process; i++) {
    uint64_t value;
    if (header.saved[i].dwarf != kReturnAddress || copy.size < header.saved[i].offset + sizeof value) continue;
    memcpy(&value, copy.bytes + header.saved[i].offset, sizeof value);
    return value == 0;
  }
  return false;
}

// The slot as it is now; false: its coroutine has ended, and the slot may be another's.
bool Copier::read_coroutine(StackCopy& copy) {
  const uint32_t slot = copy.coroutine.slot, generation = copy.coroutine.generation;
  if (!runtime_.read_slot(table_, slot, table_.bytes.data() + (size_t)slot * table_.slot_size)) return false;
  Coroutine now = runtime_.decode(table_, slot);
  if (now.generation != generation || !now.on_stack()) {
    copy.ending = Ending::none;
    copy.size = 0;
    if (now.generation == generation && now.is_used()) copy.coroutine = std::move(now);
    return false;
  }
  copy.coroutine = std::move(now);
  runtime_.complete(std::span(&copy.coroutine, 1));
  return true;
}

// No more is copied of a file than it has, whatever its slots say.
void Copier::spend(uint64_t size) {
  if (target_.kind() != Target::Kind::process) left_ -= size;
}

void Copier::take_stack(StackCopy& copy, uint64_t sp, size_t size) {
  scratch_.resize(std::min(size, left_));
  ReadRequest request{sp, scratch_.data(), scratch_.size()};
  if (!scratch_.empty()) target_.read(std::span(&request, 1));
  copy.low = sp;
  copy.size = request.got;
  spend(copy.size);
}

// What take_stack() has copied belongs to the coroutine.
void Copier::keep_stack(StackCopy& copy) {
  if (copy.size == 0) return;
  char* bytes = result_.store.take(copy.size);
  memcpy(bytes, scratch_.data(), copy.size);
  copy.bytes = bytes;
}

// True: it held still, or has ended.
bool Copier::copy_once(StackCopy& copy) {
  if (!read_coroutine(copy)) return true;
  if (copy.coroutine.runs()) return false;
  copy.registers = runtime_.switched_out(copy.coroutine);
  take_stack(copy, copy.coroutine.sp, wanted_size(copy.coroutine, copy.coroutine.sp));
  const std::optional<uint32_t> sequence = target_.get<uint32_t>(runtime_.sequence_address(copy.coroutine));
  if (sequence != copy.coroutine.sequence) return false;
  copy.ending = copy.size == 0 ? Ending::unreadable : Ending::complete;
  keep_stack(copy);
  return true;
}

void Copier::copy_again(StackCopy& copy) {
  for (unsigned round = 0; round < kRetries; round++) {
    if (copy_once(copy)) return;
    // One that runs whenever it is looked at is asked of its kernel thread.
    if (copy.coroutine.runs() && round >= kRetries / 2) return copy_running(copy);
  }
  copy.ending = Ending::moving;
  copy.size = 0;
}

void Copier::copy_running(StackCopy& copy) {
  constexpr unsigned kRounds = 4;
  for (unsigned round = 0; round < kRounds; round++) {
    const int tid = copy.coroutine.carrier_tid;
    bool own = false, left = false;
    // Of a thread that another's registers have been taken from they are kept.
    if (tid != 0 && looked_at_.count(tid) == 0) {
      const bool looked = target_.look_at(tid, may_stop_, [&](const Registers& registers, Found found) {
        own = left = false;
        // What is read now is what the registers belong to: the thread cannot run on, or it will be seen that it did.
        if (!read_coroutine(copy)) {
          left = true;
          return;
        }
        if (!copy.coroutine.runs() || copy.coroutine.carrier_tid != tid) return;
        const size_t size = wanted_size(copy.coroutine, registers.sp());
        if (size == 0) return;
        copy.registers = registers;
        copy.in_system_call = found == Found::in_system_call;
        take_stack(copy, registers.sp(), size);
        if (found == Found::stopped && stops_one_by_one()) result_.stopped++;
        own = true;
      });
      if (looked && !own) target_.discard(tid);
      if (left) return;
      if (looked && own) {
        copy.thread = tid;
        copy.ending = copy.size == 0 ? Ending::unreadable : Ending::complete;
        keep_stack(copy);
        looked_at_.insert(tid);
        return;
      }
    }
    copy.size = 0;
    if (target_.kind() != Target::Kind::process) break;
    // It may be parked by now.
    if (copy_once(copy)) return;
  }
  copy.size = 0;
  copy.ending = Ending::partial;
}

// How much from sp up can be a kernel thread's own. It may run a coroutine by now whose slot and stack have been copied when that one held
// still: they belong together, and what its stack has become since does not.
size_t Copier::own_room(uint64_t sp) const {
  uint64_t room = kStackLimit;
  for (const StackCopy& copy : result_.copies) {
    const Coroutine& c = copy.coroutine;
    if (c.id == 0 || sp >= c.stack_high()) continue;
    room = std::min(room, sp < c.stack_low ? c.stack_low - sp : 0);
  }
  return room;
}

void Copier::copy_threads() {
  for (const Thread& thread : target_.threads()) {
    if (looked_at_.count(thread.tid) != 0) continue;
    StackCopy copy;
    copy.thread = thread.tid;
    copy.coroutine.name = thread.name;
    copy.coroutine.state = State::running;
    copy.ending = Ending::partial;
    size_t room = 0;
    const bool looked = target_.look_at(thread.tid, may_stop_, [&](const Registers& registers, Found found) {
      room = own_room(registers.sp());
      copy.registers = registers;
      copy.in_system_call = found == Found::in_system_call;
      take_stack(copy, registers.sp(), room);
      if (found == Found::stopped && stops_one_by_one()) result_.stopped++;
    });
    if (looked && room == 0) {
      target_.discard(thread.tid);
    } else if (looked) {
      copy.ending = copy.size == 0 ? Ending::unreadable : Ending::complete;
      keep_stack(copy);
    }
    result_.copies.push_back(copy);
  }
}

}  // namespace

const char* name_of(Ending ending) {
  constexpr const char* kNames[] = {"complete", "truncated", "no-unwind-info", "unreadable", "moving",
                                    "partial",  "none"};
  return kNames[(size_t)ending];
}

Stacks copy_stacks(const Runtime& runtime, const CopyOptions& options) { return Copier(runtime, options).copy(); }

}  // namespace weft::inspect
