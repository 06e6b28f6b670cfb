// SPDX-License-Identifier: Apache-2.0
// The descriptor of a target's weft, read: from the ELF note to the tables of slots, workers, carriers and counters.
//
// A target may be damaged: numbers are bounded before memory is asked for by them, and a record shorter than its fields is refused.
#include "runtime.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "elf_image.h"
#include "failure.h"

namespace weft::inspect {

namespace {

constexpr uint32_t kMaxSlots = 16 << 20;
constexpr uint32_t kMinSlot = 64, kMaxRecord = 1 << 20;
constexpr uint32_t kMaxFields = 4096;
constexpr uint32_t kMaxWorkers = 4096;
constexpr uint32_t kMaxCounters = 4096;
constexpr size_t kMaxMailboxes = 1 << 16;
constexpr uint64_t kNever = ~uint64_t{0};

uint64_t at(Address address) { return (uint64_t)address; }

// Those that lie inside of a record of so many bytes.
FieldTable read_fields(Target& target, Address where, uint32_t count, uint32_t record) {
  FieldTable table;
  if (count > kMaxFields) return table;
  std::vector<DescriptorField> fields(count);
  if (!target.read(at(where), fields.data(), count * sizeof(DescriptorField))) return table;
  for (const DescriptorField& field : fields) {
    if (field.offset <= record && field.size <= record - field.offset) table.add(field);
  }
  return table;
}

}  // namespace

void FieldTable::add(const DescriptorField& field) {
  if (field.id < kIds && field.id != 0) field_[field.id] = field;
}

uint64_t FieldTable::get(const char* record, FieldId id) const {
  const DescriptorField& field = of(id);
  uint64_t value = 0;
  memcpy(&value, record + field.offset, std::min<size_t>(field.size, sizeof value));
  return value;
}

std::string FieldTable::text(const char* record, FieldId id) const {
  const DescriptorField& field = of(id);
  const char* begin = record + field.offset;
  std::string text(begin, strnlen(begin, field.size));
  // It goes to terminals: what would steer them does not.
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  return text;
}

Runtime Runtime::find(Target& target) {
  Runtime runtime;
  runtime.target_ = &target;
  unsigned unreadable = 0;
  std::string why;
  for (const Module& module : target.modules()) {
    if (!module.error.empty()) {
      unreadable++;
      why = module.error;
    }
    for_each_note(target, module, [&](const Note& note, uint64_t address) {
      int64_t distance;
      if (runtime.module_ != nullptr || note.name != kNoteName || note.type != kNoteType ||
          note.content.size() != sizeof distance)
        return;
      memcpy(&distance, note.content.data(), sizeof distance);
      runtime.module_ = &module;
      runtime.address_ = address + (uint64_t)distance;
    });
  }
  const size_t count = target.modules().size();
  if (runtime.module_ == nullptr) {
    const std::string damage = target.damage();
    if (!damage.empty()) throw Failure(kTruncated, "{}; no WEFT note in what there is of {} modules.", damage, count);
    if (unreadable != 0)
      throw Failure(kNotWeft, "{} is not known to run under weft: {} of {} modules could not be read: {}.",
                    target.name(), unreadable, count, why);
    throw Failure(kNotWeft, "{} is not running under weft (no WEFT note in {} modules).", target.name(), count);
  }
  // An older minor version's header is shorter; what it lacks stays 0.
  constexpr size_t kStart = offsetof(DescriptorHeader, active);
  if (!target.read(runtime.address_, &runtime.header_, kStart) ||
      memcmp(runtime.header_.magic, kDescriptorMagic, sizeof kDescriptorMagic) != 0) {
    const std::string damage = target.damage();
    if (!damage.empty()) throw Failure(kTruncated, "{}; weft's descriptor is not in what there is.", damage);
    throw Failure(target.kind() == Target::Kind::process ? kNotWeft : kTruncated,
                  "{}: the descriptor of {} could not be read.", target.name(), runtime.module_->path);
  }
  if (runtime.header_.major != kDescriptorMajor)
    throw Failure(kVersion, "target speaks descriptor {}.{}, this tool knows {}.x; use the tool shipped with {}.",
                  runtime.header_.major, runtime.header_.minor, kDescriptorMajor, runtime.module_->path);
  const size_t size = std::min<size_t>(runtime.header_.size, sizeof(DescriptorHeader));
  if (size < kStart || !target.read(runtime.address_, &runtime.header_, size))
    throw Failure(kTruncated, "{}: the descriptor of {} could not be read.", target.name(), runtime.module_->path);
  const DescriptorHeader& header = runtime.header_;
  if (header.slot_size < kMinSlot || header.slot_size > kMaxRecord || header.worker_size > kMaxRecord ||
      header.mailbox_size > kMaxRecord || header.slots_per_chunk == 0 || header.registers > kMaxSavedRegisters ||
      header.frame_size > kPage)
    throw Failure(kTruncated, "{}: the descriptor of {} is damaged.", target.name(), runtime.module_->path);
  runtime.slot_ = read_fields(target, header.slot_field, header.slot_fields, header.slot_size);
  runtime.worker_ = read_fields(target, header.worker_field, header.worker_fields, header.worker_size);
  runtime.carrier_ = read_fields(target, header.carrier_field, header.carrier_fields, kMaxRecord);
  runtime.mailbox_ = read_fields(target, header.mailbox_field, header.mailbox_fields, header.mailbox_size);
  return runtime;
}

bool Runtime::is_active() const { return target_->get<uint32_t>(at(header_.active)).value_or(0) != 0; }
uint32_t Runtime::slots() const { return std::min(target_->get<uint32_t>(at(header_.slots)).value_or(0), kMaxSlots); }
uint64_t Runtime::clock() const { return target_->get<uint64_t>(at(header_.clock)).value_or(0); }
int Runtime::monitor_tid() const { return target_->get<int>(at(header_.monitor_tid)).value_or(0); }

Runtime::Table Runtime::read_slots() const {
  Table table;
  table.slot_size = header_.slot_size;
  uint32_t count = (uint32_t)std::min<uint64_t>(slots(), target_->size() / table.slot_size);
  const uint32_t per_chunk = header_.slots_per_chunk;
  const uint32_t chunks =
      (uint32_t)std::min<uint64_t>(((uint64_t)count + per_chunk - 1) / per_chunk, header_.max_chunks);
  std::vector<uint64_t> chunk(chunks);
  if (chunks == 0 || !target_->read(at(header_.chunks), chunk.data(), chunks * sizeof(uint64_t))) return table;
  count = (uint32_t)std::min<uint64_t>(count, (uint64_t)chunks * per_chunk);
  table.count = count;
  table.bytes.resize((size_t)count * table.slot_size);
  std::vector<ReadRequest> requests;
  for (uint32_t i = 0; i < chunks; i++) {
    const uint32_t first = i * per_chunk, slots = std::min(per_chunk, count - first);
    requests.push_back(
        {chunk[i], table.bytes.data() + (size_t)first * table.slot_size, (size_t)slots * table.slot_size});
    for (uint32_t j = 0; j < slots; j++) table.address.push_back(chunk[i] + (uint64_t)j * table.slot_size);
  }
  target_->read(requests);
  return table;
}

bool Runtime::read_slot(const Table& table, uint32_t slot, char* record) const {
  return target_->read(table.address[slot], record, table.slot_size);
}

Coroutine Runtime::decode(const Table& table, uint32_t slot) const {
  const char* record = table.record(slot);
  auto get = [&](FieldId id) { return slot_.get(record, id); };
  Coroutine c;
  c.slot = slot;
  c.address = table.address[slot];
  c.sequence = (uint32_t)get(FieldId::sequence);
  c.id = (uint32_t)get(FieldId::id);
  c.generation = (uint32_t)get(FieldId::generation);
  c.state = (State)get(FieldId::state);
  c.wait_kind = (WaitKind)get(FieldId::wait_kind);
  c.pinned = get(FieldId::pinned) != 0;
  c.pin_reason = (PinReason)get(FieldId::pin_reason);
  c.wait_fd = (int32_t)get(FieldId::wait_fd);
  c.wait_object = get(FieldId::wait_object);
  c.wait_count = (uint32_t)get(FieldId::wait_count);
  if (get(FieldId::since) != kNever && get(FieldId::since) != 0) c.since = get(FieldId::since);
  if (get(FieldId::has_deadline) != 0) c.deadline = get(FieldId::deadline);
  c.carrier = get(FieldId::carrier);
  c.worker = get(FieldId::worker);
  c.stack_low = get(FieldId::stack_low);
  c.stack_size = get(FieldId::stack_size);
  c.guard_size = get(FieldId::guard_size);
  c.sp = get(FieldId::sp);
  c.fs = get(FieldId::fs);
  c.tcb = get(FieldId::tcb);
  c.tid = (int)get(FieldId::tid);
  c.start = get(FieldId::start);
  c.argument = get(FieldId::argument);
  c.creation_pc = get(FieldId::creation_pc);
  c.creator = (uint32_t)get(FieldId::creator);
  c.born = get(FieldId::born);
  c.run_time = get(FieldId::run_time);
  c.longest_run = get(FieldId::longest_run);
  c.name = slot_.text(record, FieldId::name);
  c.detached = (get(FieldId::ending) & 1) != 0;
  c.region_depth = (uint32_t)get(FieldId::region_depth);
  c.stack_reached = get(FieldId::stack_reached);
  c.supplied_stack = get(FieldId::supplied_stack) != 0;
  if (c.worker != 0 && header_.worker_size != 0 && c.worker >= at(header_.workers))
    c.worker_index = (int)((c.worker - at(header_.workers)) / header_.worker_size);
  // Of a wait for several, where its list is.
  if ((c.wait_kind == WaitKind::poll || c.wait_kind == WaitKind::select) && c.wait_count != 0) {
    c.wait_object = get(FieldId::wait_list);
  }
  return c;
}

// A pthread_mutex_t of glibc's has its owner's tid at 8, a pthread_rwlock_t its writer's at 24.
std::optional<uint64_t> Runtime::owner_address(const Coroutine& coroutine) {
  if (coroutine.state != State::parked) return std::nullopt;
  switch (coroutine.wait_kind) {
    case WaitKind::lock:
      return coroutine.wait_object + 8;
    case WaitKind::rwlock_read:
    case WaitKind::rwlock_write:
      return coroutine.wait_object + 24;
    default:
      return std::nullopt;
  }
}

void Runtime::complete(std::span<Coroutine> coroutines) const {
  std::map<uint64_t, int> tid_of;
  const size_t tid_size = sizeof(int32_t);
  std::vector<ReadRequest> requests;
  std::vector<int32_t> tids;
  for (const Coroutine& c : coroutines) {
    const bool wanted =
        c.carrier != 0 && (c.runs() || c.pinned || c.state == State::running || c.state == State::blocked);
    if (wanted && c.is_used()) tid_of[c.carrier] = 0;
  }
  tids.resize(tid_of.size());
  for (auto& [carrier, tid] : tid_of) {
    requests.push_back({carrier + carrier_.offset(FieldId::carrier_tid), &tids[requests.size()], tid_size});
  }
  target_->read(requests);
  size_t next = 0;
  for (auto& [carrier, tid] : tid_of) {
    if (requests[next].whole()) tid = tids[next];
    next++;
  }
  requests.clear();
  for (Coroutine& c : coroutines) {
    c.owner_tid = 0;
    if (const auto owner = owner_address(c)) requests.push_back({*owner, &c.owner_tid, sizeof c.owner_tid});
  }
  target_->read(requests);
  for (Coroutine& c : coroutines) {
    if (auto found = tid_of.find(c.carrier); found != tid_of.end()) c.carrier_tid = found->second;
    if ((c.wait_kind != WaitKind::poll && c.wait_kind != WaitKind::select) || c.state != State::parked ||
        c.wait_count == 0 || header_.poll_wait_size < 4)
      continue;
    const uint32_t shown = std::min(c.wait_count, Coroutine::kMaxPollShown);
    std::vector<int32_t> fds(shown, -1);
    std::vector<ReadRequest> list;
    for (uint32_t i = 0; i < shown; i++) {
      list.push_back(
          {c.wait_object + (uint64_t)i * header_.poll_wait_size + header_.poll_wait_fd, &fds[i], sizeof fds[i]});
    }
    target_->read(list);
    for (uint32_t i = 0; i < shown; i++) {
      // One that is read and written has two entries.
      if (list[i].whole() && fds[i] >= 0 && std::find(c.wait_fds.begin(), c.wait_fds.end(), fds[i]) == c.wait_fds.end())
        c.wait_fds.push_back(fds[i]);
    }
  }
}

std::vector<Worker> Runtime::workers() const {
  std::vector<Worker> result;
  const uint32_t count = std::min(target_->get<uint32_t>(at(header_.worker_count)).value_or(0), kMaxWorkers);
  if (header_.worker_size == 0) return result;
  std::vector<char> record(header_.worker_size);
  for (uint32_t i = 0; i < count; i++) {
    Worker worker;
    worker.address = at(header_.workers) + (uint64_t)i * header_.worker_size;
    if (!target_->read(worker.address, record.data(), record.size())) break;
    auto get = [&](FieldId id) { return worker_.get(record.data(), id); };
    worker.index = (unsigned)get(FieldId::worker_index);
    worker.carrier = get(FieldId::worker_carrier);
    worker.switches = get(FieldId::worker_switches);
    worker.length = (uint32_t)get(FieldId::worker_length);
    worker.sleeping = get(FieldId::worker_sleeping) != 0;
    worker.epoll_fd = (int)get(FieldId::worker_epoll_fd);
    if (worker.carrier != 0) {
      worker.carrier_tid = target_->get<int>(worker.carrier + carrier_.offset(FieldId::carrier_tid)).value_or(0);
      worker.running = target_->get<uint64_t>(worker.carrier + carrier_.offset(FieldId::carrier_running)).value_or(0);
    }
    result.push_back(worker);
  }
  return result;
}

std::vector<Counter> Runtime::counters() const {
  const uint32_t count = std::min(header_.counters, kMaxCounters);
  std::vector<CounterName> names(count);
  std::vector<uint64_t> values(count);
  std::vector<Counter> result;
  if (!target_->read(at(header_.counter_name), names.data(), count * sizeof(CounterName)) ||
      !target_->read(at(header_.shared_counters), values.data(), count * sizeof(uint64_t)))
    return result;
  const uint32_t workers = std::min(target_->get<uint32_t>(at(header_.worker_count)).value_or(0), kMaxWorkers);
  std::vector<uint64_t> own(count);
  for (uint32_t i = 0; i < workers; i++) {
    const uint64_t worker = at(header_.workers) + (uint64_t)i * header_.worker_size;
    if (!target_->read(worker + worker_.offset(FieldId::worker_counters), own.data(), count * sizeof(uint64_t)))
      continue;
    for (uint32_t j = 0; j < count; j++) values[j] += own[j];
  }
  // A switch is counted in a word of its worker's own.
  uint64_t switches = 0;
  for (const Worker& worker : this->workers()) switches += worker.switches;
  for (uint32_t i = 0; i < count; i++) {
    result.push_back({{names[i].name, strnlen(names[i].name, sizeof names[i].name)},
                      {names[i].text, strnlen(names[i].text, sizeof names[i].text)},
                      values[i]});
    if (result.back().name == "switches") result.back().value += switches;
  }
  return result;
}

std::vector<Mailbox> Runtime::mailboxes() const {
  std::vector<Mailbox> result;
  if (header_.mailbox_size == 0 || !mailbox_.has(FieldId::mailbox_next)) return result;
  std::vector<char> record(header_.mailbox_size);
  uint64_t address = target_->get<uint64_t>(at(header_.mailboxes)).value_or(0);
  while (address != 0 && result.size() < kMaxMailboxes && target_->read(address, record.data(), record.size())) {
    auto get = [&](FieldId id) { return mailbox_.get(record.data(), id); };
    Mailbox mailbox;
    mailbox.address = address;
    mailbox.name = mailbox_.text(record.data(), FieldId::mailbox_name);
    mailbox.length = get(FieldId::mailbox_length);
    mailbox.capacity = get(FieldId::mailbox_capacity);
    mailbox.highest = get(FieldId::mailbox_highest);
    mailbox.received = get(FieldId::mailbox_received);
    mailbox.refused = get(FieldId::mailbox_refused);
    mailbox.waits = get(FieldId::mailbox_waits);
    if (get(FieldId::mailbox_full_since) != 0) mailbox.full_since = get(FieldId::mailbox_full_since);
    mailbox.closed = get(FieldId::mailbox_closed) != 0;
    // Memory that has been given back since, and the way on with it.
    if (mailbox.capacity == 0 || mailbox.length > mailbox.capacity) break;
    result.push_back(std::move(mailbox));
    address = get(FieldId::mailbox_next);
  }
  return result;
}

bool Runtime::in_trampoline(uint64_t pc) const {
  return pc >= at(header_.trampoline) && pc < at(header_.trampoline_end);
}

Registers Runtime::switched_out(const Coroutine& coroutine) const {
  Registers registers;
  registers.set(Registers::kSp, coroutine.sp);
  registers.set(Registers::kPc, at(header_.switched_out));
  return registers;
}

const char* name_of(State state) {
  constexpr const char* kNames[] = {"free", "ready", "running", "parked", "blocked", "finished"};
  return (size_t)state < std::size(kNames) ? kNames[(size_t)state] : "?";
}

const char* name_of(WaitKind kind) {
  constexpr const char* kNames[] = {"none",
                                    "read",
                                    "write",
                                    "poll",
                                    "mutex",
                                    "condition",
                                    "sleep",
                                    "join",
                                    "futex",
                                    "semaphore",
                                    "barrier",
                                    "once",
                                    "region",
                                    "signal",
                                    "file",
                                    "rwlock read",
                                    "rwlock write",
                                    "suspend",
                                    "co_mutex",
                                    "co_rwlock read",
                                    "co_rwlock write",
                                    "group",
                                    "scope",
                                    "channel send",
                                    "channel receive",
                                    "select",
                                    "mailbox send",
                                    "mailbox receive"};
  return (size_t)kind < std::size(kNames) ? kNames[(size_t)kind] : "?";
}

const char* name_of(PinReason reason) {
  constexpr const char* kNames[] = {"none",  "asked for", "epoll loop", "signal wait", "kernel state", "shared lock",
                                    "futex", "tracing",   "CPU clock",  "process",     "no memory"};
  return (size_t)reason < std::size(kNames) ? kNames[(size_t)reason] : "?";
}

}  // namespace weft::inspect
