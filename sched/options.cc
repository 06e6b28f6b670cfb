// SPDX-License-Identifier: Apache-2.0
// The options: defaults of options.def, then what WEFT_* says, checked; a wrong value is said and the default stays.
//
// Texts are copied into a buffer of our own: programs that show a title in ps overwrite the memory their environment
// lies in.
#include "sched/options.h"

#include <cstdlib>
#include <cstring>
#include <fnmatch.h>

#include "sched/large.h"
#include "sched/log.h"
#include "sched/sys.h"

namespace weft {

constinit Options options;

namespace {

constexpr unsigned kTextRoom = 8192;     // of all text options together
constexpr unsigned kNameRoom = 64;       // longest name that is compared with ours
constexpr uint64_t kMaxCount = 1000000;  // the launcher's bounds
constexpr uint64_t kMaxBytes = uint64_t{1} << 40;

constinit bool unknown_is_said = false;  // the launcher has already spoken of unknown names,
constinit bool value_is_said = false;    // and the first program of wrong values

WEFT_LARGE constinit char text_memory[kTextRoom];
constinit unsigned text_used = 0;

// Variables that are weft's own and no options of a user.
constexpr const char* kInternal[] = {"WEFT_ROOT"};

constexpr const char* kNames[] = {
#define WEFT_OPTION(NAME, member, kind, initial, META, text) "WEFT_" #NAME,
#include "sched/options.def"
#undef WEFT_OPTION
};

enum class Verdict { good, not_a_number, too_large, not_a_size, not_yes_or_no, none_of_them, too_long };

const char* words_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::not_a_number:
      return "is not a whole number, like 4";
    case Verdict::too_large:
      return "is larger than weft takes";
    case Verdict::not_a_size:
      return "is not a number of bytes, like 65536, 64K, 1M or 1G";
    case Verdict::not_yes_or_no:
      return "is neither 'yes' nor 'no'";
    case Verdict::none_of_them:
      return "is none of ";
    case Verdict::too_long:
      return "is longer than weft takes";
    case Verdict::good:
      break;
  }
  return "";
}

// Digits at the front of `value`; false if there is none or they are more than 64 bits.
bool read_digits(const char* value, uint64_t* number, const char** end) {
  *number = 0;
  *end = value;
  for (; **end >= '0' && **end <= '9'; ++*end)
    if (__builtin_mul_overflow(*number, 10, number) || __builtin_add_overflow(*number, (uint64_t)(**end - '0'), number))
      return false;
  return *end != value;
}

Verdict parse_count(const char* value, uint64_t* result) {
  uint64_t number;
  const char* end;
  if (!read_digits(value, &number, &end) || *end) return Verdict::not_a_number;
  if (number > kMaxCount) return Verdict::too_large;
  *result = number;
  return Verdict::good;
}

Verdict parse_bytes(const char* value, uint64_t* result) {
  uint64_t number;
  const char* end;
  if (!read_digits(value, &number, &end)) return Verdict::not_a_size;
  unsigned shift = 0;
  if (*end) {
    switch (*end++ | 0x20) {
      case 'k':
        shift = 10;
        break;
      case 'm':
        shift = 20;
        break;
      case 'g':
        shift = 30;
        break;
      default:
        return Verdict::not_a_size;
    }
    if (*end) return Verdict::not_a_size;
  }
  if (number > kMaxBytes >> shift) return Verdict::too_large;
  *result = number << shift;
  return Verdict::good;
}

Verdict parse_yesno(const char* value, bool* result) {
  if (strcmp(value, "yes") == 0 || strcmp(value, "1") == 0)
    *result = true;
  else if (strcmp(value, "no") == 0 || strcmp(value, "0") == 0 || !*value)
    *result = false;
  else
    return Verdict::not_yes_or_no;
  return Verdict::good;
}

Verdict parse_flag(const char* value, bool* result) { return parse_yesno(value, result); }

Verdict parse_file_way(const char* value, FileWay* result) {
  if (strcmp(value, "uring") == 0)
    *result = FileWay::uring;
  else if (strcmp(value, "region") == 0)
    *result = FileWay::region;
  else if (strcmp(value, "auto") == 0)
    *result = FileWay::automatic;
  else
    return Verdict::none_of_them;
  return Verdict::good;
}

Verdict parse_guard_way(const char* value, GuardWay* result) {
  if (strcmp(value, "mprotect") == 0)
    *result = GuardWay::mprotect;
  else if (strcmp(value, "auto") == 0)
    *result = GuardWay::automatic;
  else
    return Verdict::none_of_them;
  return Verdict::good;
}

Verdict parse_text(const char* value, const char** result) {
  unsigned length = (unsigned)strnlen(value, kTextRoom) + 1;
  if (length > kTextRoom - text_used) return Verdict::too_long;
  *result = (const char*)memcpy(text_memory + text_used, value, length);
  text_used += length;
  return Verdict::good;
}

Verdict parse_names(const char* value, const char** result) { return parse_text(value, result); }

// The defaults. A text that defaults to "" is null, so that a variable set to nothing can be told from one not set.
template <class T>
void set_default(Verdict (*parse)(const char*, T*), const char* initial, T* member) {
  if (*initial) parse(initial, member);
}

template <class T>
void set(Verdict (*parse)(const char*, T*), const char* name, const char* meta, const char* value, T* member) {
  Verdict verdict = parse(value, member);
  if (verdict != Verdict::good && !value_is_said)
    log(Level::error, "%s: '%s' %s%s; it is ignored", name, value, words_of(verdict),
        verdict == Verdict::none_of_them ? meta : "");
}

// Smallest number of letters to add, remove or change.
unsigned edit_distance(const char* a, const char* b) {
  unsigned row[kNameRoom + 1];
  unsigned length = (unsigned)strlen(b);
  for (unsigned i = 0; i <= length; i++) row[i] = i;
  for (unsigned i = 1; *a; a++, i++) {
    unsigned diagonal = row[0];
    row[0] = i;
    for (unsigned j = 1; j <= length; j++) {
      unsigned best = diagonal + (*a != b[j - 1]);
      diagonal = row[j];
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      row[j] = best;
    }
  }
  return row[length];
}

void say_unknown(const char* name) {
  if (unknown_is_said) return;
  const char* nearest = kNames[0];
  unsigned least = ~0u;
  for (const char* candidate : kNames) {
    unsigned distance = edit_distance(name, candidate);
    if (distance < least) {
      least = distance;
      nearest = candidate;
    }
  }
  // Further than half of what comes after WEFT_, it is no slip of the fingers.
  if (least <= (strlen(nearest) - 5 + 1) / 2)
    log(Level::error, "%s is no option of weft; did you mean %s?", name, nearest);
  else
    log(Level::error, "%s is no option of weft; 'weft --help' lists them", name);
}

void read_variable(const char* variable) {
  const char* equals = strchr(variable, '=');
  if (!equals) return;
  char name[kNameRoom];
  unsigned length = (unsigned)(equals - variable);
  if (length >= kNameRoom) length = kNameRoom - 1;
  memcpy(name, variable, length);
  name[length] = 0;
  const char* value = equals + 1;
#define WEFT_OPTION(NAME, member, kind, initial, META, text) \
  if (strcmp(name, "WEFT_" #NAME) == 0) return set(parse_##kind, name, META, value, &options.member);
#include "sched/options.def"
#undef WEFT_OPTION
  for (const char* internal : kInternal)
    if (strcmp(name, internal) == 0) return;
  say_unknown(name);
}

}  // namespace

void options_read(char** environment) {
  text_used = 0;
  options = {};
  unknown_is_said = value_is_said = false;
  for (char** at = environment; at && *at; at++)
    if (strncmp(*at, "WEFT_ROOT=", 10) == 0) {
      unknown_is_said = true;
      value_is_said = atol(*at + 10) != sys::getpid();
    }
#define WEFT_OPTION(NAME, member, kind, initial, META, text) set_default(parse_##kind, initial, &options.member);
#include "sched/options.def"
#undef WEFT_OPTION
  for (; environment && *environment; environment++)
    if (strncmp(*environment, "WEFT_", 5) == 0) read_variable(*environment);
}

bool matches_any(const char* patterns, const char* name) {
  if (!patterns || !name) return false;
  char pattern[256];
  for (const char* at = patterns;; at++) {
    const char* end = strchrnul(at, ',');
    unsigned long length = (unsigned long)(end - at);
    if (length > 0 && length < sizeof pattern) {
      memcpy(pattern, at, length);
      pattern[length] = 0;
      if (fnmatch(pattern, name, 0) == 0) return true;
    }
    if (!*end) return false;
    at = end;
  }
}

}  // namespace weft
