// SPDX-License-Identifier: Apache-2.0
// Runs a program and spoils some of its system calls: an error instead of the call, or fewer bytes than were asked for.
//
// A seccomp filter stops the chosen calls alone, in all threads and children; everything else runs at full speed. strace can inject
// errors as well, but neither short transfers nor errors for the calls of one library only.
//
//   matching call   its number is chosen, it was made by code of the library (--within), at that offset of it (--at), and --after has
//                   been seen
//   spoilt call     a matching one whose place among them --first and --every say
//
// The injector ends as the program does. After --timeout it prints the stacks of what still runs, kills it and ends with 124.
#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <getopt.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <map>
#include <set>
#include <string>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr int kOwnFailure = 125, kTimedOut = 124;
constexpr long kOptions = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                          PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;

struct Wanted {
  std::set<long> calls;  // empty: all are counted, none is spoilt
  long error = 0;
  unsigned long short_by = 0;  // transfers move at most so many bytes; 0: it is an error
  unsigned long first = 1, every = 0, last = ~0ul;
  const char* within = nullptr;
  unsigned long at = 0;  // 0: everywhere in the library
  long after = -1;
  bool streams = false;  // only transfers of sockets and pipes
  const char* report = nullptr;
  unsigned timeout = 0;
} wanted;

// What a short transfer changed, to be put back when the call has returned.
struct Changed {
  unsigned long length_register;
  unsigned long iov_length, iov_address;  // address 0: no vector
  unsigned long count_address, count;     // of a msghdr
};

struct Range {
  unsigned long low, high, offset;
};

std::map<pid_t, pid_t> process_of;  // every tracee
std::map<pid_t, std::vector<Range>> ranges_of;
std::map<pid_t, Changed> changed_in;
std::map<long, unsigned long> seen_calls;
std::set<unsigned long> met_sites, spoilt_sites;  // offsets in the library, behind the call
unsigned long matching, spoilt;
bool counting = true;
volatile sig_atomic_t timed_out;
pid_t program;

[[noreturn]] void give_up(const char* what) {
  fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
  _exit(kOwnFailure);
}

void install_filter() {
  std::vector<sock_filter> code;
  auto add = [&](unsigned short op, unsigned value, unsigned char yes = 0, unsigned char no = 0) {
    code.push_back({op, yes, no, value});
  };
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  std::set<long> stops = wanted.calls;
  if (wanted.after >= 0) stops.insert(wanted.after);
  if (wanted.calls.empty()) {
    add(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
  } else {
    for (long call : stops) {
      add(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1);
      add(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    }
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  }
  sock_fprog filter = {(unsigned short)code.size(), code.data()};
  if (geteuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) give_up("no_new_privs");
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter)) give_up("seccomp");
}

pid_t process_of_thread(pid_t tid) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/status", tid);
  FILE* file = fopen(path, "r");
  pid_t found = tid;
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "Tgid: %d", &found) == 1) break;
  if (file) fclose(file);
  return found;
}

// The range of the library that holds the address, null if it is not the library's.
const Range* made_within(pid_t process, unsigned long address) {
  std::vector<Range>& ranges = ranges_of[process];
  if (ranges.empty()) {
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/maps", process);
    FILE* file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
      unsigned long low, high, offset;
      if (strstr(line, wanted.within) && strstr(line, " r-x") &&
          sscanf(line, "%lx-%lx %*s %lx", &low, &high, &offset) == 3)
        ranges.push_back({low, high, offset});
    }
    if (file) fclose(file);
  }
  for (const Range& range : ranges)
    if (address >= range.low && address <= range.high) return &range;
  return nullptr;
}

// A stream, whose transfers may fail and be short at any time: not a datagram's, an eventfd's or a file's.
bool is_stream(pid_t process, int fd) {
  char path[64];
  struct stat status;
  snprintf(path, sizeof path, "/proc/%d/fd/%d", process, fd);
  if (stat(path, &status)) return false;
  if (S_ISFIFO(status.st_mode)) return true;
  if (!S_ISSOCK(status.st_mode)) return false;
  int pidfd = (int)syscall(SYS_pidfd_open, process, 0);
  int copy = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
  int type = 0;
  socklen_t length = sizeof type;
  if (copy >= 0) getsockopt(copy, SOL_SOCKET, SO_TYPE, &type, &length);
  if (copy >= 0) close(copy);
  if (pidfd >= 0) close(pidfd);
  return type == SOCK_STREAM;
}

unsigned long peek(pid_t tid, unsigned long address) {
  errno = 0;
  return (unsigned long)ptrace(PTRACE_PEEKDATA, tid, address, 0);
}
void poke(pid_t tid, unsigned long address, unsigned long value) { ptrace(PTRACE_POKEDATA, tid, address, value); }

// Makes the transfer a short one. False: it cannot be, or is short anyway.
bool shorten(pid_t tid, user_regs_struct* registers) {
  if (!is_stream(process_of[tid], (int)registers->rdi)) return false;
  Changed changed = {registers->rdx, 0, 0, 0, 0};
  unsigned long vector = 0;
  switch (registers->orig_rax) {
    case SYS_read:
    case SYS_write:
    case SYS_recvfrom:
    case SYS_sendto:
    case SYS_pread64:
    case SYS_pwrite64:
      if (registers->rdx <= wanted.short_by) return false;
      registers->rdx = wanted.short_by;
      ptrace(PTRACE_SETREGS, tid, 0, registers);
      break;
    case SYS_readv:
    case SYS_writev:
    case SYS_preadv2:
    case SYS_pwritev2:
      if (!registers->rdx) return false;
      vector = registers->rsi;
      registers->rdx = 1;
      ptrace(PTRACE_SETREGS, tid, 0, registers);
      break;
    case SYS_recvmsg:
    case SYS_sendmsg:
      changed.count_address = registers->rsi + offsetof(msghdr, msg_iovlen);
      changed.count = peek(tid, changed.count_address);
      if (!changed.count) return false;
      vector = peek(tid, registers->rsi + offsetof(msghdr, msg_iov));
      poke(tid, changed.count_address, 1);
      break;
    default:
      return false;
  }
  if (vector) {
    changed.iov_address = vector + offsetof(iovec, iov_len);
    changed.iov_length = peek(tid, changed.iov_address);
    if (changed.iov_length > wanted.short_by) poke(tid, changed.iov_address, wanted.short_by);
  }
  changed_in[tid] = changed;
  return true;
}

void put_back(pid_t tid) {
  auto found = changed_in.find(tid);
  if (found == changed_in.end()) return;
  const Changed& changed = found->second;
  user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, tid, 0, &registers) == 0) {
    registers.rdx = changed.length_register;
    ptrace(PTRACE_SETREGS, tid, 0, &registers);
  }
  if (changed.iov_address) poke(tid, changed.iov_address, changed.iov_length);
  if (changed.count_address) poke(tid, changed.count_address, changed.count);
  changed_in.erase(found);
}

bool is_chosen(unsigned long place) {
  if (place < wanted.first || place > wanted.last) return false;
  return wanted.every ? (place - wanted.first) % wanted.every == 0 : place == wanted.first;
}

bool is_wait(int futex_operation) {
  int command = futex_operation & FUTEX_CMD_MASK;
  return command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET;
}

// True: the end of the call has to be seen as well.
bool call_begins(pid_t tid) {
  user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, tid, 0, &registers)) return false;
  long number = (long)registers.orig_rax;
  if (!counting) {
    counting = number == wanted.after;
    return false;
  }
  if (!wanted.calls.empty() && !wanted.calls.count(number)) return false;
  const Range* range = wanted.within ? made_within(process_of[tid], registers.rip) : nullptr;
  if (wanted.within && !range) return false;
  // A wake-up does not fail, and the kernel counts on it no more than its callers do.
  if (number == SYS_futex && !is_wait((int)registers.rsi)) return false;
  if (wanted.streams && !is_stream(process_of[tid], (int)registers.rdi)) return false;
  unsigned long site = range ? registers.rip - range->low + range->offset : 0;
  if (wanted.at && site != wanted.at) return false;
  seen_calls[number]++;
  if (range) met_sites.insert(site);
  if (wanted.calls.empty() || !is_chosen(++matching)) return false;
  if (wanted.short_by) {
    if (!shorten(tid, &registers)) return false;
    spoilt++;
    return true;
  }
  spoilt++;
  if (range) spoilt_sites.insert(site);
  registers.orig_rax = (unsigned long)-1;  // no call
  registers.rax = (unsigned long)-wanted.error;
  ptrace(PTRACE_SETREGS, tid, 0, &registers);
  return false;
}

void write_report() {
  if (!wanted.report) return;
  FILE* file = fopen(wanted.report, "w");
  if (!file) give_up(wanted.report);
  fprintf(file, "matching %lu\nspoilt %lu\n", matching, spoilt);
  for (const auto& [number, count] : seen_calls) fprintf(file, "call %ld %lu\n", number, count);
  for (unsigned long site : met_sites) fprintf(file, "met %lx\n", site);
  for (unsigned long site : spoilt_sites) fprintf(file, "site %lx\n", site);
  fclose(file);
}

// Lets go of everything, stopped, so that gdb can look at it.
void show_stacks() {
  std::set<pid_t> processes;
  for (const auto& [tid, process] : process_of) processes.insert(process);
  for (const auto& [tid, process] : process_of) ptrace(PTRACE_INTERRUPT, tid, 0, 0);
  for (auto [tid, process] : std::map<pid_t, pid_t>(process_of)) {
    int status;
    if (waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status)) ptrace(PTRACE_DETACH, tid, 0, SIGSTOP);
  }
  for (pid_t process : processes) {
    char command[256];
    snprintf(
        command, sizeof command,
        "timeout -k 2 20 gdb -nx -batch -p %d -ex 'thread apply all bt 12' </dev/null 2>&1 | grep -v '^\\[New' >&2",
        process);
    fprintf(stderr, "inject: stacks of process %d\n", process);
    if (system(command)) fprintf(stderr, "inject: gdb cannot show them\n");
    kill(process, SIGKILL);
  }
}

int follow() {
  int result = kOwnFailure;
  while (!process_of.empty()) {
    int status;
    pid_t tid = waitpid(-1, &status, __WALL);
    if (timed_out) {
      show_stacks();
      return kTimedOut;
    }
    if (tid < 0) {
      if (errno == EINTR) continue;
      break;
    }
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      process_of.erase(tid);
      changed_in.erase(tid);
      if (tid != program) continue;
      result = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
      break;
    }
    if (!process_of.count(tid)) process_of[tid] = process_of_thread(tid);
    int signal = WSTOPSIG(status), event = status >> 16;
    long how = PTRACE_CONT;
    switch (event) {
      case 0:
        if (signal == (SIGTRAP | 0x80)) {
          put_back(tid);
          signal = 0;
        }
        break;
      case PTRACE_EVENT_SECCOMP:
        if (call_begins(tid)) how = PTRACE_SYSCALL;
        signal = 0;
        break;
      case PTRACE_EVENT_EXEC:
        ranges_of.erase(process_of[tid]);
        signal = 0;
        break;
      case PTRACE_EVENT_STOP:
        if (signal != SIGTRAP) how = PTRACE_LISTEN;
        signal = 0;
        break;
      default:
        signal = 0;
    }
    // A thread of a call that has still to return goes on to the call's end, whatever else stops it.
    if (how == PTRACE_CONT && changed_in.count(tid)) how = PTRACE_SYSCALL;
    ptrace((enum __ptrace_request)how, tid, 0, signal);
  }
  return result;
}

unsigned long number_of(const char* text) { return strtoul(text, nullptr, 0); }

void read_options(int argc, char** argv) {
  const option known[] = {{"calls", 1, nullptr, 'c'},  {"error", 1, nullptr, 'e'},   {"short", 1, nullptr, 's'},
                          {"first", 1, nullptr, 'f'},  {"every", 1, nullptr, 'n'},   {"within", 1, nullptr, 'w'},
                          {"last", 1, nullptr, 'l'},   {"at", 1, nullptr, 'A'},      {"after", 1, nullptr, 'a'},
                          {"report", 1, nullptr, 'r'}, {"streams", 0, nullptr, 'S'}, {"timeout", 1, nullptr, 't'},
                          {nullptr, 0, nullptr, 0}};
  for (int letter; (letter = getopt_long(argc, argv, "+", known, nullptr)) != -1;) {
    switch (letter) {
      case 'c':
        for (char* word = strtok(optarg, ","); word; word = strtok(nullptr, ","))
          wanted.calls.insert((long)number_of(word));
        break;
      case 'e':
        wanted.error = (long)number_of(optarg);
        break;
      case 's':
        wanted.short_by = number_of(optarg);
        break;
      case 'f':
        wanted.first = number_of(optarg);
        break;
      case 'n':
        wanted.every = number_of(optarg);
        break;
      case 'l':
        wanted.last = number_of(optarg);
        break;
      case 'w':
        wanted.within = optarg;
        break;
      case 'A':
        wanted.at = strtoul(optarg, nullptr, 16);
        break;
      case 'a':
        wanted.after = (long)number_of(optarg);
        counting = false;
        break;
      case 'S':
        wanted.streams = true;
        break;
      case 'r':
        wanted.report = optarg;
        break;
      case 't':
        wanted.timeout = (unsigned)number_of(optarg);
        break;
      default:
        _exit(kOwnFailure);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  read_options(argc, argv);
  if (optind >= argc) {
    fprintf(stderr,
            "usage: inject [--calls N,...] [--error N | --short BYTES] [--first N] [--every N] [--last N]\n"
            "              [--within LIBRARY [--at OFFSET]] [--streams] [--after N] [--report FILE] [--timeout S] -- "
            "program "
            "[argument...]\n");
    return kOwnFailure;
  }
  int start[2];
  if (pipe2(start, O_CLOEXEC)) give_up("pipe");
  program = fork();
  if (program < 0) give_up("fork");
  if (!program) {
    char byte;
    close(start[1]);
    (void)!read(start[0], &byte, 1);
    // The library is for the program alone.
    if (const char* preload = getenv("INJECT_PRELOAD")) {
      setenv("LD_PRELOAD", preload, 1);
      unsetenv("INJECT_PRELOAD");
    }
    install_filter();
    execvp(argv[optind], argv + optind);
    give_up(argv[optind]);
  }
  if (ptrace(PTRACE_SEIZE, program, 0, kOptions)) give_up("ptrace");
  process_of[program] = program;
  struct sigaction action = {};
  action.sa_handler = [](int) { timed_out = 1; };
  sigaction(SIGALRM, &action, nullptr);
  // Whoever ends the injector means the program.
  action.sa_handler = [](int signal) { kill(program, signal); };
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaction(signal, &action, nullptr);
  alarm(wanted.timeout);
  close(start[0]);
  close(start[1]);
  int result = follow();
  alarm(0);
  write_report();
  if (result >= 256) {
    rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(result - 256, SIG_DFL);
    raise(result - 256);
  }
  return result;
}
