// SPDX-License-Identifier: Apache-2.0
// `weft check PROGRAM`: the verdict in the first line, then what it rests on. The report goes to descriptor 1, wrong
// usage and missing files to descriptor 2.
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "hook_list.h"
#include "message.h"
#include "program.h"

namespace weft {
namespace {

// Exit statuses of `weft check`.
constexpr int kCan = 0;
constexpr int kCannot = 1;
constexpr int kUsage = 2;
constexpr int kNoFile = 3;

constexpr size_t kWidth = 78;

// How a program comes to threads; in the order of how much it says.
struct Threads {
  const char* function = nullptr;  // null: by none
  const LoadedFile* importer = nullptr;
};

Threads find_threads(const LoadedFile* files) {
  Threads threads;
  for (const char* function : {"pthread_create", "thrd_create", "dlopen", "dlmopen"}) {
    threads.importer = find_importer(files, function);
    threads.function = function;
    if (threads.importer != nullptr) return threads;
  }
  return {};
}

void print_threads(const Threads& threads) {
  if (threads.function == nullptr) {
    puts("  threads    none: no file imports pthread_create, thrd_create or dlopen");
  } else if (threads.function[0] == 'd') {
    printf("  threads    none of its own, but %s is imported by %s, and a module may bring pthread_create\n",
           threads.function, threads.importer->path);
  } else {
    printf("  threads    %s, imported by %s\n", threads.function, threads.importer->path);
  }
}

void print_libraries(const LoadedFile* files) {
  unsigned count = 0;
  for (const LoadedFile* file = files->next; file != nullptr; file = file->next) count++;
  printf("  libraries  %u, which it NEEDs or which they NEED\n", count);
  for (const LoadedFile* file = files->next; file != nullptr; file = file->next) {
    if (file->path == nullptr) {
      printf("  missing    %s, NEEDed by %s: the program cannot start without it\n", file->name, file->needed_by->path);
    }
  }
}

// The calls that are imported, or those that are not, a paragraph each family.
void print_calls(bool imported) {
  const char* family = "";
  size_t column = 0;
  for (const HookedCall& call : hooked_calls()) {
    if ((call.imported_by != nullptr) != imported) continue;
    if (strcmp(family, call.family) != 0) {
      if (*family != '\0') putchar('\n');
      family = call.family;
      column = static_cast<size_t>(printf("  %-10s", family));
    } else if (column + 1 + strlen(call.name) > kWidth) {
      printf("\n            ");
      column = 12;
    }
    column += static_cast<size_t>(printf(" %s", call.name));
  }
  putchar('\n');
}

void print_hooks(const LoadedFile* files) {
  find_imports(files);
  unsigned imported = 0;
  for (const HookedCall& call : hooked_calls()) imported += call.imported_by != nullptr ? 1 : 0;
  const auto total = static_cast<unsigned>(hooked_calls().size());
  printf("Hooked calls that it or a library of its imports, %u of %u:\n", imported, total);
  if (imported > 0) print_calls(true);
  printf("Hooked calls that it does not import, %u:\n", total - imported);
  if (imported < total) print_calls(false);
}

[[noreturn]] void check_program(const char* name) {
  Program program = find_program(name);
  if (program.missing) fail(kNoFile, "%s. %s", program.why, program.remedy);
  if (program.status == 0) judge_program(program);

  const LoadedFile* files = nullptr;
  Threads threads;
  if (program.image != nullptr && ElfFile(program.image).format() == FileFormat::native) {
    files = load_files(program.image);
    threads = find_threads(files);
    // Its own loader maps what it is told to, which cannot be seen from here.
    if (program.status == 0 && threads.function == nullptr && !program.is_loader) {
      program.status = kCannot;
      program.why = text(
          "%s makes no threads: no pthread_create is reachable in it or in what it NEEDs, so there is nothing to weave",
          program.name);
      program.remedy = "Under weft it runs as it does without.";
    }
  }

  if (program.status == 0) {
    printf("%s can be woven.\n", program.name);
  } else {
    printf("%s cannot be woven: %s. %s\n", program.name, program.why, program.remedy);
  }
  if (program.path != nullptr) printf("  program    %s\n", program.path);
  if (program.image != nullptr && program.image != program.path) {
    printf("  script     its interpreter is %s\n", program.image);
  }
  if (program.note != nullptr) printf("  note       %s\n", program.note);
  if (files != nullptr && files->file->has_dynamic()) {
    print_libraries(files);
    print_threads(threads);
    print_hooks(files);
  }
  finish(program.status == 0 ? kCan : kCannot);
}

}  // namespace

void check(int count, char** arguments) {
  static const struct option kTable[] = {{"help", no_argument, nullptr, 'h'}, {nullptr, 0, nullptr, 0}};
  opterr = 0;
  const int found = getopt_long(count, arguments, "+h", kTable, nullptr);
  if (found == 'h') print_help();
  if (found != -1) fail(kUsage, "weft check has no option %s. Usage: weft check [PROGRAM].", arguments[optind - 1]);
  if (count - optind > 1) {
    fail(kUsage, "weft check takes one program, not '%s' as well. Usage: weft check [PROGRAM].", arguments[optind + 1]);
  }
  if (optind == count) check_machine();
  check_program(arguments[optind]);
}

}  // namespace weft
