// SPDX-License-Identifier: Apache-2.0
// --help and --version. The part on options is made from their list; the rest is what a user must know to begin, and
// the manual page weft(1) has the whole.
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "message.h"
#include "option_list.h"

namespace weft {
namespace {

constexpr size_t kWidth = 78;

constexpr char kIntroduction[] =
    R"(Usage: weft [run] [OPTION...] [--] PROGRAM [ARG...]
       weft check [PROGRAM]
       weft ps|bt|top|lint|flame|snap|diff|stat|trace ...

Runs PROGRAM with its threads as coroutines: the same behaviour, far fewer
kernel threads. PROGRAM is any dynamically linked glibc program, or a script.

Commands:
  run      run PROGRAM; may be left out unless PROGRAM has a command's name
  check    say whether PROGRAM can be woven, which calls weft hooks and which
           of them PROGRAM imports; without PROGRAM: look at this machine

Looking at a program under weft, by its process id, a core file or a snapshot
(weft COMMAND --help has more; they are in weft-inspect):
  ps       its coroutines: what each waits for, for how long, and where
  bt       their stacks, alike ones together
  top      the same while it runs, with rates and warnings
  lint     deadlocks and other faults, with their stacks
  flame    where they wait or run, as a flame graph
  snap     a snapshot, to be looked at later
  diff     what is stuck, grown and gone between two looks
  stat     its counters
  trace    a timeline

Options and the variables that are the same (an option overrides its variable):
)";

constexpr char kConclusion[] =
    R"(
  -h, --help
      print this and exit
  -V, --version
      print the version and exit

Exit status of run: 125 weft itself failed or PROGRAM cannot be woven, 126 it
was found and cannot be executed, 127 it was not found, else PROGRAM's own.
Of check: 0 it can be woven, 1 it cannot, 2 wrong usage, 3 no such file.

Examples:
  weft ./server                       as many workers as CPUs
  weft --workers 2 --stats ./server   two workers; counters when it ends
  weft --stack 256K -- ./server -v    a small stack for each thread
  weft run top                        the program top, not the command
  weft check ./server                 can it be woven, and why not
  LD_PRELOAD=libweft.so.0 ./server    without the launcher

See also: man weft, man weft-ps, ..., man 7 weft-limits
)";

// Prints words, broken at blanks, behind a margin.
void print_wrapped(const char* words, const char* margin) {
  size_t column = 0;
  while (*words != '\0') {
    const size_t length = strcspn(words, " ");
    if (column > 0 && column + 1 + length > kWidth) {
      putchar('\n');
      column = 0;
    }
    column += static_cast<size_t>(printf("%s%.*s", column == 0 ? margin : " ", static_cast<int>(length), words));
    words += length;
    while (*words == ' ') words++;
  }
  putchar('\n');
}

void print_option(const Option& option) {
  const char* value = "";
  if (option.value_optional()) {
    value = text("[=%s", option.meta + 1);
  } else if (option.takes_value()) {
    value = text("=%s", option.meta);
  }
  const char* variable = option.takes_value() ? option.variable : text("%s=1", option.variable);
  const char* initial = *option.initial == '\0' ? "not set" : option.initial;
  printf("  %-34s  %s (%s)\n", text("--%s%s", option.name, value), variable, initial);
  print_wrapped(option.help, "      ");
}

}  // namespace

void print_help() {
  fputs(kIntroduction, stdout);
  for (const Option& option : options()) print_option(option);
  fputs(kConclusion, stdout);
  finish(0);
}

void print_version() {
  puts("weft " WEFT_VERSION_STRING);
  finish(0);
}

}  // namespace weft
