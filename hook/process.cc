// SPDX-License-Identifier: Apache-2.0
// Processes: fork and kin, exec, waiting for children, and the ends at which the counters are written.
//
// A child begins with the signal mask of the kernel thread that made it. A carrier blocks everything, so whatever makes
// a process or a new image does it inside a signal window, in which the coroutine's mask is the kernel's. Handlers of
// pthread_atfork run in that window too: their locks wait as a kernel thread waits, and the monitor lets the worker go
// on.
//
// A child of fork has the forking thread alone, and that goes on as a guest on the coroutine's stack. A child of vfork
// has the parent's memory: until it execs every hook makes the real call and touches no table.
#include <alloca.h>
#include <atomic>
#include <cstdarg>
#include <cstring>

#include "hook/hook.h"
#include "hook/module.h"
#include "hook/process.h"
#include "sched/log.h"
#include "sched/runtime.h"
#include "sched/sys.h"
#include "sched/tls_block.h"

namespace weft {

namespace {

// Before a call that makes a process: its parent is the carrier, its mask the coroutine's. Null: the caller is none.
Coroutine* process_window_open(SignalWindow* window) {
  Coroutine* self = woven();
  if (!self) return nullptr;
  self->carrier->made_processes = true;
  signal_window_open(window, self, false);
  return self;
}

// A call that makes a process or a new image, which inherits what is pending for the thread. errno of a call that comes back is kept.
template <class Call>
auto with_own_mask(Call call) {
  SignalWindow window;
  if (!process_window_open(&window)) return call();
  auto result = call();
  int error = errno;
  signal_window_close(&window);
  errno = error;
  return result;
}

// Does this module leave `ptrace` to others? In a hash table of GNU's kind the undefined symbols come first, uncounted.
int imports_ptrace(dl_phdr_info* info, size_t, void*) {
  const ElfW(Dyn)* dynamic = nullptr;
  for (int i = 0; i < info->dlpi_phnum; i++)
    if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
      dynamic = (const ElfW(Dyn)*)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
  Module module = module_of(info->dlpi_addr, dynamic);
  if (!module.symbols || !module.names || (!module.hash && !module.gnu_hash)) return 0;
  uint32_t count = module.gnu_hash ? module.gnu_hash[1] : module.hash[1];
  for (uint32_t i = 1; i < count; i++)
    if (module.symbols[i].st_shndx == SHN_UNDEF && strcmp(module.names + module.symbols[i].st_name, "ptrace") == 0)
      return 1;
  return 0;
}

// A child that asks to be traced is traced by the kernel thread that forked it, which therefore has to stay the caller's.
// Only a program that calls ptrace can mean that: in it a coroutine that forks is pinned.
bool program_traces() {
  struct Known {
    unsigned long long modules;
    bool traces;
  };
  static Known known;           // a race finds the same twice
  constexpr int kTries = 1000;  // others fork meanwhile
  unsigned long long modules = known.modules;
  int traces = 1;
  for (int i = 0; i < kTries; i++) {
    bool seen = modules_walk(
        [](dl_phdr_info* module, size_t, void* found) {
          *(unsigned long long*)found = module->dlpi_adds;
          return 1;
        },
        &modules);
    if (modules == known.modules && (seen || modules)) return known.traces;
    if (seen && modules_walk(imports_ptrace, nullptr, &traces)) {
      known = {modules, traces != 0};
      return known.traces;
    }
    sys::call(SYS_sched_yield);
  }
  return true;  // to be pinned is never wrong
}

// A call in which libc forks. It returns in both processes; which one this is, only the pid tells.
template <class Call>
auto forking(Call call) {
  if (thread_state.vfork_child) return call();
  if (woven() && program_traces()) pin_current(PinReason::tracing);
  SignalWindow window;
  Coroutine* self = process_window_open(&window);
  long before = sys::getpid();
  real_find_all();
  bool cared_for = runtime_before_fork();
  auto result = call();
  if (!cared_for) return result;
  int error = errno;
  if (sys::getpid() != before) {
    signal_window_forget();
    runtime_after_fork_child();
  } else {
    runtime_after_fork_parent();
    if (self) signal_window_close(&window);
  }
  errno = error;
  return result;
}

// A process that clone makes begins where it is told to, not where a fork returns.
struct ClonedChild {
  int (*start)(void*);
  void* argument;
  long flags;
  bool cared_for;

  void begin() const {
    if (!cared_for) return;
    signal_window_forget();
    if (flags & CLONE_FILES) thread_state.descriptors_apart = true;  // what it closes of weft's would be closed here
    runtime_after_fork_child();
  }
  static int run(void* given) {
    auto* child = (ClonedChild*)given;  // in the child's copy of the stack it was made from
    child->begin();
    int status = child->start(child->argument);
    // libc ends this kernel thread alone; carriers would stay behind.
    if (runtime_started() && !live_coroutines()) sys::call(SYS_exit_group, status);
    return status;
  }
};

// `call` makes it, and returns the result of the parent or, where it returns in the child as well, 0 there.
template <class Call>
long cloning(ClonedChild* child, Call call) {
  if (woven() && program_traces()) pin_current(PinReason::tracing);
  SignalWindow window;
  Coroutine* self = process_window_open(&window);
  real_find_all();
  child->cared_for = runtime_before_fork();
  long result = call();
  int error = errno;
  if (result == 0) {
    child->begin();
  } else {
    if (child->cared_for) runtime_after_fork_parent();
    if (self) signal_window_close(&window);
  }
  errno = error;
  return result;
}

// The arguments of an execl as an array on the caller's stack. The list stands behind the terminating null afterwards.
unsigned count_arguments(const char* first, va_list list) {
  unsigned count = 0;
  if (first) do
      count++;
    while (va_arg(list, char*));
  return count;
}
void copy_arguments(char** array, const char* first, unsigned count, va_list list) {
  array[0] = const_cast<char*>(first);
  for (unsigned i = 1; i <= count; i++) array[i] = va_arg(list, char*);
}
#define WEFT_ARRAY_OF(list, first, array)                             \
  va_start(list, first);                                              \
  unsigned array##_count = count_arguments(first, list);              \
  va_end(list);                                                       \
  char** array = (char**)alloca((array##_count + 1) * sizeof(char*)); \
  va_start(list, first);                                              \
  copy_arguments(array, first, array##_count, list)

// Waits for a child: once without blocking; where none has ended yet, in a region.
pid_t wait_for_child(pid_t pid, int* status, int options, struct rusage* usage) {
  if (!(options & WNOHANG)) {
    long result = sys::call(SYS_wait4, pid, sys::word(status), options | WNOHANG, sys::word(usage));
    if (result) return (pid_t)as_errno(result);
    return blocking_call(RegionKind::lasting, [&] { return real().wait4(pid, status, options, usage); });
  }
  return real().wait4(pid, status, options, usage);
}

// The first library that was loaded without the RTLD_DEEPBIND it asked for; written before deep_binding_unsaid is set.
char shallow_library[256];

void lose_deep_binding(const char* library) {
  static std::atomic<bool> noted{false};
  if (noted.exchange(true, std::memory_order_relaxed)) return;
  memcpy(shallow_library, library, strnlen(library, sizeof shallow_library - 1));
  deep_binding_unsaid.store(true, std::memory_order_release);  // pairs with say_deep_binding()
  if (runtime_started()) say_deep_binding();
}

}  // namespace

long clone_process(long flags, long (*call)(void*), void* argument) {
  if (thread_state.vfork_child) return call(argument);
  ClonedChild child{nullptr, nullptr, flags, false};
  return cloning(&child, [&] { return call(argument); });
}

constinit std::atomic<bool> deep_binding_unsaid{false};

void say_deep_binding() {
  if (!deep_binding_unsaid.exchange(false, std::memory_order_acquire)) return;
  log(Level::warn,
      "RTLD_DEEPBIND is left out of dlopen(%s): that library would call past weft, and its locks would hang",
      shallow_library);
}

}  // namespace weft

using namespace weft;

WEFT_EXPORT pid_t fork(void) noexcept {
  return forking([] { return real().fork(); });
}

WEFT_EXPORT pid_t _Fork(void) noexcept {
  return forking([] { return real()._Fork(); });
}

WEFT_EXPORT pid_t forkpty(int* terminal, char* name, const termios* attributes, const winsize* size) {
  return forking([&] { return real().forkpty(terminal, name, attributes, size); });
}

WEFT_EXPORT int daemon(int no_chdir, int no_close) noexcept {
  return forking([&] { return real().daemon(no_chdir, no_close); });
}

// Called by the stub of vfork (asm/vfork_<cpu>.S), before the child and, in the parent, after it.
extern "C" void weft_vfork_prepare() {
  if (thread_state.vfork_child++) return;
  if (woven() && program_traces()) pin_current(PinReason::tracing);
  Coroutine* self = thread_state.woven;
  thread_state.parked_woven = self;
  thread_state.woven = nullptr;
  if (!self) return;
  self->carrier->made_processes = true;
  sys::sigprocmask(SIG_SETMASK, &self->signal_mask, nullptr);
}

extern "C" pid_t weft_vfork_parent(long result) {
  if (--thread_state.vfork_child) return (pid_t)as_errno(result);
  Coroutine* self = thread_state.parked_woven;
  if (self) {
    uint64_t mask = carrier_signal_mask();
    sys::sigprocmask(SIG_SETMASK, &mask, nullptr);
  }
  thread_state.parked_woven = nullptr;
  thread_state.woven = self;
  return (pid_t)as_errno(result);
}

// Memory in common: what waits for the child as vfork does is that; anything else is a kernel thread beside its maker's.
WEFT_EXPORT int clone(int (*start)(void*), void* stack, int flags, void* argument, ...) noexcept {
  va_list list;
  va_start(list, argument);
  auto* parent_tid = va_arg(list, pid_t*);
  void* tls = va_arg(list, void*);
  auto* child_tid = va_arg(list, pid_t*);
  va_end(list);
  auto make = [&](int (*begin)(void*), void* given) {
    return real().clone(begin, stack, flags, given, parent_tid, tls, child_tid);
  };
  if (thread_state.vfork_child) return make(start, argument);
  if (!(flags & CLONE_VM)) {
    ClonedChild child{start, argument, flags, false};
    return (int)cloning(&child, [&] { return make(ClonedChild::run, &child); });
  }
  if ((flags & (CLONE_VFORK | CLONE_THREAD)) == CLONE_VFORK) {
    weft_vfork_prepare();
    int result = make(start, argument);
    return weft_vfork_parent(result < 0 ? -errno : result);
  }
  if (woven()) pin_current(PinReason::process);
  return make(start, argument);
}

WEFT_EXPORT int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                            const posix_spawnattr_t* attributes, char* const arguments[], char* const environment[]) {
  return with_own_mask([&] { return real().posix_spawn(pid, path, actions, attributes, arguments, environment); });
}

WEFT_EXPORT int posix_spawnp(pid_t* pid, const char* file, const posix_spawn_file_actions_t* actions,
                             const posix_spawnattr_t* attributes, char* const arguments[], char* const environment[]) {
  return with_own_mask([&] { return real().posix_spawnp(pid, file, actions, attributes, arguments, environment); });
}

WEFT_EXPORT FILE* popen(const char* command, const char* mode) {
  return with_own_mask([&] { return real().popen(command, mode); });
}

WEFT_EXPORT int system(const char* command) {
  Coroutine* self = woven();
  if (!self) return real().system(command);
  cancellation_point(self);
  return blocking_call(RegionKind::lasting, [&] { return real().system(command); });
}

WEFT_EXPORT int execve(const char* path, char* const arguments[], char* const environment[]) noexcept {
  return with_own_mask([&] { return real().execve(path, arguments, environment); });
}

WEFT_EXPORT int execv(const char* path, char* const arguments[]) noexcept {
  return with_own_mask([&] { return real().execv(path, arguments); });
}

WEFT_EXPORT int execvp(const char* file, char* const arguments[]) noexcept {
  return with_own_mask([&] { return real().execvp(file, arguments); });
}

WEFT_EXPORT int execvpe(const char* file, char* const arguments[], char* const environment[]) noexcept {
  return with_own_mask([&] { return real().execvpe(file, arguments, environment); });
}

WEFT_EXPORT int fexecve(int fd, char* const arguments[], char* const environment[]) noexcept {
  return with_own_mask([&] { return real().fexecve(fd, arguments, environment); });
}

WEFT_EXPORT int execveat(int fd, const char* path, char* const arguments[], char* const environment[],
                         int flags) noexcept {
  return with_own_mask([&] { return real().execveat(fd, path, arguments, environment, flags); });
}

WEFT_EXPORT int execl(const char* path, const char* first, ...) noexcept {
  va_list list;
  WEFT_ARRAY_OF(list, first, arguments);
  va_end(list);
  return with_own_mask([&] { return real().execv(path, arguments); });
}

WEFT_EXPORT int execlp(const char* file, const char* first, ...) noexcept {
  va_list list;
  WEFT_ARRAY_OF(list, first, arguments);
  va_end(list);
  return with_own_mask([&] { return real().execvp(file, arguments); });
}

WEFT_EXPORT int execle(const char* path, const char* first, ...) noexcept {
  va_list list;
  WEFT_ARRAY_OF(list, first, arguments);
  char* const* environment = va_arg(list, char* const*);
  va_end(list);
  return with_own_mask([&] { return real().execve(path, arguments, environment); });
}

WEFT_EXPORT pid_t wait4(pid_t pid, int* status, int options, struct rusage* usage) noexcept {
  Coroutine* self = woven();
  if (!self) return real().wait4(pid, status, options, usage);
  cancellation_point(self);
  return wait_for_child(pid, status, options, usage);
}

WEFT_EXPORT pid_t wait3(int* status, int options, struct rusage* usage) noexcept {
  Coroutine* self = woven();
  if (!self) return real().wait3(status, options, usage);
  cancellation_point(self);
  return wait_for_child(-1, status, options, usage);
}

WEFT_EXPORT pid_t wait(int* status) {
  Coroutine* self = woven();
  if (!self) return real().wait(status);
  cancellation_point(self);
  return wait_for_child(-1, status, 0, nullptr);
}

WEFT_EXPORT pid_t waitpid(pid_t pid, int* status, int options) {
  Coroutine* self = woven();
  if (!self) return real().waitpid(pid, status, options);
  cancellation_point(self);
  return wait_for_child(pid, status, options, nullptr);
}

WEFT_EXPORT int waitid(idtype_t type, id_t id, siginfo_t* info, int options) {
  Coroutine* self = woven();
  if (!self || (options & WNOHANG)) return real().waitid(type, id, info, options);
  cancellation_point(self);
  siginfo_t found = {};
  long result = sys::call(SYS_waitid, type, (long)id, sys::word(&found), options | WNOHANG | WNOWAIT, 0);
  if (result < 0) return (int)as_errno(result);
  if (found.si_pid) return real().waitid(type, id, info, options);
  return blocking_call(RegionKind::lasting, [&] { return real().waitid(type, id, info, options); });
}

WEFT_EXPORT void _exit(int status) {
  if (!thread_state.vfork_child) write_stats();
  real()._exit(status);
  __builtin_unreachable();
}

WEFT_EXPORT void _Exit(int status) noexcept {
  if (!thread_state.vfork_child) write_stats();
  real()._Exit(status);
  __builtin_unreachable();
}

WEFT_EXPORT void quick_exit(int status) noexcept {
  if (!thread_state.vfork_child) write_stats();
  real().quick_exit(status);
  __builtin_unreachable();
}

// Called by the stub of dlopen: where the call goes on, and with what.
extern "C" void* weft_dlopen_target(const char** file, long* mode) {
  if ((*mode & RTLD_DEEPBIND) && *file && !runtime_disabled()) {
    lose_deep_binding(*file);
    *mode &= ~(long)RTLD_DEEPBIND;
  }
  const char* slash = *file ? strrchr(*file, '/') : nullptr;
  const char* name = slash ? slash + 1 : *file;
  if (name && strncmp(name, "libweft.so", 10) == 0) {
    log(Level::error, "dlopen of %s is refused: weft must be there from the start; preload it, or link with -lweft",
        *file);
    *file = "libweft.so (refused: it can only be preloaded or linked)";
  }
  return (void*)real().dlopen.get();
}
