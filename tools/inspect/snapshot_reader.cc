// SPDX-License-Identifier: Apache-2.0
// A snapshot's file as a target. Nothing in it is believed before it has been checked: it may come from somebody else.
#include <algorithm>
#include <cstring>
#include <map>

#include <nlohmann/json.hpp>

#include "failure.h"
#include "module_file.h"
#include "snapshot.h"
#include "snapshot_format.h"

namespace weft::inspect {

namespace {

using nlohmann::json;

constexpr uint32_t kMaxDescription = 512 << 20;

class Snapshot : public Target {
 public:
  Snapshot(int fd, const std::string& name, const TargetOptions& options);

  Kind kind() const override { return Kind::snapshot; }
  std::string name() const override { return name_; }
  int pid() const override { return pid_; }
  using Target::read;
  void read(std::span<ReadRequest> requests) override;
  int open_module(const Module& module) override;
  std::vector<Thread> threads() override { return threads_; }
  bool look_at(int tid, bool may_stop, const std::function<void(const Registers&, Found)>& look) override;
  std::optional<uint64_t> now() override { return clock_; }
  std::optional<Descriptor> descriptor(int fd) override;
  uint64_t size() const override { return file_.size(); }
  bool is_one_instant() const override { return one_instant_; }
  std::optional<uint64_t> lowest_page(uint64_t low, uint64_t high) override;

 private:
  void read_description(const json& description);

  struct Extent {
    uint64_t address, size, offset;  // in file_
  };
  OpenFile file_;
  std::string name_;
  TargetOptions options_;
  int pid_ = 0;
  std::optional<uint64_t> clock_;
  std::vector<Extent> extents_;
  std::vector<Thread> threads_;
  std::map<int, std::pair<Registers, Found>> registers_;
  std::map<int, Descriptor> descriptors_;
  std::map<uint64_t, uint64_t> lowest_pages_;
  bool one_instant_ = false;
};

Snapshot::Snapshot(int fd, const std::string& name, const TargetOptions& options)
    : file_(fd), name_(name), options_(options) {
  SnapshotHeader header;
  if (file_.read(0, &header, sizeof header) != sizeof header)
    throw Failure(kTruncated, "{}: truncated: its header is missing.", name);
  if (header.major != kSnapshotMajor)
    throw Failure(kVersion, "{} is a snapshot of version {}.{}, this tool knows {}.x; use the tool that made it.", name,
                  header.major, header.minor, kSnapshotMajor);
  uint64_t at = sizeof header;
  if (header.description > kMaxDescription || header.description > file_.size() - at)
    throw Failure(kTruncated, "{}: truncated: its description is missing.", name);
  std::vector<char> description(header.description);
  description.resize(file_.read(at, description.data(), description.size()));
  try {
    // A number that is not whole, or larger than any of ours, would become anything at all.
    read_description(json::parse(description, [&name](int, json::parse_event_t event, const json& parsed) {
      if (event == json::parse_event_t::value && parsed.is_number_float())
        throw Failure(kTruncated, "{}: its description is damaged: {} is no number of ours.", name, parsed.dump());
      return true;
    }));
  } catch (const json::exception& error) {
    throw Failure(kTruncated, "{}: its description is damaged: {}.", name, error.what());
  }
  at += header.description;
  uint64_t last = 0;
  while (at < file_.size()) {
    SnapshotExtent extent;
    if (file_.read(at, &extent, sizeof extent) != sizeof extent)
      throw Failure(kTruncated, "{}: truncated after {} extents.", name, extents_.size());
    at += sizeof extent;
    if (extent.size == 0 || extent.size > file_.size() - at || extent.address < last ||
        extent.address + extent.size < extent.address)
      throw Failure(kTruncated, "{}: truncated or damaged after {} extents.", name, extents_.size());
    extents_.push_back({extent.address, extent.size, at});
    last = extent.address + extent.size;
    at += extent.size;
  }
}

void Snapshot::read_description(const json& description) {
  name_ = description.at("name").get<std::string>() + " in " + name_;
  pid_ = description.at("pid");
  one_instant_ = description.value("oneInstant", false);
  if (description.contains("lowestPages"))
    for (const json& each : description.at("lowestPages")) lowest_pages_[each.at(0)] = each.at(1);
  if (description.contains("clock")) clock_ = description.at("clock").get<uint64_t>();
  for (const json& each : description.at("modules")) {
    Module module;
    module.path = each.at("path");
    module.build_id = each.at("buildId");
    module.start = each.at("start"), module.end = each.at("end"), module.bias = each.at("bias");
    module.deleted = each.at("deleted");
    module.error = each.at("error");
    module.eh_frame_hdr = each.at("ehFrameHdr");
    for (const json& header : each.at("headers")) {
      module.headers.push_back(
          {header.at(0), header.at(1), header.at(2), header.at(3), header.at(4), header.at(5), header.at(6)});
    }
    modules_.push_back(module);
  }
  std::sort(modules_.begin(), modules_.end(), [](const Module& a, const Module& b) { return a.start < b.start; });
  for (const json& each : description.at("threads")) {
    Thread thread;
    thread.tid = each.at("tid");
    thread.name = each.at("name");
    const std::string state = each.at("state");
    thread.state = state.empty() ? '?' : state[0];
    threads_.push_back(thread);
  }
  for (const json& each : description.at("registers")) {
    Registers registers;
    registers.known = each.at("known");
    const json& values = each.at("values");
    for (unsigned i = 0; i < Registers::kCount; i++) registers.value[i] = values.at(i);
    registers_[each.at("tid")] = {registers, each.at("stopped").get<bool>() ? Found::stopped : Found::in_system_call};
  }
  for (const json& each : description.at("descriptors")) {
    descriptors_[each.at("fd")] = {each.at("what"), each.at("kind"), each.at("local"), each.at("peer")};
  }
}

void Snapshot::read(std::span<ReadRequest> requests) {
  for (ReadRequest& request : requests) {
    request.got = 0;
    auto next = std::upper_bound(extents_.begin(), extents_.end(), request.address,
                                 [](uint64_t value, const Extent& extent) { return value < extent.address; });
    if (next == extents_.begin()) continue;
    for (--next; next != extents_.end() && request.got < request.size; ++next) {
      const uint64_t address = request.address + request.got;
      if (address < next->address || address - next->address >= next->size) break;
      const uint64_t skip = address - next->address;
      const size_t piece = std::min<uint64_t>(request.size - request.got, next->size - skip);
      const size_t got = file_.read(next->offset + skip, (char*)request.to + request.got, piece);
      request.got += got;
      if (got != piece) break;
    }
  }
}

int Snapshot::open_module(const Module& module) {
  // The executable is that which is first in memory or not a library; --exe is tried for all, and compared.
  ModuleFile file = find_module_file(module, true, options_);
  if (!file.file.is_open() || module.build_id.empty()) return -1;
  return dup(file.file.fd());
}

bool Snapshot::look_at(int tid, bool may_stop, const std::function<void(const Registers&, Found)>& look) {
  auto found = registers_.find(tid);
  if (found == registers_.end()) return false;
  look(found->second.first, found->second.second);
  return true;
}

std::optional<uint64_t> Snapshot::lowest_page(uint64_t low, uint64_t high) {
  auto found = lowest_pages_.find(low);
  if (found == lowest_pages_.end() || found->second < low || found->second >= high) return std::nullopt;
  return found->second;
}

std::optional<Descriptor> Snapshot::descriptor(int fd) {
  auto found = descriptors_.find(fd);
  if (found == descriptors_.end()) return std::nullopt;
  return found->second;
}

}  // namespace

bool is_snapshot(const char* start, size_t size) {
  return size >= sizeof kSnapshotMagic && memcmp(start, kSnapshotMagic, sizeof kSnapshotMagic) == 0;
}

std::unique_ptr<Target> open_snapshot(int fd, const std::string& name, const TargetOptions& options) {
  return std::make_unique<Snapshot>(fd, name, options);
}

}  // namespace weft::inspect
