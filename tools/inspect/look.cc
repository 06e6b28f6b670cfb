// SPDX-License-Identifier: Apache-2.0
// One look: copies, traces in groups, and what is shown of them.
#include "look.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <unordered_map>

#include "failure.h"
#include "options.h"

namespace weft::inspect {

namespace {

// Modules of the C library, the loader and compilers' runtimes: no program's own.
bool is_system(const Module& module) {
  const std::string name = module.name();
  for (const char* prefix :
       {"libc.so", "libc-", "ld-linux", "ld-", "libpthread", "libm.so", "libm-", "librt", "libdl", "libstdc++",
        "libgcc_s", "libc++", "libunwind", "[vdso]", "libasan", "libtsan", "libubsan"}) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

// Where the loader looks by itself: a distribution's libraries. What a program brings along, plugins too, lies elsewhere.
bool is_in_library_directory(const std::string& path) {
  std::string directory = path.substr(0, std::max<size_t>(path.rfind('/'), 1));
  for (const char* prefix : {"/usr/local", "/usr"}) {
    if (directory.starts_with(prefix)) directory.erase(0, strlen(prefix));
  }
  if (directory == "/lib" || directory == "/lib64") return true;
  return directory.starts_with("/lib/") && directory.ends_with("-linux-gnu") && directory.rfind('/') == strlen("/lib");
}

uint64_t hash_of(const Trace& trace) {
  uint64_t hash = 0xcbf29ce484222325 + (uint64_t)trace.ending;
  for (const Frame& frame : trace.frames) hash = (hash ^ frame.pc) * 0x9e3779b97f4a7c15, hash ^= hash >> 29;
  return hash;
}

bool same(const Trace& a, const Trace& b) {
  return a.ending == b.ending && a.frames.size() == b.frames.size() &&
         std::equal(a.frames.begin(), a.frames.end(), b.frames.begin(),
                    [](const Frame& x, const Frame& y) { return x.pc == y.pc; });
}

}  // namespace

Look::Look(std::unique_ptr<Target> target, const Options& options)
    : target_(std::move(target)),
      runtime_(Runtime::find(*target_)),
      symbols_(*target_, options.symbols),
      unwinder_(make_unwinder(options.unwinder, runtime_)) {
  for (const Module& module : target_->modules())
    origin_.push_back(is_system(module)                      ? Origin::system
                      : is_in_library_directory(module.path) ? Origin::library
                                                             : Origin::program);
}

void Look::take(const CopyOptions& options) {
  stacks_ = copy_stacks(runtime_, options);
  groups_.clear();
  group_of_.assign(stacks_.copies.size(), -1);
  by_address_.clear();
  by_tid_.clear();
  by_id_.clear();
  for (uint32_t i = 0; i < stacks_.copies.size(); i++) {
    const Coroutine& coroutine = stacks_.copies[i].coroutine;
    if (coroutine.id == 0) continue;
    by_address_[coroutine.address] = i;
    by_tid_[coroutine.tid] = i;
    by_id_[coroutine.id] = i;
  }
}

void Look::unwind(const std::vector<uint32_t>& which) {
  std::vector<uint32_t> all;
  if (which.empty()) {
    all.resize(stacks_.copies.size());
    std::iota(all.begin(), all.end(), 0);
  }
  const std::vector<uint32_t>& wanted = which.empty() ? all : which;
  groups_.clear();
  group_of_.assign(stacks_.copies.size(), -1);
  std::unordered_multimap<uint64_t, uint32_t> by_hash;
  for (uint32_t index : wanted) {
    StackCopy& copy = stacks_.copies[index];
    if (copy.ending == Ending::none) continue;
    Trace trace = unwinder_->unwind(copy, stacks_.bytes_of(copy));
    const size_t depth = trace.frames.size();
    if (trace.ending == Ending::complete && depth > 1) copy.end = trace.frames[depth - 2].cfa;
    const uint64_t hash = hash_of(trace);
    uint32_t group = (uint32_t)groups_.size();
    for (auto [at, end] = by_hash.equal_range(hash); at != end; ++at) {
      if (same(groups_[at->second].trace, trace)) group = at->second;
    }
    if (group == groups_.size()) {
      groups_.push_back({0, std::move(trace), {}});
      by_hash.emplace(hash, group);
    }
    groups_[group].members.push_back(index);
  }
  std::stable_sort(groups_.begin(), groups_.end(),
                   [](const Group& a, const Group& b) { return a.members.size() > b.members.size(); });
  for (size_t i = 0; i < groups_.size(); i++) {
    groups_[i].id = i + 1;
    for (uint32_t member : groups_[i].members) group_of_[member] = (int32_t)i;
  }
}

const Group* Look::group_of(uint32_t copy) const {
  const int32_t group = group_of_[copy];
  return group < 0 ? nullptr : &groups_[(size_t)group];
}

std::vector<Frame> Look::shown(const Trace& trace, bool all) const {
  std::vector<Frame> result;
  for (const Frame& frame : trace.frames) {
    if (all || !runtime_.is_own(frame.pc)) result.push_back(frame);
  }
  // Nothing but the runtime's own frames: they say at least where it was.
  return result.empty() ? trace.frames : result;
}

const Frame* Look::top(const Trace& trace) const {
  const Frame* found = nullptr;
  Origin best = Origin::system;
  for (const Frame& frame : trace.frames) {
    const Module* module = target_->module_at(frame.exact ? frame.pc : frame.pc - 1);
    if (module == nullptr || runtime_.is_own(frame.pc)) continue;
    const Origin origin = origin_[(size_t)(module - target_->modules().data())];
    if (found != nullptr && origin <= best) continue;
    found = &frame;
    best = origin;
  }
  return found;
}

namespace {

template <class Map, class Key>
const Coroutine* found_in(const Map& map, Key key, const Stacks& stacks) {
  auto found = map.find(key);
  return found == map.end() ? nullptr : &stacks.copies[found->second].coroutine;
}

}  // namespace

const Coroutine* Look::by_address(uint64_t slot) const { return found_in(by_address_, slot, stacks_); }
const Coroutine* Look::by_tid(int tid) const { return found_in(by_tid_, tid, stacks_); }
const Coroutine* Look::by_id(uint32_t id) const { return found_in(by_id_, id, stacks_); }

int Look::status(bool strict) const {
  size_t unreadable = 0, incomplete = 0;
  for (size_t i = 0; i < stacks_.copies.size(); i++) {
    const Ending ending = group_of_[i] < 0 ? stacks_.copies[i].ending : groups_[(size_t)group_of_[i]].trace.ending;
    if (ending == Ending::unreadable) unreadable++;
    if (ending != Ending::complete && ending != Ending::none) incomplete++;
  }
  const std::string damage = target_->damage();
  if (!damage.empty()) {
    warn(damage.find(": truncated: ") != std::string::npos && damage.find('\n') == std::string::npos
             ? fmt::format("{}; {} stacks unreadable.", damage, unreadable)
             : damage);
    return kTruncated;
  }
  if (target_->kind() == Target::Kind::core && unreadable != 0) {
    warn(fmt::format(
        "{}: {} stacks are not in it. gcore stops copying a mapping at its first guard page: run the program with "
        "WEFT_GUARDS=mprotect, or take the kernel's core (ulimit -c), or weft snap.",
        target_->name(), unreadable));
    return kTruncated;
  }
  if (strict && incomplete != 0) {
    warn(fmt::format("{} of {} stacks are not complete (--strict).", incomplete, stacks_.copies.size()));
    return kPartial;
  }
  return kFine;
}

}  // namespace weft::inspect
