// SPDX-License-Identifier: Apache-2.0
// ELF files in memory, read through a target. A file may be mapped more than once from its beginning (a program that reads its own
// libraries): a module is only where the executable segment lies at the place that the headers give it.
#include "elf_image.h"

#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>

namespace weft::inspect {

namespace {

constexpr uint64_t kMaxNotes = 64 << 10;
constexpr unsigned kMaxHeaders = 256;
constexpr size_t kMaxModules = 16 << 10;

uint64_t align(uint64_t value, uint64_t to) { return (value + to - 1) & ~(to - 1); }

}  // namespace

std::string hexadecimal(std::span<const char> bytes) {
  std::string result;
  for (char byte : bytes) {
    result += "0123456789abcdef"[(unsigned char)byte >> 4];
    result += "0123456789abcdef"[byte & 15];
  }
  return result;
}

bool is_elf_header(const char* bytes, size_t size) {
  return size >= sizeof(Elf64_Ehdr) && memcmp(bytes, ELFMAG, SELFMAG) == 0 && bytes[EI_CLASS] == ELFCLASS64 &&
         bytes[EI_DATA] == ELFDATA2LSB;
}

bool program_headers(std::span<const char> start_of_file, std::vector<ProgramHeader>* headers) {
  if (!is_elf_header(start_of_file.data(), start_of_file.size())) return false;
  Elf64_Ehdr elf;
  memcpy(&elf, start_of_file.data(), sizeof elf);
  const uint64_t bytes = (uint64_t)elf.e_phnum * sizeof(Elf64_Phdr);
  if (elf.e_phentsize != sizeof(Elf64_Phdr) || elf.e_phnum > kMaxHeaders || elf.e_phoff > start_of_file.size() ||
      start_of_file.size() - elf.e_phoff < bytes)
    return false;
  for (unsigned i = 0; i < elf.e_phnum; i++) {
    Elf64_Phdr header;
    memcpy(&header, start_of_file.data() + elf.e_phoff + i * sizeof header, sizeof header);
    headers->push_back({header.p_type, header.p_flags, header.p_offset, header.p_vaddr, header.p_filesz, header.p_memsz,
                        header.p_align});
  }
  return true;
}

void for_each_note(std::span<const char> notes, const std::function<void(const Note&)>& visit) {
  size_t at = 0;
  while (notes.size() - at >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr header;
    memcpy(&header, notes.data() + at, sizeof header);
    at += sizeof header;
    const uint64_t name_size = align(header.n_namesz, 4), content_size = align(header.n_descsz, 4);
    if (name_size > notes.size() - at) return;
    const char* name = notes.data() + at;
    at += name_size;
    if (header.n_descsz > notes.size() - at) return;
    std::string_view name_view(name, header.n_namesz);
    if (!name_view.empty() && name_view.back() == '\0') name_view.remove_suffix(1);
    visit({name_view, header.n_type, notes.subspan(at, header.n_descsz), at});
    if (content_size > notes.size() - at) return;
    at += content_size;
  }
}

void for_each_note(Target& target, const Module& module,
                   const std::function<void(const Note&, uint64_t address)>& visit) {
  for (const ProgramHeader& header : module.headers) {
    if (header.type != PT_NOTE || header.file_size == 0 || header.file_size > kMaxNotes) continue;
    std::vector<char> bytes(header.file_size);
    const uint64_t address = module.bias + header.vaddr;
    if (!target.read(address, bytes.data(), bytes.size())) continue;
    for_each_note(bytes, [&](const Note& note) { visit(note, address + note.offset); });
  }
}

std::vector<Module> find_modules(Target& target) {
  const std::vector<Mapping>& mappings = target.mappings();
  std::set<std::string> executables;
  for (const Mapping& mapping : mappings) {
    if (mapping.executable) executables.insert(mapping.path);
  }
  std::vector<const Mapping*> candidates;
  for (const Mapping& mapping : mappings) {
    const bool named = mapping.path.starts_with('/') || mapping.path == "[vdso]";
    if (named && mapping.offset == 0 && executables.count(mapping.path) != 0) candidates.push_back(&mapping);
    if (candidates.size() == kMaxModules) break;
  }
  std::vector<char> pages(candidates.size() * kPage);
  std::vector<ReadRequest> requests;
  for (size_t i = 0; i < candidates.size(); i++) {
    requests.push_back({candidates[i]->start, pages.data() + i * kPage, kPage});
  }
  target.read(requests);

  std::vector<Module> modules;
  for (size_t i = 0; i < candidates.size(); i++) {
    const Mapping& mapping = *candidates[i];
    Module module;
    module.path = mapping.path;
    module.deleted = mapping.deleted;
    module.start = mapping.start;
    module.end = mapping.end;
    if (requests[i].got == 0) {
      module.error = "its headers could not be read";
      modules.push_back(module);
      continue;
    }
    if (!program_headers({pages.data() + i * kPage, requests[i].got}, &module.headers)) continue;
    bool first = true, in_place = false;
    for (const ProgramHeader& header : module.headers) {
      if (header.type != PT_LOAD) continue;
      if (first) module.bias = mapping.start - ((header.vaddr & ~(kPage - 1)) - (header.offset & ~(kPage - 1)));
      first = false;
      const uint64_t begin = module.bias + header.vaddr, end = align(begin + header.memory_size, kPage);
      if (end > begin) module.end = std::max(module.end, end);
      if ((header.flags & PF_X) == 0) continue;
      const auto other = std::upper_bound(mappings.begin(), mappings.end(), begin,
                                          [](uint64_t value, const Mapping& each) { return value < each.end; });
      if (other != mappings.end() && begin >= other->start)
        in_place |= other->executable && other->path == mapping.path;
    }
    if (!in_place) continue;
    for (const ProgramHeader& header : module.headers) {
      if (header.type == PT_GNU_EH_FRAME) module.eh_frame_hdr = module.bias + header.vaddr;
    }
    for_each_note(target, module, [&](const Note& note, uint64_t) {
      if (note.name == "GNU" && note.type == NT_GNU_BUILD_ID) module.build_id = hexadecimal(note.content);
    });
    modules.push_back(module);
  }
  std::sort(modules.begin(), modules.end(), [](const Module& a, const Module& b) { return a.start < b.start; });
  return modules;
}

std::string build_id_of_file(int fd) {
  std::vector<char> start(kPage);
  const ssize_t got = pread(fd, start.data(), start.size(), 0);
  std::vector<ProgramHeader> headers;
  if (got <= 0 || !program_headers({start.data(), (size_t)got}, &headers)) return {};
  std::string result;
  for (const ProgramHeader& header : headers) {
    if (header.type != PT_NOTE || header.file_size > kMaxNotes) continue;
    std::vector<char> notes(header.file_size);
    if (pread(fd, notes.data(), notes.size(), (off_t)header.offset) != (ssize_t)notes.size()) continue;
    for_each_note(notes, [&](const Note& note) {
      if (note.name == "GNU" && note.type == NT_GNU_BUILD_ID) result = hexadecimal(note.content);
    });
  }
  return result;
}

}  // namespace weft::inspect
