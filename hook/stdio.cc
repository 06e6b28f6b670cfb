// SPDX-License-Identifier: Apache-2.0
// stdio's own reads and writes.
//
// libc's streams call read and write past every hook, through tables of functions: one table for files, one for wide streams, one
// for popen's, and so on. A stream whose table is none of libc's ends the program, so weft leaves the streams alone and puts two
// functions of its own into the tables, once, where glibc's _IO_file_read and _IO_file_write stood. Everything else of a stream
// (buffers, modes, orientation, locks, fileno) stays glibc's. Rejected: a stream of fopencookie in the place of fdopen's, which
// cannot be wide, has another buffer size and is no help for streams that were there before.
//
// The tables lie among what ld.so has made read-only after relocation. They are found by their contents: the two functions stand
// side by side there and nowhere else.
#include "hook/stdio.h"

#include <link.h>
#include <sys/mman.h>

#include "hook/io.h"
#include "hook/next_symbol.h"
#include "sched/log.h"
#include "sched/sys.h"

namespace weft {

namespace {

using StreamRead = ssize_t (*)(FILE*, void*, ssize_t);
using StreamWrite = ssize_t (*)(FILE*, const void*, ssize_t);
StreamRead libc_read;
StreamWrite libc_write;

constexpr int kNotCancellable = 2;  // _IO_FLAGS2_NOTCANCEL: libc's own files

// Null in a guest, and in a region: its worker is gone, and the call is to be as native as the rest of it.
Coroutine* waits_woven(const FILE* stream) {
  Coroutine* self = woven();
  return self && !self->region_depth && !(stream->_flags2 & kNotCancellable) ? self : nullptr;
}

ssize_t stream_read(FILE* stream, void* buffer, ssize_t size) {
  Coroutine* self = waits_woven(stream);
  if (!self) return libc_read(stream, buffer, size);
  return as_errno(woven_read(self, stream->_fileno, buffer, (size_t)size));
}

// As _IO_file_write: all of it, or what there was until an error.
ssize_t stream_write(FILE* stream, const void* buffer, ssize_t size) {
  Coroutine* self = waits_woven(stream);
  if (!self) return libc_write(stream, buffer, size);
  ssize_t done = 0;
  while (done < size) {
    long put = as_errno(woven_write(self, stream->_fileno, (const char*)buffer + done, (size_t)(size - done)));
    if (put < 0) {
      stream->_flags |= _IO_ERR_SEEN;
      break;
    }
    done += put;
  }
  if (stream->_offset >= 0) stream->_offset += done;
  return done;
}

// What lies between two addresses, both within memory that is read-only after relocation: its end is a page's.
int weave_tables(uintptr_t start, uintptr_t end) {
  constexpr uintptr_t kPage = 4096;
  auto* first = (void*)(start & ~(kPage - 1));
  size_t length = (end & ~(kPage - 1)) - (uintptr_t)first;
  if (sys::mprotect(first, length, PROT_READ | PROT_WRITE)) return 0;
  int tables = 0;
  for (auto* at = (void**)start; (uintptr_t)(at + 2) <= end; at++) {
    if (at[0] != (void*)libc_read || at[1] != (void*)libc_write) continue;
    __atomic_store_n(&at[0], (void*)stream_read, __ATOMIC_RELEASE);
    __atomic_store_n(&at[1], (void*)stream_write, __ATOMIC_RELEASE);
    tables++;
  }
  sys::mprotect(first, length, PROT_READ);
  return tables;
}

// In the module that has glibc's two functions. Returns how many tables there are.
int weave_module(dl_phdr_info* info, size_t, void*) {
  auto within = [info](const ElfW(Phdr) & segment, const void* address) {
    return (uintptr_t)address - info->dlpi_addr - segment.p_vaddr < segment.p_memsz;
  };
  bool libc = false;
  for (int i = 0; i < info->dlpi_phnum; i++)
    libc |= info->dlpi_phdr[i].p_type == PT_LOAD && within(info->dlpi_phdr[i], (const void*)libc_read);
  if (!libc) return 0;
  int tables = 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_GNU_RELRO) continue;
    uintptr_t start = (info->dlpi_addr + segment.p_vaddr + alignof(void*) - 1) & ~(alignof(void*) - 1);
    uintptr_t end = info->dlpi_addr + segment.p_vaddr + segment.p_memsz;
    tables += weave_tables(start, end);
  }
  return tables;
}

}  // namespace

void stdio_weave() {
  if (libc_read) return;
  libc_write = (StreamWrite)next_symbol("_IO_file_write", gnu_hash("_IO_file_write"), "");
  libc_read = (StreamRead)next_symbol("_IO_file_read", gnu_hash("_IO_file_read"), "");
  if (!libc_read || !libc_write || !dl_iterate_phdr(weave_module, nullptr))
    log(Level::debug, "streams of this libc keep their kernel thread while they wait");
}

}  // namespace weft
