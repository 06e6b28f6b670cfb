// SPDX-License-Identifier: Apache-2.0
// Keeps what is read of a target, page by page with a mark for each byte, since what was read last is what counts: a coroutine that moved
// was copied again. Once slots and stacks are settled the first is what counts: the stack of a kernel thread is read as far as it may go, and
// that can be as far as they. Then writes it as extents.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>

#include <nlohmann/json.hpp>

#include "elf_image.h"
#include "failure.h"
#include "snapshot.h"
#include "snapshot_format.h"

namespace weft::inspect {

namespace {

using nlohmann::json;

struct Page {
  char bytes[kPage];
  bool known[kPage] = {};
};

}  // namespace

struct Recorder::Record {
  std::map<uint64_t, Page> pages;
  std::vector<Thread> threads;
  std::map<int, std::pair<Registers, Found>> registers;
  std::map<int, Descriptor> descriptors;
  std::optional<uint64_t> clock;
  std::map<uint64_t, uint64_t> lowest_pages;  // by where they were looked for from
  bool settled = false;

  void keep(uint64_t address, const char* bytes, size_t size, bool over_known) {
    while (size != 0) {
      Page& page = pages[address & ~(kPage - 1)];
      const size_t at = address & (kPage - 1), piece = std::min<size_t>(size, kPage - at);
      for (size_t i = 0; i < piece; i++) {
        if (over_known || !page.known[at + i]) page.bytes[at + i] = bytes[i];
      }
      memset(page.known + at, true, piece);
      address += piece, bytes += piece, size -= piece;
    }
  }
  json description(const Target& target) const;
};

Recorder::Recorder(std::unique_ptr<Target> from) : from_(std::move(from)), record_(std::make_unique<Record>()) {
  mappings_ = from_->mappings();
  modules_ = from_->modules();
}

Recorder::~Recorder() = default;

void Recorder::read(std::span<ReadRequest> requests) {
  from_->read(requests);
  for (const ReadRequest& request : requests)
    record_->keep(request.address, (const char*)request.to, request.got, !record_->settled);
}

std::vector<Thread> Recorder::threads() { return record_->threads = from_->threads(); }

bool Recorder::look_at(int tid, bool may_stop, const std::function<void(const Registers&, Found)>& look) {
  const bool looked = from_->look_at(tid, may_stop, [&](const Registers& registers, Found found) {
    record_->registers[tid] = {registers, found};
    look(registers, found);
  });
  if (!looked) record_->registers.erase(tid);
  stopped_ = from_->stopped_nanoseconds();
  return looked;
}

void Recorder::discard(int tid) { record_->registers.erase(tid); }

void Recorder::settle() { record_->settled = true; }

void Recorder::resume_all() {
  from_->resume_all();
  stopped_ = from_->stopped_nanoseconds();
}

std::optional<uint64_t> Recorder::now() { return record_->clock = from_->now(); }

std::optional<Descriptor> Recorder::descriptor(int fd) {
  std::optional<Descriptor> found = from_->descriptor(fd);
  if (found) record_->descriptors[fd] = *found;
  return found;
}

std::optional<uint64_t> Recorder::lowest_page(uint64_t low, uint64_t high) {
  const std::optional<uint64_t> found = from_->lowest_page(low, high);
  if (found) record_->lowest_pages[low] = *found;
  return found;
}

void Recorder::amend(uint64_t address, std::span<const char> bytes) {
  record_->keep(address, bytes.data(), bytes.size(), true);
}

void Recorder::forget(uint64_t begin, uint64_t end) {
  while (begin < end) {
    const uint64_t at = begin & (kPage - 1), piece = std::min(end - begin, kPage - at);
    auto page = record_->pages.find(begin - at);
    if (page != record_->pages.end()) memset(page->second.known + at, false, piece);
    begin += piece;
  }
}

json Recorder::Record::description(const Target& target) const {
  json result = {{"name", target.name()}, {"pid", target.pid()}};
  if (clock) result["clock"] = *clock;
  json& modules = result["modules"] = json::array();
  for (const Module& module : target.modules()) {
    json headers = json::array();
    for (const ProgramHeader& h : module.headers) {
      headers.push_back({h.type, h.flags, h.offset, h.vaddr, h.file_size, h.memory_size, h.alignment});
    }
    modules.push_back({{"path", module.path},
                       {"buildId", module.build_id},
                       {"start", module.start},
                       {"end", module.end},
                       {"bias", module.bias},
                       {"deleted", module.deleted},
                       {"error", module.error},
                       {"ehFrameHdr", module.eh_frame_hdr},
                       {"headers", headers}});
  }
  json& all_threads = result["threads"] = json::array();
  for (const Thread& thread : threads) {
    all_threads.push_back({{"tid", thread.tid}, {"name", thread.name}, {"state", std::string(1, thread.state)}});
  }
  json& all_registers = result["registers"] = json::array();
  for (const auto& [tid, found] : registers) {
    all_registers.push_back({{"tid", tid},
                             {"known", found.first.known},
                             {"values", found.first.value},
                             {"stopped", found.second == Found::stopped}});
  }
  json& all_descriptors = result["descriptors"] = json::array();
  for (const auto& [fd, descriptor] : descriptors) {
    all_descriptors.push_back({{"fd", fd},
                               {"what", descriptor.what},
                               {"kind", descriptor.kind},
                               {"local", descriptor.local},
                               {"peer", descriptor.peer}});
  }
  json& all_pages = result["lowestPages"] = json::array();
  for (const auto& [low, page] : lowest_pages) all_pages.push_back({low, page});
  return result;
}

uint64_t Recorder::write(const std::string& path, bool one_instant) {
  json told = record_->description(*from_);
  told["oneInstant"] = one_instant;
  const std::string description = told.dump(-1, ' ', false, json::error_handler_t::replace);
  std::FILE* file = fopen(path.c_str(), "wbe");
  if (file == nullptr) throw Failure(kNoTarget, "cannot write {}: {}.", path, strerror(errno));
  SnapshotHeader header{};
  memcpy(header.magic, kSnapshotMagic, sizeof header.magic);
  header.major = kSnapshotMajor, header.minor = kSnapshotMinor;
  header.description = (uint32_t)description.size();
  uint64_t size = 0;
  auto put = [&](const void* bytes, size_t count) { size += fwrite(bytes, 1, count, file); };
  put(&header, sizeof header);
  put(description.data(), description.size());
  std::vector<char> run;
  uint64_t begin = 0;
  auto flush = [&] {
    if (run.empty()) return;
    const SnapshotExtent extent{begin, run.size()};
    put(&extent, sizeof extent);
    put(run.data(), run.size());
    run.clear();
  };
  for (const auto& [address, page] : record_->pages) {
    for (size_t at = 0; at < kPage;) {
      if (!page.known[at]) {
        at++;
        continue;
      }
      const size_t from = at;
      while (at < kPage && page.known[at]) at++;
      if (run.empty() || begin + run.size() != address + from) {
        flush();
        begin = address + from;
      }
      run.insert(run.end(), page.bytes + from, page.bytes + at);
    }
  }
  flush();
  const bool failed = ferror(file) != 0;
  if (fclose(file) != 0 || failed) throw Failure(kNoTarget, "cannot write {}: {}.", path, strerror(errno));
  return size;
}

}  // namespace weft::inspect
