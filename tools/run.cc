// SPDX-License-Identifier: Apache-2.0
// `weft run`. The launcher becomes the program by exec: no process stays between it and who started it, so its pid, its
// signals, its terminal and its exit status are the program's own.
#include "run.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "message.h"
#include "nearest.h"
#include "option_list.h"
#include "preload.h"
#include "program.h"

namespace weft {
namespace {

constexpr int kHelp = 'h';
constexpr int kVersion = 'V';
constexpr int kFirstOption = 256;  // getopt's numbers for those of the list

// getopt's table: the options of the list, then the two of the launcher's own.
const struct option* getopt_table() {
  const size_t count = options().size();
  auto* table = static_cast<struct option*>(memory(count + 3, sizeof(struct option)));
  for (size_t i = 0; i < count; i++) {
    const Option& option = options()[i];
    const int argument = !option.takes_value()     ? no_argument
                         : option.value_optional() ? optional_argument
                                                   : required_argument;
    table[i] = {option.name, argument, nullptr, kFirstOption + static_cast<int>(i)};
  }
  table[count] = {"help", no_argument, nullptr, kHelp};
  table[count + 1] = {"version", no_argument, nullptr, kVersion};
  return table;
}

// getopt would take any beginning of a name that is unique today; an option added tomorrow would break the command
// line.
void check_name(const struct option* table, const char* word) {
  if (strncmp(word, "--", 2) != 0 || word[2] == '\0') return;
  const char* name = text(std::string_view(word + 2, strcspn(word + 2, "=")));
  Nearest nearest(name);
  for (; table->name != nullptr; table++) {
    if (strcmp(table->name, name) == 0) return;
    nearest.consider(table->name);
  }
  if (nearest.word() != nullptr) fail(kOwnFailure, "unknown option --%s. Did you mean --%s?", name, nearest.word());
  fail(kOwnFailure, "unknown option --%s. weft --help lists the options.", name);
}

// Returns where in `arguments` the program is.
int read_options(int count, char** arguments) {
  const struct option* table = getopt_table();
  opterr = 0;
  for (;;) {
    char* word = optind < count ? arguments[optind] : nullptr;
    if (word != nullptr) check_name(table, word);
    const int found = getopt_long(count, arguments, "+:hV", table, nullptr);
    if (found == -1) return optind;
    if (found == kHelp) print_help();
    if (found == kVersion) print_version();
    if (found == ':') fail(kOwnFailure, "%s needs a value. See weft --help.", word);
    if (found == '?' && strncmp(word, "--", 2) == 0) {
      fail(kOwnFailure, "--%s takes no value. See weft --help.",
           text(std::string_view(word + 2, strcspn(word + 2, "="))));
    }
    if (found == '?') fail(kOwnFailure, "unknown option -%c. weft --help lists the options.", optopt);
    set_option(options()[static_cast<size_t>(found - kFirstOption)], optarg);
  }
}

[[noreturn]] void execute(const Program& program, char** arguments) {
  execv(program.path, arguments);
  if (errno == ENOEXEC && program.plain_script) {
    // What execvp and every shell do with a text that has no "#!" line.
    size_t count = 0;
    while (arguments[count] != nullptr) count++;
    auto* shell = static_cast<char**>(memory(count + 2, sizeof(char*)));
    shell[0] = text("/bin/sh");
    shell[1] = text("%s", program.path);
    for (size_t i = 1; i < count; i++) shell[i + 1] = arguments[i];
    execv(shell[0], shell);
  }
  const int error = errno;
  fail(error == ENOENT ? kNotFound : kNotExecutable, "cannot execute %s: %s.", program.path, strerror(error));
}

void set_variable(const char* name, const char* value) {
  if (setenv(name, value, 1) != 0) fail(kOwnFailure, "cannot set %s: %s.", name, strerror(errno));
}

}  // namespace

void run(int count, char** arguments) {
  const int first = read_options(count, arguments);
  say_unknown_variables();
  if (first >= count) fail(kOwnFailure, "no program is named. Try: weft ./server (see weft --help).");
  Program program = find_program(arguments[first]);
  if (program.missing && first > 1 && is_subcommand(arguments[first]) && strcmp(arguments[first - 1], "--") != 0) {
    fail(program.status, "%s. To mean weft's own command, put it first: weft %s [OPTION...].", program.why,
         arguments[first]);
  }
  if (program.status == 0) judge_program(program);
  const char* library = nullptr;
  const char* problem = program.why;
  const char* remedy = program.remedy;
  int status = program.status;
  if (status == 0) {
    library = find_weft_library(problem, remedy);
    if (library == nullptr) status = kOwnFailure;
  }
  if (status != 0) {
    // Where there is a file, the kernel has the last word on whether it is a program: it may know more formats.
    if (program.path != nullptr && flag_is_set("WEFT_IF_POSSIBLE")) {
      say("%s. It is left native.", problem);
      execute(program, arguments + first);
    }
    const char* way_out = status == kOwnFailure ? " With --if-possible it would run natively." : "";
    fail(status, "%s. %s%s", problem, remedy, way_out);
  }
  set_variable("LD_PRELOAD", preload_value(library, program.image));
  // The library takes this process, which keeps its number over exec, for the one that --children=no speaks of.
  set_variable("WEFT_ROOT", text("%d", getpid()));
  execute(program, arguments + first);
}

}  // namespace weft
