// SPDX-License-Identifier: Apache-2.0
// The log. A line is put together on the stack and leaves by one write(2), so lines of several threads never mix.
//
// What must not happen: a line of ours in a file or connection of the program's. A program may close descriptor 2 and
// get a socket or a data file under that number. So unless WEFT_LOG names a file, a line is written only while 2 is
// what it was at the start, or is something one redirects messages to: a terminal, a pipe, a file opened for appending.
// Nor a signal: SIGPIPE of a write is taken back before the thread can see it.
#include "sched/log.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>

#include "sched/coroutine.h"
#include "sched/dump.h"
#include "sched/options.h"
#include "sched/poller.h"
#include "sched/sys.h"
#include "sched/thread_state.h"

namespace weft {

namespace {

constexpr unsigned kLineRoom = 1024;
constexpr const char* kLevels[] = {"error", "warn", "info", "debug"};

constinit Level level = Level::warn;
constinit const char* file_path = nullptr;  // null: descriptor 2
enum : uint32_t { kUnopened, kOpening, kOpened };
constinit std::atomic<uint32_t> file_state{kUnopened};
constinit std::atomic<int> file_fd{2};
constinit bool error_fd_known = false;
constinit uint64_t error_fd_device = 0, error_fd_inode = 0;

struct Output {
  char* buffer;
  unsigned size;
  unsigned length;

  void put(char c) {
    if (length + 1 < size) buffer[length++] = c;
  }
  void put(const char* text, unsigned count, int width, bool left, char fill) {
    int gap = width - (int)count;
    if (!left)
      for (; gap > 0; gap--) put(fill);
    for (unsigned i = 0; i < count; i++) put(text[i]);
    for (; gap > 0; gap--) put(' ');
  }
};

unsigned digits_of(uint64_t value, unsigned base, bool negative, char* end) {
  char* at = end;
  do *--at = "0123456789abcdef"[value % base];
  while (value /= base);
  if (negative) *--at = '-';
  return (unsigned)(end - at);
}

bool may_write_to_error_fd() {
  struct stat now;
  if (sys::call(SYS_fstat, 2, sys::word(&now)) < 0) return false;
  if (error_fd_known && now.st_dev == error_fd_device && now.st_ino == error_fd_inode) return true;
  if (S_ISCHR(now.st_mode) || S_ISFIFO(now.st_mode)) return true;
  return S_ISREG(now.st_mode) && (sys::call(SYS_fcntl, 2, F_GETFL) & O_APPEND);
}

void write_line(int fd, const char* line, unsigned length) {
  if (fd == 2 && !may_write_to_error_fd()) return;
  uint64_t pipe_signal = uint64_t{1} << (SIGPIPE - 1), before = 0, pending = 0;
  sys::sigprocmask(SIG_BLOCK, &pipe_signal, &before);
  sys::call(SYS_rt_sigpending, sys::word(&pending), 8);
  if (sys::write(fd, line, length) == -EPIPE && !(pending & pipe_signal)) {
    timespec at_once = {};
    sys::call(SYS_rt_sigtimedwait, sys::word(&pipe_signal), 0, sys::word(&at_once), 8);
  }
  sys::sigprocmask(SIG_SETMASK, &before, nullptr);
}

int open_file() {
  return (int)sys::call(SYS_openat, AT_FDCWD, sys::word(file_path), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

// The file is opened at the first line, so that a process that says nothing makes none. Meanwhile others write to 2.
int output_fd() {
  if (!file_path || file_state.load(std::memory_order_acquire) == kOpened)
    return file_fd.load(std::memory_order_relaxed);
  uint32_t expected = kUnopened;
  if (!file_state.compare_exchange_strong(expected, kOpening)) return 2;
  int fd = open_file();
  if (fd >= 0) {
    int high = make_internal_fd(fd);
    file_fd.store(high >= 0 ? high : fd, std::memory_order_relaxed);
  }
  file_state.store(kOpened, std::memory_order_release);  // pairs with the acquire above: file_fd is set
  if (fd < 0)
    log(Level::error, "the log file %s cannot be opened (errno %d); messages go to descriptor 2", file_path, -fd);
  return file_fd.load(std::memory_order_relaxed);
}

void log_arguments(const char* format, va_list arguments) {
  char line[kLineRoom];
  memcpy(line, "weft: ", 6);
  unsigned length = 6 + format_line(line + 6, kLineRoom - 7, format, arguments);
  line[length++] = '\n';
  if (file_path && thread_state.descriptors_apart) {
    int fd = open_file();
    write_line(fd < 0 ? 2 : fd, line, length);
    if (fd >= 0) sys::close(fd);
  } else {
    write_line(output_fd(), line, length);
  }
}

const char* name_of(State state) {
  switch (state) {
    case State::free:
      return "free";
    case State::ready:
      return "ready";
    case State::running:
      return "running";
    case State::parked:
      return "parked";
    case State::blocked:
      return "blocked";
    case State::finished:
      return "finished";
  }
  return "unknown";
}

const char* name_of(WaitKind kind) {
  constexpr const char* kNames[] = {"none",   "fd_read", "fd_write", "poll",        "lock",        "condition",
                                    "sleep",  "join",    "futex",    "semaphore",   "barrier",     "once",
                                    "region", "signal",  "file",     "rwlock_read", "rwlock_write"};
  return (unsigned)kind < sizeof kNames / sizeof *kNames ? kNames[(unsigned)kind] : "unknown";
}

}  // namespace

void log_begin() {
  struct stat now;
  if (sys::call(SYS_fstat, 2, sys::word(&now)) == 0) {
    error_fd_known = true;
    error_fd_device = now.st_dev;
    error_fd_inode = now.st_ino;
  }
}

void log_file_left() { file_state.store(kUnopened, std::memory_order_relaxed); }

void log_init() {
  const char* wanted = options.log;
  if (!wanted || !*wanted) return;
  const char* colon = strchrnul(wanted, ':');
  bool known = false;
  for (unsigned i = 0; i < 4; i++) {
    if (strlen(kLevels[i]) != (size_t)(colon - wanted) || strncmp(wanted, kLevels[i], (size_t)(colon - wanted)) != 0)
      continue;
    level = Level(i);
    known = true;
  }
  if (!known) {
    log(Level::error, "WEFT_LOG: '%s' is not LEVEL[:FILE] with error, warn, info or debug; it is ignored", wanted);
    return;
  }
  if (*colon && colon[1]) file_path = colon + 1;
}

unsigned format_text(char* buffer, unsigned size, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  unsigned length = format_line(buffer, size, format, arguments);
  va_end(arguments);
  return length;
}

void write_messages(const char* text, unsigned length) { write_line(2, text, length); }

int log_descriptor() {
  int fd = output_fd();
  return fd != 2 || may_write_to_error_fd() ? fd : -1;
}

void log_always(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  log_arguments(format, arguments);
  va_end(arguments);
}

bool log_enabled(Level wanted) { return wanted <= level; }

void log(Level wanted, const char* format, ...) {
  if (!log_enabled(wanted)) return;
  va_list arguments;
  va_start(arguments, format);
  log_arguments(format, arguments);
  va_end(arguments);
}

void log_once(bool* said, Level wanted, const char* format, ...) {
  if (!log_enabled(wanted) || __atomic_exchange_n(said, true, __ATOMIC_RELAXED)) return;
  va_list arguments;
  va_start(arguments, format);
  log_arguments(format, arguments);
  va_end(arguments);
}

unsigned format_line(char* buffer, unsigned size, const char* format, va_list arguments) {
  Output out{buffer, size, 0};
  for (const char* at = format; *at; at++) {
    if (*at != '%') {
      out.put(*at);
      continue;
    }
    at++;
    bool left = false;
    char fill = ' ';
    for (; *at == '-' || *at == '0'; at++) {
      left |= *at == '-';
      if (*at == '0') fill = '0';
    }
    int width = 0;
    for (; *at >= '0' && *at <= '9'; at++) width = width * 10 + (*at - '0');
    unsigned longs = 0;
    for (; *at == 'l' || *at == 'z'; at++) longs++;
    char digits[24];
    char* end = digits + sizeof digits;
    switch (*at) {
      case 's': {
        const char* text = va_arg(arguments, const char*);
        if (!text) text = "(null)";
        out.put(text, (unsigned)strlen(text), width, left, ' ');
        break;
      }
      case 'c': {
        char c = (char)va_arg(arguments, int);
        out.put(&c, 1, width, left, ' ');
        break;
      }
      case 'd': {
        long value = longs ? va_arg(arguments, long) : va_arg(arguments, int);
        unsigned count = digits_of(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, value < 0, end);
        out.put(end - count, count, width, left, fill);
        break;
      }
      case 'u':
      case 'x': {
        uint64_t value = longs ? va_arg(arguments, unsigned long) : va_arg(arguments, unsigned);
        unsigned count = digits_of(value, *at == 'x' ? 16 : 10, false, end);
        out.put(end - count, count, width, left, fill);
        break;
      }
      case 'p': {
        unsigned count = digits_of((uint64_t)va_arg(arguments, void*), 16, false, end);
        out.put('0');
        out.put('x');
        out.put(end - count, count, 0, false, ' ');
        break;
      }
      case '%':
        out.put('%');
        break;
      case 0:
        at--;
        break;
      default:
        out.put(*at);
    }
  }
  if (size) buffer[out.length] = 0;
  return out.length;
}

void check_failed(const char* file, int line, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char words[512];
  format_line(words, sizeof words, format, arguments);
  va_end(arguments);
  log_always("an invariant of weft is broken: %s (%s:%d). The coroutines:", words, file, line);
  for (uint32_t i = 0; i < coroutine_slots(); i++) {
    const Coroutine* c = coroutine_at(i);
    if (!c || c->state.load(std::memory_order_relaxed) == State::free) continue;
    log_always("  coroutine %u  %-8s  %-9s  fd %d  object %p  %s", c->id,
               name_of(c->state.load(std::memory_order_relaxed)),
               name_of(WaitKind(c->wait_kind.load(std::memory_order_relaxed))), c->wait_fd, c->wait_object, c->name);
  }
  dump_now();
  // As abort(3): a handler of the program's gets its chance; if it comes back, the default action follows.
  uint64_t abort_signal = uint64_t{1} << (SIGABRT - 1);
  sys::sigprocmask(SIG_UNBLOCK, &abort_signal, nullptr);
  sys::call(SYS_tgkill, sys::getpid(), sys::gettid(), SIGABRT);
  uint64_t default_action[4] = {};  // the kernel's sigaction: handler, flags, restorer, mask
  sys::call(SYS_rt_sigaction, SIGABRT, sys::word(default_action), 0, 8);
  sys::call(SYS_tgkill, sys::getpid(), sys::gettid(), SIGABRT);
  for (;;) sys::call(SYS_exit_group, 128 + SIGABRT);
}

}  // namespace weft
