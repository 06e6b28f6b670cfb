// SPDX-License-Identifier: Apache-2.0
// A read-only view of a file as the kernel's exec and ld.so see it: what loader it asks for, what it NEEDs, which
// symbols it imports. Files are not to be trusted: every offset, count and string is checked against the file's size
// before it is used, and what does not fit counts as absent or makes the file `broken`. Only program headers are
// believed for what is loaded; section headers, which strip may remove, serve for the name of a section alone.
#pragma once

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include <string_view>

#include "mapped_file.h"

namespace weft {

enum class FileFormat {
  unreadable,     // it could not be opened or mapped: error() says why
  empty,          // no byte in it
  script,         // begins with "#!"
  plain_text,     // no magic number, and no NUL in its first line: execvp gives such files to /bin/sh
  unknown,        // some other binary
  broken,         // ELF magic, but headers that lead out of the file or make no sense
  other_machine,  // ELF of another architecture, word size or byte order
  native,         // ELF that this launcher can read
};

class ElfFile {
 public:
  explicit ElfFile(const char* path);

  FileFormat format() const { return format_; }
  int error() const { return file_.error(); }
  std::string_view bytes() const { return file_.bytes(); }

  // For other_machine: what it is for, in words.
  const char* machine() const;

  // The rest is for native files.
  bool is_program() const { return header_.e_type == ET_EXEC || header_.e_type == ET_DYN; }
  bool is_shared() const { return header_.e_type == ET_DYN; }
  bool has_dynamic() const { return dynamic_count_ > 0; }
  const char* interpreter() const { return interpreter_; }  // null: none
  const char* soname() const { return dynamic_string(DT_SONAME); }
  const char* rpath() const { return dynamic_string(DT_RPATH); }
  const char* runpath() const { return dynamic_string(DT_RUNPATH); }
  bool is_go() const;

  // Walks over the DT_NEEDED names: start with a cursor of 0; null at the end.
  const char* next_needed(size_t& cursor) const;

  // Walks over the names of undefined symbols that a relocation asks for, some more than once. They are found by the
  // relocations because nothing that is loaded says how long the symbol table is.
  struct ImportCursor {
    unsigned table = 0;
    uint64_t index = 0;
  };
  const char* next_import(ImportCursor& cursor) const;

 private:
  FileFormat read_format();
  FileFormat read_headers();
  bool read_segments();
  void find_tables();
  bool read_segment(unsigned index, Elf64_Phdr& segment) const;
  bool read_dynamic(size_t index, Elf64_Dyn& entry) const;
  bool find_offset(uint64_t address, uint64_t& offset) const;
  bool find_dynamic(int64_t tag, uint64_t& value) const;
  const char* dynamic_string(int64_t tag) const;
  const char* string_of_table(uint64_t offset) const;
  bool has_section(const char* name) const;

  MappedFile file_;
  Elf64_Ehdr header_ = {};
  const char* interpreter_ = nullptr;
  uint64_t dynamic_offset_ = 0;
  size_t dynamic_count_ = 0;
  uint64_t strings_offset_ = 0;  // of DT_STRTAB; strings_end_ == strings_offset_: none
  uint64_t strings_end_ = 0;
  uint64_t symbols_offset_ = 0;  // of DT_SYMTAB; 0: none
  struct Relocations {
    uint64_t offset = 0;
    uint64_t count = 0;
  };
  Relocations relocations_[2];  // DT_RELA, DT_JMPREL
  FileFormat format_;           // the last member: finding it out fills in those above
};

}  // namespace weft
