// SPDX-License-Identifier: Apache-2.0
// Finding and judging a program. The order of the questions is the order in which the kernel and ld.so would stumble.
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "message.h"
#include "privilege.h"
#include "this_cpu.h"

namespace weft {
namespace {

constexpr int kMostScripts = 5;       // a script may name a script; the kernel gives up after as many
constexpr size_t kLongestLine = 255;  // of a "#!" line, as in the kernel
constexpr char kBlanks[] = " \t";
constexpr char kDefaultPath[] = "/bin:/usr/bin";  // of execvp where PATH is not set

// An errno: can this file be executed? Asked with the effective rights, as execve does.
int executable(const char* path) {
  struct stat status;
  if (stat(path, &status) != 0) return errno;
  if (S_ISDIR(status.st_mode)) return EISDIR;
  if (!S_ISREG(status.st_mode)) return EACCES;
  return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

// The path of the first executable file of this name in PATH; else null and, in `error`, what execvp would say.
const char* look_in_path(const char* name, int& error) {
  const char* path = getenv("PATH");
  if (path == nullptr) path = kDefaultPath;
  error = ENOENT;
  for (const char* element = path;; element++) {
    const size_t length = strcspn(element, ":");
    const std::string_view directory(element, length);
    const char* candidate = directory.empty() ? text("%s", name) : text("%s/%s", text(directory), name);
    const int result = executable(candidate);
    if (result == 0) return candidate;
    // What is there but may not run is remembered, and the search goes on.
    if (result != ENOENT && result != ENOTDIR && error == ENOENT) error = result;
    element += length;
    if (*element == '\0') return nullptr;
  }
}

void refuse(Program& program, int status, const char* why, const char* remedy) {
  program.status = status;
  program.why = why;
  program.remedy = remedy;
}

// `subject` cannot be executed: because of `error`, in the words for it.
void refuse_error(Program& program, const char* subject, int error) {
  switch (error) {
    case ENOENT:
      refuse(program, kNotFound, text("%s does not exist", subject), "Check the name, or install it.");
      break;
    case EISDIR:
      refuse(program, kNotExecutable, text("%s is a directory", subject), "Name the program in it.");
      break;
    case EACCES:
      refuse(program, kNotExecutable, text("%s may not be executed (%s)", subject, strerror(error)),
             "Check its mode (chmod +x), its directories and whether its file system is mounted noexec.");
      break;
    default:
      refuse(program, kNotExecutable, text("%s cannot be executed (%s)", subject, strerror(error)), "Check the name.");
      break;
  }
}

// Takes the word at the front of a line, and the blanks around it.
std::string_view take_word(std::string_view& line) {
  const size_t start = line.find_first_not_of(kBlanks);
  line.remove_prefix(start == line.npos ? line.size() : start);
  size_t length = line.find_first_of(kBlanks);
  if (length == line.npos) length = line.size();
  const std::string_view word(line.data(), length);
  line.remove_prefix(length);
  return word;
}

// What env(1) would run when it is the interpreter and gets the rest of the line as its one argument.
const char* program_of_env(std::string_view line) {
  for (std::string_view word = take_word(line); !word.empty(); word = take_word(line)) {
    if (word.size() > 2 && word[0] == '-' && word[1] == 'S')
      return text(std::string_view(word.data() + 2, word.size() - 2));
    if (word[0] != '-' && word.find('=') == word.npos) return text(word);
  }
  return nullptr;
}

// The interpreter of a script, or null where the line names none or names what is not there: the program is then
// refused.
const char* find_interpreter(Program& program, const char* script, std::string_view bytes) {
  std::string_view line(bytes.data() + 2, (bytes.size() < kLongestLine ? bytes.size() : kLongestLine) - 2);
  size_t length = 0;
  while (length < line.size() && line[length] != '\n' && line[length] != '\0' && line[length] != '\r') length++;
  line = std::string_view(line.data(), length);
  const char* interpreter = text(take_word(line));
  if (*interpreter == '\0') {
    refuse(program, kNotExecutable, text("%s is a script that names no interpreter", script),
           "Write one behind the #! of its first line.");
    return nullptr;
  }
  const int error = executable(interpreter);
  if (error != 0) {
    refuse_error(program, text("the interpreter %s of the script %s", interpreter, script), error);
    return nullptr;
  }
  const char* base = strrchr(interpreter, '/');
  if (strcmp(base == nullptr ? interpreter : base + 1, "env") != 0) return interpreter;

  const char* wanted = program_of_env(line);
  if (wanted == nullptr) return interpreter;
  const Program found = find_program(wanted);
  if (found.status == 0) return found.path;
  refuse_error(program, text("the interpreter %s of the script %s", wanted, script), found.missing ? ENOENT : EACCES);
  return nullptr;
}

// Follows scripts. False: the program is refused.
bool find_image(Program& program) {
  const char* path = program.path;
  for (int depth = 0; depth <= kMostScripts; depth++) {
    const ElfFile file(path);
    if (file.format() == FileFormat::plain_text || file.format() == FileFormat::empty) {
      program.plain_script = depth == 0;
      if (depth == 0) path = "/bin/sh";
    } else if (file.format() == FileFormat::script) {
      path = find_interpreter(program, path, file.bytes());
      if (path == nullptr) return false;
      continue;
    }
    program.image = path;
    return true;
  }
  refuse(program, kNotExecutable,
         text("%s is a script for a script for a script, deeper than the kernel follows", program.name),
         "Name the interpreter itself.");
  return false;
}

// What the words are about: the program, or with it the interpreter that runs it.
const char* subject_of(const Program& program) {
  if (program.image == program.path) return text("%s", program.name);
  return text("%s is a script for %s, which", program.name, program.image);
}

void judge_native(Program& program, const char* subject, const ElfFile& file) {
  constexpr int kRefused = kOwnFailure;
  const char* interpreter = file.interpreter();
  if (!file.is_program()) {
    refuse(program, kNotExecutable, text("%s is an ELF file but no program (an object file or a core)", subject),
           "Link it first.");
  } else if (file.soname() != nullptr && strcmp(file.soname(), kLoader) == 0) {
    program.is_loader = true;
    program.note = "it is the loader: whether the program that it loads can be woven was not looked at";
  } else if (file.is_go()) {
    refuse(program, kRefused,
           text("%s is a Go program: it makes its system calls itself and has goroutines of its own, so there is "
                "nothing to weave",
                subject),
           "Run it without weft.");
  } else if (interpreter == nullptr && !file.has_dynamic()) {
    refuse(program, kRefused, text("%s is statically linked, so nothing can be hooked", subject),
           "Relink it dynamically, or link libweft.");
  } else if (interpreter == nullptr && file.soname() != nullptr) {
    refuse(program, kNotExecutable, text("%s is a shared library and no program", subject),
           "Name the program that uses it.");
  } else if (interpreter == nullptr) {
    refuse(program, kRefused, text("%s is statically linked (static-pie), so nothing can be hooked", subject),
           "Relink it dynamically (without -static-pie), or link libweft.");
  } else if (strstr(interpreter, "ld-musl") != nullptr) {
    refuse(program, kRefused,
           text("%s is built for musl (%s), and weft knows the threads of glibc alone", subject, interpreter),
           "Use a build for glibc.");
  } else {
    const char* base = strrchr(interpreter, '/');
    if (strcmp(base == nullptr ? interpreter : base + 1, kLoader) != 0) {
      refuse(program, kRefused, text("%s wants the loader %s, which is not glibc's", subject, interpreter),
             "Use a build for glibc.");
    } else if (executable(interpreter) != 0) {
      refuse_error(program, text("the loader %s of %s", interpreter, program.image), executable(interpreter));
    }
  }
  if (program.status != 0) return;
  const Privilege privilege = look_at_privilege(program.image);
  if (privilege.why != nullptr) refuse(program, kRefused, text("%s %s", subject, privilege.why), privilege.remedy);
  if (privilege.note != nullptr) program.note = privilege.note;
}

}  // namespace

Program find_program(const char* name) {
  Program program;
  program.name = name;
  int error = ENOENT;
  if (strchr(name, '/') != nullptr) {
    error = executable(name);
    if (error == 0) program.path = name;
  } else if (*name != '\0') {
    program.path = look_in_path(name, error);
  }
  if (program.path != nullptr) return program;
  program.missing = error == ENOENT;
  if (program.missing && strchr(name, '/') == nullptr) {
    refuse(program, kNotFound, text("'%s' is in no directory of PATH", name), "Check the name, or give its path.");
  } else {
    refuse_error(program, name, error);
  }
  return program;
}

void judge_program(Program& program) {
  if (!find_image(program)) return;
  const ElfFile file(program.image);
  const char* subject = subject_of(program);
  switch (file.format()) {
    case FileFormat::native:
      judge_native(program, subject, file);
      break;
    case FileFormat::other_machine:
      refuse(program, kOwnFailure,
             text("%s is a program for %s, and weft weaves those for %s", subject, file.machine(), kMachineName),
             text("Use a %s build of it.", kMachineName));
      break;
    case FileFormat::broken:
      refuse(program, kNotExecutable, text("%s is a damaged ELF file (its headers lead out of the file)", subject),
             "Build or install it again.");
      break;
    case FileFormat::unreadable:
      // The kernel executes what a user may not read, and preloads into it: nothing speaks against it, only nothing is
      // known.
      if (file.error() == EACCES) {
        program.note = "it may not be read, so what it is was not looked at";
      } else {
        refuse(program, kOwnFailure, text("%s cannot be read (%s)", subject, strerror(file.error())),
               "Free what is short.");
      }
      break;
    default:
      refuse(program, kNotExecutable, text("%s is neither an ELF program nor a script", subject),
             "Name the program that runs it.");
      break;
  }
}

}  // namespace weft
