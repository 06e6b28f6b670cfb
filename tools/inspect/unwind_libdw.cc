// SPDX-License-Identifier: Apache-2.0
// libdw as a second unwinder, the oracle of the first: slower, and written by others. It reads the modules' files, not the target's memory.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

#include "dwfl_session.h"
#include "failure.h"
#include "frame_memory.h"
#include "unwind.h"

namespace weft::inspect {

namespace {

class Libdw : public Unwinder {
 public:
  explicit Libdw(const Runtime& runtime)
      : runtime_(runtime), memory_(runtime.target()), session_(runtime.target(), "", false) {
    static const Dwfl_Thread_Callbacks callbacks = {
        .next_thread = [](Dwfl*, void*, void**) -> pid_t { return 0; },
        .get_thread =
            [](Dwfl*, pid_t, void* self, void** thread) {
              *thread = self;
              return true;
            },
        .memory_read = [](Dwfl*, Dwarf_Addr address, Dwarf_Word* result,
                          void* self) { return ((Libdw*)self)->read(address, result); },
        .set_initial_registers = [](Dwfl_Thread* thread, void* self) { return ((Libdw*)self)->set(thread); },
        .detach = nullptr,
        .thread_detach = nullptr,
    };
    // It asks a module for the machine, and some have no file.
    for (const Module& module : runtime.target().modules()) {
      Dwarf_Addr bias;
      Dwfl_Module* reported = session_.module_at(module.start);
      Elf* elf = reported == nullptr ? nullptr : dwfl_module_getelf(reported, &bias);
      if (elf != nullptr && dwfl_attach_state(session_.dwfl(), elf, 1, &callbacks, this)) return;
    }
    throw Failure(kNoTarget, "libdw cannot unwind {}: {}.", runtime.target().name(), dwfl_errmsg(-1));
  }

  Trace unwind(const StackCopy& copy, std::span<const char> stack) override;

 private:
  bool read(uint64_t address, Dwarf_Word* result) {
    uint64_t word = 0;
    if (!memory_.word(address, &word)) {
      unreadable_ = address;
      return false;
    }
    *result = word;
    return true;
  }
  bool set(Dwfl_Thread* thread) {
    for (unsigned i = 0; i < Registers::kCount; i++) {
      const Dwarf_Word value = copy_->registers.value[i];
      if (copy_->registers.has(i) && !dwfl_thread_state_registers(thread, (int)i, 1, &value)) return false;
    }
    dwfl_thread_state_register_pc(thread, copy_->registers.pc());
    return true;
  }
  int frame(Dwfl_Frame* state);
  struct Free {
    void operator()(Dwarf_Frame* rules) const { free(rules); }
  };
  using Rules = std::unique_ptr<Dwarf_Frame, Free>;
  Rules rules_at(uint64_t pc);
  bool is_too_much(uint64_t pc);

  const Runtime& runtime_;
  FrameMemory memory_;
  DwflSession session_;
  const StackCopy* copy_ = nullptr;
  Trace trace_;
  uint64_t unreadable_ = 0;
  bool ended_ = false;
};

// Null: there are none.
Libdw::Rules Libdw::rules_at(uint64_t pc) {
  Dwfl_Module* module = session_.module_at(pc);
  if (module == nullptr) return nullptr;
  for (auto get : {dwfl_module_eh_cfi, dwfl_module_dwarf_cfi}) {
    Dwarf_Addr bias = 0;
    Dwarf_CFI* cfi = get(module, &bias);
    Dwarf_Frame* rules = nullptr;
    if (cfi != nullptr && dwarf_cfi_addrframe(cfi, pc - bias, &rules) == 0) return Rules(rules);
  }
  return nullptr;
}

// elfutils 0.188 divides whatever an expression tells it to, and the least number by -1 ends the process; a part of a word that makes up a
// CFA it looks for by way of a null pointer. No compiler writes either.
bool Libdw::is_too_much(uint64_t pc) {
  const Rules rules = rules_at(pc);
  if (rules == nullptr) return false;
  Dwarf_Op* operations = nullptr;
  size_t count = 0;
  auto has = [&](uint8_t atom) {
    return std::any_of(operations, operations + count,
                       [&](const Dwarf_Op& operation) { return operation.atom == atom; });
  };
  if (dwarf_frame_cfa(rules.get(), &operations, &count) == 0 && (has(DW_OP_div) || has(DW_OP_deref_size))) return true;
  for (unsigned i = 0; i < Registers::kCount; i++) {
    Dwarf_Op few[3];
    if (dwarf_frame_register(rules.get(), (int)i, few, &operations, &count) == 0 && has(DW_OP_div)) return true;
  }
  return false;
}

int Libdw::frame(Dwfl_Frame* state) {
  Dwarf_Addr pc = 0;
  bool exact = false;
  if (!dwfl_frame_pc(state, &pc, nullptr)) return DWARF_CB_ABORT;
  // To tell whether the pc is exact, libdw goes on to the next frame.
  const bool too_much = is_too_much(pc) || is_too_much(pc - 1);
  if (!too_much && !dwfl_frame_pc(state, &pc, &exact)) return DWARF_CB_ABORT;
  const bool end = copy_->coroutine.id != 0 && runtime_.in_trampoline(pc);
  trace_.frames.push_back({pc, 0, exact || end || trace_.frames.empty()});
  if (end) {
    ended_ = true;
    return DWARF_CB_ABORT;
  }
  if (trace_.frames.size() >= kMaxFrames) {
    trace_.ending = Ending::truncated;
    return DWARF_CB_ABORT;
  }
  // Without rules libdw follows frame pointers, and says nothing of it.
  if (too_much || rules_at(trace_.frames.back().exact ? pc : pc - 1) == nullptr) {
    trace_.ending = Ending::no_unwind_info;
    trace_.where = pc;
    return DWARF_CB_ABORT;
  }
  return DWARF_CB_OK;
}

Trace Libdw::unwind(const StackCopy& copy, std::span<const char> stack) {
  trace_ = {};
  trace_.ending = copy.ending;
  if (stack.empty()) return trace_;
  copy_ = &copy;
  memory_.set_stack(copy.low, stack);
  unreadable_ = 0;
  ended_ = false;
  const int result = dwfl_getthread_frames(
      session_.dwfl(), 1, [](Dwfl_Frame* state, void* self) { return ((Libdw*)self)->frame(state); }, this);
  if (ended_ || trace_.ending != Ending::complete) return trace_;
  if (result < 0) {
    trace_.where = unreadable_;
    trace_.ending = unreadable_ != 0 && !copy.in_system_call ? Ending::unreadable : Ending::truncated;
  } else if (copy.coroutine.id != 0) {
    trace_.ending = Ending::truncated;
  }
  return trace_;
}

}  // namespace

std::unique_ptr<Unwinder> make_libdw_unwinder(const Runtime& runtime) { return std::make_unique<Libdw>(runtime); }

}  // namespace weft::inspect
