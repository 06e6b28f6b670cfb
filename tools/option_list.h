// SPDX-License-Identifier: Apache-2.0
// The options of `weft run`, made from sched/options.def. To set an option is to set its variable: nothing else carries
// it to the library, so `weft --workers 2 ./server` and `WEFT_WORKERS=2 weft ./server` cannot differ.
#pragma once

#include <span>

namespace weft {

enum class OptionKind {
  count,      // decimal digits
  bytes,      // decimal digits and perhaps K, M or G
  yesno,      // "yes" or "no"
  flag,       // no value on the command line; the variable is "1"
  text,       // anything that the option's own rule takes
  file_way,   // one of the words that `meta` lists
  guard_way,  // the same
  names,      // words separated by commas; given again it adds to them
};

struct Option {
  const char* name;      // "max-carriers"
  const char* variable;  // "WEFT_MAX_CARRIERS"
  OptionKind kind;
  const char* initial;  // what holds when it is not set
  const char* meta;     // what the value is called in --help; in brackets where it may be left out
  const char* help;
  const char* given;  // names so far on this command line, else null

  bool takes_value() const { return kind != OptionKind::flag; }
  bool value_optional() const { return meta[0] == '['; }
};

std::span<Option> options();
Option* find_option(const char* name);

// Checks the value (null: none was given) and sets the variable. Ends the process with one line where the value is
// wrong.
void set_option(Option& option, const char* value);

// Is a flag's variable set to something that means yes?
bool flag_is_set(const char* variable);

// Says one line for every variable of the environment that begins with WEFT_ and is nothing that weft knows.
void say_unknown_variables();

}  // namespace weft
