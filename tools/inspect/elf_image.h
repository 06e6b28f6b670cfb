// SPDX-License-Identifier: Apache-2.0
// ELF files as they lie in a target's memory: which mappings are modules, their program headers, notes and build-ids.
//
// What lies there was written by others: every length and offset is checked before it is used.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "target.h"

namespace weft::inspect {

constexpr uint64_t kPage = 4096;

struct Note {
  std::string_view name;  // without its zero
  uint32_t type;
  std::span<const char> content;
  size_t offset;  // of the content from the beginning of the notes
};
void for_each_note(std::span<const char> notes, const std::function<void(const Note&)>& visit);

// The modules among the mappings of a target that can already read memory; both are in the order of addresses.
std::vector<Module> find_modules(Target& target);

// The notes of a module, read from the target's memory; `visit` gets the address of the content too.
void for_each_note(Target& target, const Module& module,
                   const std::function<void(const Note&, uint64_t address)>& visit);

// Of an open file; "" if it has none.
std::string build_id_of_file(int fd);

std::string hexadecimal(std::span<const char> bytes);

// Is this what a 64-bit little-endian ELF file begins with?
bool is_elf_header(const char* bytes, size_t size);
// Its program headers from its first bytes; false if they do not lie in these.
bool program_headers(std::span<const char> start_of_file, std::vector<ProgramHeader>* headers);

}  // namespace weft::inspect
