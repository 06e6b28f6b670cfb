// SPDX-License-Identifier: Apache-2.0
// .eh_frame read as far as it takes to find the instructions of a CIE and an FDE, and these as far as it takes to find their expressions.
#include "unwind_rules.h"

#include <dwarf.h>

#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "frame_memory.h"

namespace weft::inspect {

namespace {

constexpr uint32_t kMostBytes = 64 << 10;  // of a CIE or an FDE; a function of thousands of calls has ten
constexpr unsigned kReturnAddress = 16;
constexpr unsigned kRegisters = 17;

// Bytes that are read one after the other. What is not there reads as 0 and is remembered.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : left_(bytes) {}

  bool is_whole() const { return whole_; }
  bool is_at_end() const { return left_.empty(); }
  void fail() { whole_ = false, left_ = {}; }
  std::span<const uint8_t> take(uint64_t size) {
    if (size > left_.size()) {
      fail();
      return {};
    }
    const std::span<const uint8_t> taken = left_.first(size);
    left_ = left_.subspan(size);
    return taken;
  }
  uint8_t byte() {
    const std::span<const uint8_t> taken = take(1);
    return taken.empty() ? 0 : taken[0];
  }
  uint64_t leb128() {  // of a signed one the bits, without its sign
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const uint8_t part = byte();
      if (shift < 64) value |= (uint64_t)(part & 0x7f) << shift;
      if (part < 0x80) return value;
    }
  }

 private:
  std::span<const uint8_t> left_;
  bool whole_ = true;
};

// Bytes of an encoded pointer.
std::optional<unsigned> size_of(uint8_t encoding) {
  if (encoding == DW_EH_PE_omit) return 0;
  if ((encoding & 0x70) == DW_EH_PE_aligned) return std::nullopt;
  switch (encoding & 0x0f) {
    case DW_EH_PE_absptr:
    case DW_EH_PE_udata8:
    case DW_EH_PE_sdata8:
      return 8;
    case DW_EH_PE_udata4:
    case DW_EH_PE_sdata4:
      return 4;
    case DW_EH_PE_udata2:
    case DW_EH_PE_sdata2:
      return 2;
    default:
      return std::nullopt;
  }
}

// Sums and comparisons; numbers and registers, of which each has an operation of its own.
bool is_operation_sane(uint8_t operation) {
  switch (operation) {
    case DW_OP_addr:
    case DW_OP_deref:
    case DW_OP_deref_size:
    case DW_OP_const1u:
    case DW_OP_const1s:
    case DW_OP_const2u:
    case DW_OP_const2s:
    case DW_OP_const4u:
    case DW_OP_const4s:
    case DW_OP_const8u:
    case DW_OP_const8s:
    case DW_OP_constu:
    case DW_OP_consts:
    case DW_OP_dup:
    case DW_OP_drop:
    case DW_OP_over:
    case DW_OP_pick:
    case DW_OP_swap:
    case DW_OP_rot:
    case DW_OP_regx:
    case DW_OP_nop:
      return true;
    case DW_OP_div:
    case DW_OP_skip:
    case DW_OP_bra:
      return false;
    default:
      return (operation >= DW_OP_abs && operation <= DW_OP_ne) ||
             (operation >= DW_OP_lit0 && operation <= DW_OP_breg31);
  }
}

bool is_expression_sane(std::span<const uint8_t> bytes) {
  Reader reader(bytes);
  while (!reader.is_at_end()) {
    const uint8_t operation = reader.byte();
    if (!is_operation_sane(operation)) return false;
    if (operation >= DW_OP_breg0 && operation <= DW_OP_breg31) {
      reader.leb128();
      continue;
    }
    switch (operation) {
      case DW_OP_addr:
      case DW_OP_const8u:
      case DW_OP_const8s:
        reader.take(8);
        break;
      case DW_OP_const4u:
      case DW_OP_const4s:
        reader.take(4);
        break;
      case DW_OP_const2u:
      case DW_OP_const2s:
        reader.take(2);
        break;
      case DW_OP_const1u:
      case DW_OP_const1s:
      case DW_OP_pick:
      case DW_OP_deref_size:
        reader.take(1);
        break;
      case DW_OP_constu:
      case DW_OP_consts:
      case DW_OP_plus_uconst:
      case DW_OP_regx:
        reader.leb128();
        break;
      default:
        break;
    }
  }
  return reader.is_whole();
}

// `pointer`: bytes of one in DW_CFA_set_loc.
bool are_instructions_sane(Reader reader, unsigned pointer) {
  while (!reader.is_at_end()) {
    const uint8_t instruction = reader.byte();
    bool known_register = true, sane = true;
    auto take_register = [&] { known_register = known_register && reader.leb128() < kRegisters; };
    switch (instruction & 0xc0) {
      case DW_CFA_advance_loc:
        continue;
      case DW_CFA_offset:
        reader.leb128();
        continue;
      case DW_CFA_restore:
        continue;
      default:
        break;
    }
    switch (instruction) {
      case DW_CFA_nop:
      case DW_CFA_remember_state:
      case DW_CFA_restore_state:
        break;
      case DW_CFA_set_loc:
        reader.take(pointer);
        break;
      case DW_CFA_advance_loc1:
        reader.take(1);
        break;
      case DW_CFA_advance_loc2:
        reader.take(2);
        break;
      case DW_CFA_advance_loc4:
        reader.take(4);
        break;
      case DW_CFA_offset_extended:
      case DW_CFA_offset_extended_sf:
      case DW_CFA_def_cfa:
      case DW_CFA_def_cfa_sf:
      case DW_CFA_val_offset:
      case DW_CFA_val_offset_sf:
      case DW_CFA_GNU_negative_offset_extended:
        reader.leb128();
        reader.leb128();
        break;
      case DW_CFA_register:
        reader.leb128();
        take_register();
        break;
      case DW_CFA_restore_extended:
      case DW_CFA_undefined:
      case DW_CFA_same_value:
      case DW_CFA_def_cfa_register:
      case DW_CFA_def_cfa_offset:
      case DW_CFA_def_cfa_offset_sf:
      case DW_CFA_GNU_args_size:
        reader.leb128();
        break;
      case DW_CFA_expression:
      case DW_CFA_val_expression:
        reader.leb128();
        [[fallthrough]];
      case DW_CFA_def_cfa_expression:
        sane = is_expression_sane(reader.take(reader.leb128()));
        break;
      default:
        sane = false;
    }
    if (!sane || !known_register) return false;
  }
  return reader.is_whole();
}

// A CIE or an FDE behind its length; empty: it is not all there.
std::vector<uint8_t> record_at(FrameMemory& memory, uint64_t address) {
  uint32_t length = 0;
  std::vector<uint8_t> record;
  if (!memory.bytes(address, &length, sizeof length) || length > kMostBytes) return record;
  record.resize(length);
  if (!memory.bytes(address + sizeof length, record.data(), length)) record.clear();
  return record;
}

struct Pointers {
  unsigned size = 0;  // of those in FDEs
  bool augmented = false;
};

// False: no CIE, or none that is sane.
bool read_cie(const std::vector<uint8_t>& record, Pointers* pointers) {
  Reader reader(record);
  uint32_t id = 1;
  const std::span<const uint8_t> bytes = reader.take(sizeof id);
  if (!bytes.empty()) memcpy(&id, bytes.data(), sizeof id);
  const uint8_t version = reader.byte();
  if (id != 0 || (version != 1 && version != 3)) return false;
  std::string augmentation;
  constexpr size_t kLongest = 5;  // libunwind looks at no more
  while (const uint8_t letter = reader.byte()) {
    augmentation += (char)letter;
    if (augmentation.size() > kLongest) return false;
  }
  reader.leb128();
  reader.leb128();
  if ((version == 1 ? reader.byte() : reader.leb128()) != kReturnAddress) return false;
  uint8_t encoding = DW_EH_PE_absptr;
  pointers->augmented = augmentation.starts_with('z');
  if (!pointers->augmented && !augmentation.empty()) return false;
  if (pointers->augmented) {
    Reader data(reader.take(reader.leb128()));
    for (const char letter : augmentation.substr(1)) {
      if (letter == 'R') {
        encoding = data.byte();
      } else if (letter == 'L') {
        data.byte();
      } else if (letter == 'P') {
        const std::optional<unsigned> size = size_of(data.byte());
        if (!size) return false;
        data.take(*size);
      } else if (letter != 'S') {
        return false;
      }
    }
    if (!data.is_whole()) return false;
  }
  const std::optional<unsigned> size = size_of(encoding);
  if (!size || *size == 0) return false;
  pointers->size = *size;
  return reader.is_whole() && are_instructions_sane(reader, pointers->size);
}

// The last entry that begins at or before `pc`: by libunwind's own steps, so that it is the same one in a table that is not in order too.
std::optional<uint64_t> find_fde(FrameMemory& memory, uint64_t header, uint64_t table, uint64_t count, uint64_t pc) {
  struct Entry {
    int32_t begin, fde;
  };
  const int32_t wanted = (int32_t)(pc - header);
  std::optional<uint64_t> found;
  for (uint64_t low = 0, high = count; low < high;) {
    const uint64_t middle = (low + high) / 2;
    Entry entry;
    if (!memory.bytes(table + middle * sizeof entry, &entry, sizeof entry)) return std::nullopt;
    if (wanted < entry.begin) {
      high = middle;
    } else {
      found = header + (uint64_t)(int64_t)entry.fde;
      low = middle + 1;
    }
  }
  return found;
}

}  // namespace

bool are_rules_sane(FrameMemory& memory, uint64_t header, uint64_t table, uint64_t count, uint64_t pc) {
  const std::optional<uint64_t> address = find_fde(memory, header, table, count, pc);
  if (!address) return false;
  const std::vector<uint8_t> fde = record_at(memory, *address);
  Reader reader(fde);
  int32_t distance = 0;
  const std::span<const uint8_t> bytes = reader.take(sizeof distance);
  if (bytes.empty()) return false;
  memcpy(&distance, bytes.data(), sizeof distance);
  Pointers pointers;
  if (!read_cie(record_at(memory, *address + 4 - (uint64_t)(int64_t)distance), &pointers)) return false;
  reader.take(2 * pointers.size);
  if (pointers.augmented) reader.take(reader.leb128());
  return reader.is_whole() && are_instructions_sane(reader, pointers.size);
}

}  // namespace weft::inspect
