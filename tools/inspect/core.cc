// SPDX-License-Identifier: Apache-2.0
// A core file: its segments, what its notes say of files, threads and the auxiliary vector, and the modules' own files for segments that
// the kernel left out because they are those files'.
//
// A core may be cut short, and may have been made by somebody who wants us to fall over: every offset is checked against the file.
#include "core.h"

#include <elf.h>
#include <sys/procfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "elf_image.h"
#include "failure.h"
#include "module_file.h"
#include "number_text.h"

namespace weft::inspect {

namespace {

constexpr uint64_t kMaxNotes = 256 << 20;
constexpr unsigned kMaxSegments = 1 << 20;

// By addresses. Of those that lie over one another, which only damage can bring about, the first one counts.
template <class Range>
void sort_apart(std::vector<Range>* ranges) {
  std::stable_sort(ranges->begin(), ranges->end(), [](const Range& a, const Range& b) { return a.start < b.start; });
  uint64_t last = 0;
  std::erase_if(*ranges, [&](const Range& range) {
    if (range.start < last) return true;
    last = range.end;
    return false;
  });
}

class Core : public Target {
 public:
  Core(int fd, const std::string& name, const TargetOptions& options);

  Kind kind() const override { return Kind::core; }
  std::string name() const override { return name_; }
  int pid() const override { return pid_; }
  using Target::read;
  void read(std::span<ReadRequest> requests) override;
  int open_module(const Module& module) override;
  std::vector<Thread> threads() override { return threads_; }
  bool look_at(int tid, bool may_stop, const std::function<void(const Registers&, Found)>& look) override;
  std::optional<uint64_t> now() override { return std::nullopt; }
  std::optional<Descriptor> descriptor(int fd) override { return std::nullopt; }
  uint64_t size() const override { return file_.size(); }
  bool is_one_instant() const override { return true; }
  std::string damage() const override;

 private:
  struct Segment {
    uint64_t start, end, offset, in_file;
    uint32_t flags;
  };
  void read_headers();
  void read_notes(std::span<const char> notes);
  void read_files(std::span<const char> content);
  size_t read_piece(uint64_t address, char* to, size_t size);
  const ModuleFile& file_of(const Module& module);
  const OpenFile& file_named(const std::string& path);

  OpenFile file_;
  std::string name_;
  TargetOptions options_;
  int pid_ = 0;
  uint64_t vdso_ = 0, entry_ = 0;
  std::vector<Segment> segments_;
  unsigned missing_ = 0;
  std::vector<Thread> threads_;
  std::map<int, Registers> registers_;
  std::map<const Module*, ModuleFile> files_;
  std::map<std::string, OpenFile> named_;
  std::string other_builds_;
};

Core::Core(int fd, const std::string& name, const TargetOptions& options) : file_(fd), name_(name), options_(options) {
  const size_t slash = name_.rfind('/');
  if (slash != std::string::npos) name_.erase(0, slash + 1);
  read_headers();
  sort_apart(&segments_);
  sort_apart(&mappings_);
  std::set<const Mapping*> unseen;
  Mapping vdso;
  for (const Mapping& mapping : mappings_) unseen.insert(&mapping);
  for (const Segment& segment : segments_) {
    // NT_FILE has no protections: those of the segment there. Segments without a file are mappings of their own.
    bool is_file = false;
    auto at = std::upper_bound(mappings_.begin(), mappings_.end(), segment.start,
                               [](uint64_t value, const Mapping& mapping) { return value < mapping.end; });
    for (; at != mappings_.end() && at->start < segment.end; ++at) {
      unseen.erase(&*at);
      at->readable |= (segment.flags & PF_R) != 0;
      at->writable |= (segment.flags & PF_W) != 0;
      at->executable |= (segment.flags & PF_X) != 0;
      is_file = true;
    }
    if (is_file || segment.start != vdso_) continue;
    vdso.start = segment.start, vdso.end = segment.end, vdso.path = "[vdso]";
    vdso.readable = vdso.executable = true;
  }
  // gcore leaves out what is only read: code among it.
  for (Mapping& mapping : mappings_) {
    if (unseen.count(&mapping) != 0) mapping.readable = mapping.executable = true;
  }
  if (vdso.start != 0) {
    mappings_.insert(std::upper_bound(mappings_.begin(), mappings_.end(), vdso.start,
                                      [](uint64_t value, const Mapping& each) { return value < each.start; }),
                     vdso);
  }
  modules_ = find_modules(*this);
  for (const Module& module : modules_) {
    const ModuleFile& file = file_of(module);
    if (!file.file.is_open() && file.other.empty() && !module.is_vdso())
      warn(fmt::format("{} is not here; its frames are not unwound. Use --sysroot{}.", module.path,
                       module.contains(entry_) ? " or --exe" : ""));
  }
}

void Core::read_headers() {
  Elf64_Ehdr elf;
  if (file_.read(0, &elf, sizeof elf) != sizeof elf || elf.e_machine != EM_X86_64)
    throw Failure(kNoTarget, "{} is not a core file of x86-64.", name_);
  uint64_t count = elf.e_phnum;
  if (count == PN_XNUM) {
    // Too many for the header's field: the first section header has the number.
    Elf64_Shdr section;
    if (file_.read(elf.e_shoff, &section, sizeof section) == sizeof section) count = section.sh_info;
  }
  if (count > kMaxSegments || elf.e_phentsize != sizeof(Elf64_Phdr))
    throw Failure(kTruncated, "{}: its program headers are damaged.", name_);
  std::vector<Elf64_Phdr> headers;
  const size_t bytes = count * sizeof(Elf64_Phdr);
  if (bytes <= file_.size()) headers.resize(count);
  if (headers.size() != count || file_.read(elf.e_phoff, headers.data(), bytes) != bytes)
    throw Failure(kTruncated, "{}: truncated: its program headers are missing.", name_);
  for (const Elf64_Phdr& header : headers) {
    if (header.p_type == PT_LOAD && header.p_vaddr + header.p_memsz > header.p_vaddr) {
      Segment segment{header.p_vaddr, header.p_vaddr + header.p_memsz, header.p_offset,
                      std::min(header.p_filesz, header.p_memsz), header.p_flags};
      const uint64_t there = header.p_offset >= file_.size() ? 0 : file_.size() - header.p_offset;
      if (there < segment.in_file) {
        missing_++;
        segment.in_file = there;
      }
      segments_.push_back(segment);
    }
  }
  uint64_t left = std::min(kMaxNotes, file_.size());  // of notes: no byte is that of two of them
  for (const Elf64_Phdr& header : headers) {
    if (header.p_type != PT_NOTE) continue;
    if (header.p_filesz > left || header.p_offset > file_.size() || file_.size() - header.p_offset < header.p_filesz)
      throw Failure(kTruncated, "{}: truncated: its notes are missing.", name_);
    left -= header.p_filesz;
    std::vector<char> notes(header.p_filesz);
    file_.read(header.p_offset, notes.data(), notes.size());
    read_notes(notes);
  }
}

void Core::read_notes(std::span<const char> notes) {
  for_each_note(notes, [&](const Note& note) {
    if (note.name != "CORE") return;
    if (note.type == NT_PRSTATUS && note.content.size() >= sizeof(elf_prstatus)) {
      elf_prstatus status;
      memcpy(&status, note.content.data(), sizeof status);
      // Its registers in the order of user_regs_struct: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs flags rsp
      constexpr int kPlace[Registers::kCount] = {10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16};
      Registers registers;
      for (unsigned i = 0; i < Registers::kCount; i++) registers.set(i, status.pr_reg[kPlace[i]]);
      Thread thread;
      thread.tid = status.pr_pid;
      registers_[thread.tid] = registers;
      threads_.push_back(thread);
    } else if (note.type == NT_PRPSINFO && note.content.size() >= sizeof(elf_prpsinfo)) {
      elf_prpsinfo info;
      memcpy(&info, note.content.data(), sizeof info);
      pid_ = info.pr_pid;
    } else if (note.type == NT_AUXV) {
      for (size_t at = 0; at + sizeof(Elf64_auxv_t) <= note.content.size(); at += sizeof(Elf64_auxv_t)) {
        Elf64_auxv_t entry;
        memcpy(&entry, note.content.data() + at, sizeof entry);
        if (entry.a_type == AT_SYSINFO_EHDR) vdso_ = entry.a_un.a_val;
        if (entry.a_type == AT_ENTRY) entry_ = entry.a_un.a_val;
      }
    } else if (note.type == NT_FILE) {
      read_files(note.content);
    }
  });
}

// count, page size, then start, end and offset in pages of each, then their names.
void Core::read_files(std::span<const char> content) {
  auto word = [&](size_t index) {
    uint64_t value;
    memcpy(&value, content.data() + index * 8, 8);
    return value;
  };
  if (content.size() < 16) return;
  const uint64_t count = word(0), page = word(1);
  if (count > (content.size() - 16) / 24) return;
  size_t name = 16 + count * 24;
  for (size_t i = 0; i < count; i++) {
    const size_t length = strnlen(content.data() + name, content.size() - name);
    Mapping mapping;
    mapping.start = word(2 + i * 3), mapping.end = word(3 + i * 3), mapping.offset = word(4 + i * 3) * page;
    mapping.path.assign(content.data() + name, length);
    constexpr std::string_view kDeleted = " (deleted)";
    if (mapping.path.ends_with(kDeleted)) {
      mapping.path.resize(mapping.path.size() - kDeleted.size());
      mapping.deleted = true;
    }
    name = std::min(name + length + 1, content.size());
    if (mapping.end > mapping.start) mappings_.push_back(mapping);
  }
}

const ModuleFile& Core::file_of(const Module& module) {
  auto found = files_.find(&module);
  if (found != files_.end()) return found->second;
  ModuleFile file = module.is_vdso() ? ModuleFile{} : find_module_file(module, module.contains(entry_), options_);
  if (!file.other.empty()) {
    if (!other_builds_.empty()) other_builds_ += "\n";
    other_builds_ +=
        fmt::format("{} build-id {:.4}.. differs from the core's {:.4}..; its frames are not unwound. Use --sysroot.",
                    file.path, file.other, module.build_id);
  }
  return files_.emplace(&module, std::move(file)).first->second;
}

const OpenFile& Core::file_named(const std::string& path) {
  auto found = named_.find(path);
  if (found != named_.end()) return found->second;
  Module module;
  module.path = path;
  return named_.emplace(path, std::move(find_module_file(module, false, options_).file)).first->second;
}

int Core::open_module(const Module& module) {
  for (const Module& each : modules_) {
    if (each.start != module.start) continue;
    const ModuleFile& file = file_of(each);
    return file.file.is_open() ? dup(file.file.fd()) : -1;
  }
  return -1;
}

// From the core where it has it, else from the file that was mapped there. How much of it there was.
size_t Core::read_piece(uint64_t address, char* to, size_t size) {
  auto next = std::upper_bound(segments_.begin(), segments_.end(), address,
                               [](uint64_t value, const Segment& segment) { return value < segment.start; });
  if (next != segments_.begin()) {
    const Segment& segment = *std::prev(next);
    if (address - segment.start < segment.in_file) {
      const uint64_t skip = address - segment.start;
      return file_.read(segment.offset + skip, to, std::min<uint64_t>(size, segment.in_file - skip));
    }
  }
  auto mapping = std::upper_bound(mappings_.begin(), mappings_.end(), address,
                                  [](uint64_t value, const Mapping& each) { return value < each.end; });
  if (mapping == mappings_.end() || address < mapping->start || mapping->writable || mapping->path.empty()) return 0;
  const Module* module = module_at(address);
  if (module != nullptr && module->path != mapping->path) return 0;
  // While the modules are looked for, none is known: the file of that name is then what there is, and its build-id the only one.
  const OpenFile& file = module == nullptr ? file_named(mapping->path) : file_of(*module).file;
  if (!file.is_open()) return 0;
  return file.read(mapping->offset + (address - mapping->start), to, std::min<uint64_t>(size, mapping->end - address));
}

void Core::read(std::span<ReadRequest> requests) {
  for (ReadRequest& request : requests) {
    request.got = 0;
    while (request.got < request.size) {
      const size_t got =
          read_piece(request.address + request.got, (char*)request.to + request.got, request.size - request.got);
      if (got == 0) break;
      request.got += got;
    }
  }
}

bool Core::look_at(int tid, bool may_stop, const std::function<void(const Registers&, Found)>& look) {
  auto found = registers_.find(tid);
  if (found == registers_.end()) return false;
  look(found->second, Found::stopped);
  return true;
}

std::string Core::damage() const {
  std::string words;
  if (missing_ != 0)
    words = fmt::format("{}: truncated: {} of {} segments missing", name_, with_commas(missing_),
                        with_commas(segments_.size()));
  if (!other_builds_.empty()) words += (words.empty() ? "" : "\n") + other_builds_;
  return words;
}

}  // namespace

bool is_core(const char* elf_header) {
  Elf64_Ehdr elf;
  memcpy(&elf, elf_header, sizeof elf);
  return elf.e_type == ET_CORE;
}

std::unique_ptr<Target> open_core(int fd, const std::string& name, const TargetOptions& options) {
  return std::make_unique<Core>(fd, name, options);
}

}  // namespace weft::inspect
