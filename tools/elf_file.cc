// SPDX-License-Identifier: Apache-2.0
// The bounded ELF reader.
#include "elf_file.h"

#include <string.h>

#include "message.h"
#include "this_cpu.h"

namespace weft {
namespace {

constexpr size_t kLongestLine = 256;        // the kernel reads no more of a script's first line
constexpr uint64_t kMostDynamic = 1 << 16;  // entries of a dynamic section that are looked at
constexpr uint64_t kMostRelocations = 1 << 24;

struct Machine {
  uint16_t number;
  const char* name;
};

constexpr Machine kMachines[] = {
    {EM_386, "i386"},      {EM_X86_64, "x86-64"}, {EM_ARM, "ARM"},          {EM_AARCH64, "AArch64"},
    {EM_RISCV, "RISC-V"},  {EM_PPC, "PowerPC"},   {EM_PPC64, "PowerPC 64"}, {EM_S390, "S/390"},
    {EM_MIPS, "MIPS"},     {EM_SPARC, "SPARC"},   {EM_SPARCV9, "SPARC"},    {EM_LOONGARCH, "LoongArch"},
    {EM_IA_64, "Itanium"},
};

}  // namespace

ElfFile::ElfFile(const char* path) : file_(path), format_(read_format()) {}

FileFormat ElfFile::read_format() {
  const std::string_view bytes = file_.bytes();
  if (file_.error() != 0) return FileFormat::unreadable;
  if (bytes.empty()) return FileFormat::empty;
  if (file_.begins_with(ELFMAG)) return read_headers();
  if (file_.begins_with("#!")) return FileFormat::script;
  for (size_t i = 0; i < bytes.size() && i < kLongestLine && bytes[i] != '\n'; i++) {
    if (bytes[i] == '\0') return FileFormat::unknown;
  }
  return FileFormat::plain_text;
}

FileFormat ElfFile::read_headers() {
  // Up to e_machine all ELF headers are alike.
  if (!file_.read(0, &header_, offsetof(Elf64_Ehdr, e_version))) return FileFormat::broken;
  const unsigned char* ident = header_.e_ident;
  if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB || header_.e_machine != kMachine) {
    return FileFormat::other_machine;
  }
  if (!file_.read(0, &header_, sizeof(header_))) return FileFormat::broken;
  if (!read_segments()) return FileFormat::broken;
  find_tables();
  return FileFormat::native;
}

bool ElfFile::read_segments() {
  if (header_.e_phnum == 0) return !is_program();  // object files have none
  if (header_.e_phentsize != sizeof(Elf64_Phdr)) return false;
  for (unsigned i = 0; i < header_.e_phnum; i++) {
    Elf64_Phdr segment;
    if (!read_segment(i, segment)) return false;
    if (segment.p_type != PT_INTERP && segment.p_type != PT_DYNAMIC) continue;
    if (segment.p_offset > file_.size() || segment.p_filesz > file_.size() - segment.p_offset) return false;
    if (segment.p_type == PT_DYNAMIC) {
      dynamic_offset_ = segment.p_offset;
      dynamic_count_ = segment.p_filesz / sizeof(Elf64_Dyn);
      if (dynamic_count_ > kMostDynamic) dynamic_count_ = kMostDynamic;
    } else {
      interpreter_ = file_.string_at(segment.p_offset, segment.p_offset + segment.p_filesz);
      if (interpreter_ == nullptr) return false;
    }
  }
  return true;
}

void ElfFile::find_tables() {
  uint64_t address;
  uint64_t length;
  if (find_dynamic(DT_STRTAB, address) && find_dynamic(DT_STRSZ, length) && find_offset(address, strings_offset_)) {
    const uint64_t room = file_.size() - strings_offset_;
    strings_end_ = strings_offset_ + (length < room ? length : room);
  }
  if (find_dynamic(DT_SYMTAB, address) && !find_offset(address, symbols_offset_)) symbols_offset_ = 0;
  constexpr int64_t kTags[2][2] = {{DT_RELA, DT_RELASZ}, {DT_JMPREL, DT_PLTRELSZ}};
  for (int i = 0; i < 2; i++) {
    Relocations& table = relocations_[i];
    if (!find_dynamic(kTags[i][0], address) || !find_dynamic(kTags[i][1], length)) continue;
    if (!find_offset(address, table.offset)) continue;
    const uint64_t room = file_.size() - table.offset;
    table.count = (length < room ? length : room) / sizeof(Elf64_Rela);
    if (table.count > kMostRelocations) table.count = kMostRelocations;
  }
}

const char* ElfFile::machine() const {
  const char* name = nullptr;
  const bool swapped = header_.e_ident[EI_DATA] == ELFDATA2MSB;
  const uint16_t number = swapped ? __builtin_bswap16(header_.e_machine) : header_.e_machine;
  for (const Machine& machine : kMachines) {
    if (machine.number == number) name = machine.name;
  }
  if (name == nullptr) name = text("machine %u", number);
  const bool narrow = header_.e_ident[EI_CLASS] == ELFCLASS32;
  return text("%s %s%s", narrow ? "32-bit" : "64-bit", name, swapped ? ", big-endian" : "");
}

bool ElfFile::is_go() const {
  if (has_section(".go.buildinfo")) return true;
  // Go's own linker leaves a note by the name of "Go" as well, which stripping all section headers does not remove.
  for (unsigned i = 0; i < header_.e_phnum; i++) {
    Elf64_Phdr segment;
    Elf64_Nhdr note;
    char name[4];
    if (!read_segment(i, segment) || segment.p_type != PT_NOTE) continue;
    if (!file_.read(segment.p_offset, &note, sizeof(note)) || note.n_namesz != sizeof(name)) continue;
    if (file_.read(segment.p_offset + sizeof(note), name, sizeof(name)) && memcmp(name, "Go\0", sizeof(name)) == 0)
      return true;
  }
  return false;
}

const char* ElfFile::next_needed(size_t& cursor) const {
  Elf64_Dyn entry;
  while (read_dynamic(cursor, entry)) {
    cursor++;
    if (entry.d_tag != DT_NEEDED) continue;
    const char* name = string_of_table(entry.d_un.d_val);
    if (name != nullptr && *name != '\0') return name;
  }
  return nullptr;
}

const char* ElfFile::next_import(ImportCursor& cursor) const {
  if (symbols_offset_ == 0) return nullptr;
  for (; cursor.table < 2; cursor.table++, cursor.index = 0) {
    const Relocations& table = relocations_[cursor.table];
    while (cursor.index < table.count) {
      Elf64_Rela relocation;
      Elf64_Sym symbol;
      if (!file_.read(table.offset + cursor.index++ * sizeof(relocation), &relocation, sizeof(relocation))) break;
      const uint64_t number = ELF64_R_SYM(relocation.r_info);
      if (number == 0 || !file_.read(symbols_offset_ + number * sizeof(symbol), &symbol, sizeof(symbol))) continue;
      if (symbol.st_shndx != SHN_UNDEF) continue;
      const char* name = string_of_table(symbol.st_name);
      if (name != nullptr && *name != '\0') return name;
    }
  }
  return nullptr;
}

bool ElfFile::read_segment(unsigned index, Elf64_Phdr& segment) const {
  if (header_.e_phoff > file_.size()) return false;
  return file_.read(header_.e_phoff + uint64_t{index} * sizeof(segment), &segment, sizeof(segment));
}

// False behind the last entry.
bool ElfFile::read_dynamic(size_t index, Elf64_Dyn& entry) const {
  return index < dynamic_count_ && file_.read(dynamic_offset_ + index * sizeof(entry), &entry, sizeof(entry)) &&
         entry.d_tag != DT_NULL;
}

// Where in the file is what will be loaded at this address? The offset is inside the file.
bool ElfFile::find_offset(uint64_t address, uint64_t& offset) const {
  for (unsigned i = 0; i < header_.e_phnum; i++) {
    Elf64_Phdr segment;
    if (!read_segment(i, segment) || segment.p_type != PT_LOAD) continue;
    if (address < segment.p_vaddr || address - segment.p_vaddr >= segment.p_filesz) continue;
    const uint64_t distance = address - segment.p_vaddr;
    if (segment.p_offset >= file_.size() || distance >= file_.size() - segment.p_offset) return false;
    offset = segment.p_offset + distance;
    return true;
  }
  return false;
}

bool ElfFile::find_dynamic(int64_t tag, uint64_t& value) const {
  Elf64_Dyn entry;
  for (size_t i = 0; read_dynamic(i, entry); i++) {
    if (entry.d_tag == tag) {
      value = entry.d_un.d_val;
      return true;
    }
  }
  return false;
}

const char* ElfFile::dynamic_string(int64_t tag) const {
  uint64_t offset;
  return find_dynamic(tag, offset) ? string_of_table(offset) : nullptr;
}

const char* ElfFile::string_of_table(uint64_t offset) const {
  if (offset >= strings_end_ - strings_offset_) return nullptr;
  return file_.string_at(strings_offset_ + offset, strings_end_);
}

bool ElfFile::has_section(const char* name) const {
  Elf64_Shdr names;
  if (header_.e_shoff == 0 || header_.e_shoff > file_.size() || header_.e_shentsize != sizeof(names)) return false;
  if (!file_.read(header_.e_shoff + uint64_t{header_.e_shstrndx} * sizeof(names), &names, sizeof(names))) return false;
  if (names.sh_offset > file_.size() || names.sh_size > file_.size() - names.sh_offset) return false;
  for (unsigned i = 0; i < header_.e_shnum; i++) {
    Elf64_Shdr section;
    if (!file_.read(header_.e_shoff + uint64_t{i} * sizeof(section), &section, sizeof(section))) return false;
    if (section.sh_name >= names.sh_size) continue;
    const char* found = file_.string_at(names.sh_offset + section.sh_name, names.sh_offset + names.sh_size);
    if (found != nullptr && strcmp(found, name) == 0) return true;
  }
  return false;
}

}  // namespace weft
