// SPDX-License-Identifier: Apache-2.0
// libunwind with accessors of our own. Its ptrace and core accessors were tried and rejected: the first takes 30 to 1,000 times as long,
// the second finds nothing in files whose code has a segment of its own.
//
// It remembers the rules of each pc in the address space, one for a target, so a stack costs a few loads a frame. Where it finds no rules
// it would go on by guessing: the accessor notes that, and the walk ends there.
#define UNW_REMOTE_ONLY
#include <libunwind.h>
#include <signal.h>

#include <cerrno>
#include <cstring>

#include "failure.h"
#include "frame_memory.h"
#include "unwind.h"
#include "unwind_rules.h"

// Of libunwind's own files, not declared in its headers: the search in a table that lies in the target.
extern "C" int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t space, unw_word_t ip, unw_dyn_info_t* info,
                                                  unw_proc_info_t* found, int need_unwind_info, void* argument);

namespace {

bool is_walking = false;

}  // namespace

// libunwind blocks all signals around each look into its memory of rules: two system calls a frame, 870,000 for 10,000 stacks and half of
// what they cost. No handler of ours unwinds, and there is one thread: while it walks there is nothing to be blocked. Libraries find this
// definition before libc's because it is the executable's.
extern "C" int sigprocmask(int how, const sigset_t* set, sigset_t* old) noexcept {
  if (!is_walking) {
    const int error = pthread_sigmask(how, set, old);
    if (error != 0) errno = error;
    return error == 0 ? 0 : -1;
  }
  if (old != nullptr) sigemptyset(old);
  return 0;
}

namespace weft::inspect {

namespace {

// The header of .eh_frame_hdr, with the one encoding of its table that linkers make.
struct EhFrameHeader {
  uint8_t version, frame_encoding, count_encoding, table_encoding;
};
constexpr uint8_t kPcRelative4 = 0x1b, kUnsigned4 = 0x03, kDataRelative4 = 0x3b;

class Libunwind : public Unwinder {
 public:
  explicit Libunwind(const Runtime& runtime) : runtime_(runtime), memory_(runtime.target()) {
    static unw_accessors_t accessors = {
        .find_proc_info = &Libunwind::find_proc_info,
        .put_unwind_info = [](unw_addr_space_t, unw_proc_info_t*, void*) {},
        .get_dyn_info_list_addr = [](unw_addr_space_t, unw_word_t*, void*) { return -UNW_ENOINFO; },
        .access_mem = &Libunwind::access_mem,
        .access_reg = &Libunwind::access_reg,
        .access_fpreg = [](unw_addr_space_t, unw_regnum_t, unw_fpreg_t*, int, void*) { return -UNW_EBADREG; },
        .resume = [](unw_addr_space_t, unw_cursor_t*, void*) { return -UNW_EINVAL; },
        .get_proc_name = [](unw_addr_space_t, unw_word_t, char*, size_t, unw_word_t*, void*) { return -UNW_ENOINFO; },
    };
    space_ = unw_create_addr_space(&accessors, 0);
    if (space_ == nullptr) throw Failure(kNoTarget, "libunwind has no memory.");
    unw_set_caching_policy(space_, UNW_CACHE_GLOBAL);
    unw_set_cache_size(space_, 4096, 0);
  }
  ~Libunwind() override { unw_destroy_addr_space(space_); }

  Trace unwind(const StackCopy& copy, std::span<const char> stack) override {
    is_walking = true;
    Trace trace = walk(copy, stack);
    is_walking = false;
    return trace;
  }

 private:
  static int find_proc_info(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t* found, int need, void* self) {
    return ((Libunwind*)self)->find(space, ip, found, need);
  }
  static int access_mem(unw_addr_space_t, unw_word_t address, unw_word_t* value, int write, void* self) {
    Libunwind& own = *(Libunwind*)self;
    uint64_t word;
    if (write != 0) return -UNW_EINVAL;
    if (!own.memory_.word(address, &word)) {
      own.unreadable_ = address;
      return -UNW_EINVAL;
    }
    *value = word;
    return 0;
  }
  static int access_reg(unw_addr_space_t, unw_regnum_t number, unw_word_t* value, int write, void* self) {
    const Registers& registers = *((Libunwind*)self)->registers_;
    // libunwind's numbers of x86-64 are those of DWARF.
    if (write != 0 || number < 0 || number >= (int)Registers::kCount) return -UNW_EBADREG;
    // Saving one that is not known would fail the whole frame; it matters only if a frame is found by it, which is checked there.
    *value = registers.value[(unsigned)number];
    return 0;
  }
  Trace walk(const StackCopy& copy, std::span<const char> stack);
  int find(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t* found, int need);
  Ending memory_missing(const StackCopy& copy, std::span<const char> stack) const;

  const Runtime& runtime_;
  FrameMemory memory_;
  unw_addr_space_t space_ = nullptr;
  const Registers* registers_ = nullptr;
  uint64_t unreadable_ = 0;
  uint64_t no_rules_ = 0;
};

int Libunwind::find(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t* found, int need) {
  no_rules_ = ip;
  const Module* module = runtime_.target().module_at(ip);
  if (module == nullptr || module->eh_frame_hdr == 0) return -UNW_ENOINFO;
  EhFrameHeader header;
  uint32_t count;
  if (!memory_.bytes(module->eh_frame_hdr, &header, sizeof header) ||
      !memory_.bytes(module->eh_frame_hdr + 8, &count, sizeof count) || header.version != 1 ||
      header.frame_encoding != kPcRelative4 || header.count_encoding != kUnsigned4 ||
      header.table_encoding != kDataRelative4)
    return -UNW_ENOINFO;
  unw_dyn_info_t info{};
  info.format = UNW_INFO_FORMAT_REMOTE_TABLE;
  info.start_ip = module->start;
  info.end_ip = module->end;
  info.u.rti.segbase = module->eh_frame_hdr;
  info.u.rti.table_data = module->eh_frame_hdr + 12;
  info.u.rti.table_len = (uint64_t)count * 8 / sizeof(unw_word_t);
  if (!are_rules_sane(memory_, info.u.rti.segbase, info.u.rti.table_data, count, ip)) return -UNW_ENOINFO;
  const int result = UNW_OBJ(dwarf_search_unwind_table)(space, ip, &info, found, need, this);
  if (result == 0) no_rules_ = 0;
  return result;
}

// The copy's own bounds are no fault of the memory, and neither is an address made of a register that was not to be had.
Ending Libunwind::memory_missing(const StackCopy& copy, std::span<const char> stack) const {
  const bool behind_limit = stack.size() == kStackLimit && unreadable_ >= copy.low + stack.size();
  return copy.in_system_call || behind_limit ? Ending::truncated : Ending::unreadable;
}

Trace Libunwind::walk(const StackCopy& copy, std::span<const char> stack) {
  Trace trace;
  trace.ending = copy.ending;
  if (stack.empty()) return trace;
  memory_.set_stack(copy.low, stack);
  registers_ = &copy.registers;
  unreadable_ = no_rules_ = 0;
  unw_cursor_t cursor;
  if (unw_init_remote(&cursor, space_, this) != 0) {
    trace.ending = Ending::unreadable;
    return trace;
  }
  const bool coroutine = copy.coroutine.id != 0;
  bool exact = true;  // also behind a signal's frame: what it interrupted stands at the pc itself
  uint64_t last_sp = 0;
  for (;;) {
    unw_word_t pc = 0, sp = 0;
    unw_get_reg(&cursor, UNW_REG_IP, &pc);
    unw_get_reg(&cursor, UNW_REG_SP, &sp);
    if (!trace.frames.empty()) trace.frames.back().cfa = sp;
    if (pc == 0) break;
    // One that has not run yet goes on at the trampoline's first byte; the byte before it is another function's.
    const bool end = coroutine && runtime_.in_trampoline(pc);
    const bool signal = !end && !trace.frames.empty() && unw_is_signal_frame(&cursor) > 0;
    trace.frames.push_back({pc, 0, exact || signal || end});
    if (end) return trace;
    // A stack that does not grow is a damaged one; only a handler on a stack of its own may lead elsewhere.
    if (trace.frames.size() >= kMaxFrames || (sp <= last_sp && !exact && !signal)) {
      trace.ending = Ending::truncated;
      trace.where = pc;
      return trace;
    }
    last_sp = sp;
    unreadable_ = no_rules_ = 0;
    const int step = unw_step(&cursor);
    if (no_rules_ != 0 || step < 0) {
      const bool missing = no_rules_ == 0 && unreadable_ != 0;
      trace.where = missing ? unreadable_ : pc;
      trace.ending = missing          ? memory_missing(copy, stack)
                     : no_rules_ != 0 ? Ending::no_unwind_info
                                      : Ending::truncated;
      return trace;
    }
    if (step == 0) break;
    exact = signal;
  }
  // Only its first function ends a coroutine's stack.
  if (coroutine) trace.ending = Ending::truncated;
  return trace;
}

}  // namespace

std::unique_ptr<Unwinder> make_libdw_unwinder(const Runtime& runtime);

std::unique_ptr<Unwinder> make_unwinder(UnwinderKind kind, const Runtime& runtime) {
  if (kind == UnwinderKind::libdw) return make_libdw_unwinder(runtime);
  return std::make_unique<Libunwind>(runtime);
}

}  // namespace weft::inspect
