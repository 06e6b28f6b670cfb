// SPDX-License-Identifier: Apache-2.0
// Snapshots: what was read of a target, written to a file that is a target itself. Small, since nothing else is in it.
//
//   header    "weftsnap", major, minor (uint16_t), size of the description (uint32_t)
//   description  JSON: name, pid, clock, whether it is of one instant, modules, threads with registers, descriptors, pages in use
//   extents   until the end: address, size (uint64_t), bytes; in the order of addresses, none overlaps another
#pragma once

#include <memory>
#include <string>

#include "target.h"

namespace weft::inspect {

bool is_snapshot(const char* start, size_t size);
std::unique_ptr<Target> open_snapshot(int fd, const std::string& name, const TargetOptions& options);  // takes fd

// Passes everything on to another target and keeps what came back.
class Recorder : public Target {
 public:
  explicit Recorder(std::unique_ptr<Target> from);
  ~Recorder() override;

  Kind kind() const override { return from_->kind(); }
  std::string name() const override { return from_->name(); }
  int pid() const override { return from_->pid(); }
  using Target::read;
  void read(std::span<ReadRequest> requests) override;
  int open_module(const Module& module) override { return from_->open_module(module); }
  std::vector<Thread> threads() override;
  bool look_at(int tid, bool may_stop, const std::function<void(const Registers&, Found)>& look) override;
  void discard(int tid) override;
  void settle() override;
  std::optional<uint64_t> now() override;
  std::optional<Descriptor> descriptor(int fd) override;
  unsigned stop_all() override { return from_->stop_all(); }
  void resume_all() override;
  bool is_one_instant() const override { return from_->is_one_instant(); }
  std::optional<uint64_t> lowest_page(uint64_t low, uint64_t high) override;
  std::string damage() const override { return from_->damage(); }

  // Puts other bytes into the record.
  void amend(uint64_t address, std::span<const char> bytes);
  // Takes bytes out of it.
  void forget(uint64_t begin, uint64_t end);
  // Throws Failure if it cannot be written. Returns the size of the file. `one_instant`: all that was read is of one moment.
  uint64_t write(const std::string& path, bool one_instant);

 private:
  struct Record;
  std::unique_ptr<Target> from_;
  std::unique_ptr<Record> record_;
};

}  // namespace weft::inspect
