// SPDX-License-Identifier: Apache-2.0
// Finds the program that a command names, as execvp(3) does, follows scripts to their interpreter, and judges whether a
// preloaded library can work in what runs in the end. ld.so is silent about programs that it cannot preload into, and a
// static program has no ld.so at all: so weft has to look itself.
#pragma once

#include "elf_file.h"

namespace weft {

struct Program {
  const char* name = nullptr;   // as the user wrote it
  const char* path = nullptr;   // what execve gets
  const char* image = nullptr;  // the ELF file that will run: `path`, or the interpreter of the script
  bool plain_script = false;    // no "#!": execvp would give it to /bin/sh

  // Can it be woven? 0: yes. Else the exit status of `weft run`, the reason and what to do.
  int status = 0;
  const char* why = nullptr;     // "./srv is statically linked, so nothing can be hooked"
  const char* remedy = nullptr;  // "Relink it dynamically, or link libweft."
  const char* note = nullptr;    // what is worth knowing besides, else null
  bool is_loader = false;        // it is ld.so itself, given a program as an argument
  bool missing = false;          // there is no such file
};

// Looks in PATH where the name has no slash. Fills in name and path, or status and the words.
Program find_program(const char* name);

// Goes on to the image and the verdict, for a program that was found.
void judge_program(Program& program);

}  // namespace weft
