// SPDX-License-Identifier: Apache-2.0
// What each kind of option takes. Paths are made absolute on the way, because the program may change its directory
// before the library opens them, and so may its children.
#include "option_list.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message.h"
#include "nearest.h"

namespace weft {
namespace {

// The name of an option, from the name of its variable.
struct Name {
  char letters[32] = {};
};

consteval Name option_name(const char* upper) {
  Name name;
  for (int i = 0; upper[i] != '\0'; i++) {
    const char c = upper[i];
    if (c == '_') {
      name.letters[i] = '-';
    } else {
      name.letters[i] = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  return name;
}

#define WEFT_OPTION(NAME, member, kind, initial, meta, help) constexpr Name kName_##member = option_name(#NAME);
#include "sched/options.def"
#undef WEFT_OPTION

constinit Option g_options[] = {
#define WEFT_OPTION(NAME, member, kind, initial, meta, help) \
  {kName_##member.letters, "WEFT_" #NAME, OptionKind::kind, initial, meta, help, nullptr},
#include "sched/options.def"
#undef WEFT_OPTION
};

constexpr const char* kLevels[] = {"error", "warn", "info", "debug"};

// Variables that are weft's own and no options.
constexpr const char* kInternal[] = {"WEFT_ROOT", "WEFT_CHAOS"};

[[noreturn]] void fail_value(const Option& option, const char* value, const char* why) {
  fail(kOwnFailure, "--%s: '%s' %s. See weft --help.", option.name, value, why);
}

// Leaves `end` behind the digits; a number that is too large for the type becomes its largest one.
bool read_number(const char* digits, unsigned long& number, char*& end) {
  if (!isdigit(static_cast<unsigned char>(digits[0]))) return false;
  number = strtoul(digits, &end, 10);
  return true;
}

void check_count(const Option& option, const char* value) {
  unsigned long number;
  char* end;
  if (!read_number(value, number, end) || *end != '\0') fail_value(option, value, "is not a whole number, like 4");
  if (number > 1000000) fail_value(option, value, "is more than 1000000, the most that weft takes");
}

void check_bytes(const Option& option, const char* value) {
  unsigned long number;
  char* end;
  if (!read_number(value, number, end))
    fail_value(option, value, "is not a number of bytes, like 65536, 64K, 1M or 1G");
  unsigned shift = 0;
  switch (toupper(static_cast<unsigned char>(*end))) {
    case 'K':
      shift = 10;
      break;
    case 'M':
      shift = 20;
      break;
    case 'G':
      shift = 30;
      break;
    default:
      break;
  }
  if (shift != 0) end++;
  if (*end != '\0') fail_value(option, value, "is not a number of bytes, like 65536, 64K, 1M or 1G");
  if (number > (1UL << 40) >> shift) fail_value(option, value, "is more than 1024G, the most that weft takes");
}

void check_yesno(const Option& option, const char* value) {
  if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0) fail_value(option, value, "is neither 'yes' nor 'no'");
}

// One of the words that stand in `meta` with a bar between them.
void check_word(const Option& option, const char* value) {
  Nearest nearest(value);
  for (const char* at = option.meta; *at != '\0'; at += *at == '|') {
    const size_t length = strcspn(at, "|");
    const char* word = text(std::string_view(at, length));
    if (strcmp(value, word) == 0) return;
    nearest.consider(word);
    at += length;
  }
  const char* guess = nearest.word() == nullptr ? "" : text("; did you mean '%s'?", nearest.word());
  fail_value(option, value, text("is none of %s%s", option.meta, guess));
}

void check_names(const Option& option, const char* value) {
  if (*value == '\0') fail_value(option, value, "is no name");
  for (const char* name = value;; name = strchr(name, ',') + 1) {
    if (*name == ',' || *name == '\0') fail_value(option, value, "has an empty name in it");
    if (strchr(name, ',') == nullptr) return;
  }
}

const char* absolute_path(const Option& option, const char* path) {
  if (path[0] == '/') return path;
  char* directory = getcwd(nullptr, 0);
  if (directory == nullptr) {
    fail(kOwnFailure, "--%s: the working directory cannot be told (%s). Give '%s' as an absolute path.", option.name,
         strerror(errno), path);
  }
  return text("%s/%s", directory, path);
}

const char* check_log(const Option& option, const char* value) {
  const char* colon = strchr(value, ':');
  const char* level = colon == nullptr ? value : text(std::string_view(value, static_cast<size_t>(colon - value)));
  Nearest nearest(level);
  bool known = false;
  for (const char* candidate : kLevels) {
    nearest.consider(candidate);
    known = known || strcmp(level, candidate) == 0;
  }
  if (!known) {
    const char* guess = nearest.word() == nullptr ? "" : text("; did you mean '%s'?", nearest.word());
    fail_value(option, level, text("is no level: error, warn, info or debug%s", guess));
  }
  if (colon == nullptr) return value;
  if (colon[1] == '\0') fail_value(option, value, "names no file behind the colon");
  return text("%s:%s", level, absolute_path(option, colon + 1));
}

const char* check_chaos(const Option& option, const char* value) {
  const size_t digits = strspn(value, "0123456789");
  if (digits == 0 || (value[digits] != '\0' && value[digits] != ':'))
    fail_value(option, value, "is not SEED or SEED:FILE with a number");
  if (value[digits] == '\0') return value;
  if (value[digits + 1] == '\0') fail_value(option, value, "names no file behind the colon");
  return text("%.*s:%s", static_cast<int>(digits), value, absolute_path(option, value + digits + 1));
}

const char* check_stats(const Option& option, const char* value) {
  if (value == nullptr || strcmp(value, "1") == 0) return "1";
  if (*value == '\0') fail_value(option, value, "names no file");
  return absolute_path(option, value);
}

// A signal as kill(1) takes it, by its number or its name with or without SIG; and one that the library can have a handler for.
const char* check_dump_signal(const Option& option, const char* value) {
  char* end;
  unsigned long number = 0;
  if (read_number(value, number, end) && *end == '\0') {
    if (number == 0 || number >= NSIG) fail_value(option, value, text("is no signal's number: 1 to %d", NSIG - 1));
  } else {
    const char* name = strncmp(value, "SIG", 3) == 0 ? value + 3 : value;
    Nearest nearest(name);
    number = 0;
    for (int signal = 1; signal < NSIG; signal++) {
      const char* candidate = sigabbrev_np(signal);
      if (candidate == nullptr) continue;
      nearest.consider(candidate);
      if (strcmp(candidate, name) == 0) number = static_cast<unsigned long>(signal);
    }
    if (number == 0) {
      const char* guess = nearest.word() == nullptr ? "" : text("; did you mean '%s'?", nearest.word());
      fail_value(option, value, text("is no signal, like USR1%s", guess));
    }
  }
  switch (number) {
    case SIGKILL:
    case SIGSTOP:
      fail_value(option, value, "is a signal that no process can handle. Take USR1 or USR2");
    case SIGILL:
    case SIGTRAP:
    case SIGBUS:
    case SIGFPE:
    case SIGSYS:
      fail_value(option, value,
                 "is the signal of a fault, which a handler that returns would meet again. Take USR1 or USR2");
    case SIGSEGV:
    case SIGTERM:
    case SIGINT:
    case SIGHUP:
      fail_value(option, value,
                 "is a signal that weft handles for other ends (--stats, full stacks). Take USR1 or USR2");
    case 32:
    case 33:
      fail_value(option, value, "is a signal that the C library keeps for itself. Take USR1 or USR2");
    default:
      return value;
  }
}

// The options whose value has a form of its own.
const char* check_text(const Option& option, const char* value) {
  if (strcmp(option.name, "chaos") == 0) return check_chaos(option, value);
  if (strcmp(option.name, "dump-signal") == 0) return check_dump_signal(option, value);
  if (strcmp(option.name, "log") == 0) return check_log(option, value);
  if (strcmp(option.name, "stats") == 0) return check_stats(option, value);
  return value;
}

}  // namespace

std::span<Option> options() { return g_options; }

Option* find_option(const char* name) {
  for (Option& option : g_options) {
    if (strcmp(option.name, name) == 0) return &option;
  }
  return nullptr;
}

void set_option(Option& option, const char* value) {
  switch (option.kind) {
    case OptionKind::count:
      check_count(option, value);
      break;
    case OptionKind::bytes:
      check_bytes(option, value);
      break;
    case OptionKind::yesno:
      check_yesno(option, value);
      break;
    case OptionKind::flag:
      value = "1";
      break;
    case OptionKind::file_way:
    case OptionKind::guard_way:
      check_word(option, value);
      break;
    case OptionKind::text:
      value = check_text(option, value);
      break;
    case OptionKind::names:
      check_names(option, value);
      option.given = value = option.given == nullptr ? value : text("%s,%s", option.given, value);
      break;
  }
  if (setenv(option.variable, value, 1) != 0) fail(kOwnFailure, "cannot set %s: %s.", option.variable, strerror(errno));
}

bool flag_is_set(const char* variable) {
  const char* value = getenv(variable);
  return value != nullptr && *value != '\0' && strcmp(value, "0") != 0 && strcmp(value, "no") != 0;
}

void say_unknown_variables() {
  for (char** entry = environ; *entry != nullptr; entry++) {
    if (strncmp(*entry, "WEFT_", 5) != 0) continue;
    const size_t length = strcspn(*entry, "=");
    const char* name = text(std::string_view(*entry, length));
    Nearest nearest(name + 5);
    bool known = false;
    for (const char* internal : kInternal) known = known || strcmp(name, internal) == 0;
    for (const Option& option : g_options) {
      known = known || strcmp(name, option.variable) == 0;
      nearest.consider(option.variable + 5);
    }
    if (known) continue;
    if (nearest.word() == nullptr) {
      say("%s is no variable of weft's and is ignored. weft --help lists them.", name);
    } else {
      say("%s is no variable of weft's and is ignored. Did you mean WEFT_%s?", name, nearest.word());
    }
  }
}

}  // namespace weft
