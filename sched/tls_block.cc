// SPDX-License-Identifier: Apache-2.0
// The mould, its casts, and what a thread's end owes to its TLS.
//
// What is known of struct pthread comes from glibc itself: its size and the offsets of tid, list, cancelhandling and
// start_routine from the descriptors it keeps for libthread_db, the place of the stack's bounds by looking for the values that the
// mould was made with, the robust list from the kernel that was told of it. Nothing is assumed of a version.
#include "sched/tls_block.h"

#include <algorithm>
#include <bits/types/res_state.h>
#include <cerrno>
#include <clocale>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "asm/context.h"
#include "asm/cpu.h"
#include "sched/carrier.h"
#include "sched/context_switch.h"
#include "sched/coroutine.h"
#include "sched/large.h"
#include "sched/log.h"
#include "sched/metrics.h"
#include "sched/runtime.h"
#include "sched/stack.h"
#include "sched/sys.h"
#include "sched/thread_list.h"
#include "sched/thread_state.h"
#include "sched/tls_slots.h"
#include "sched/worker.h"

namespace weft {

constinit size_t tcb_size = 0;

namespace {

constexpr unsigned kMaxTcb = 8192;
constexpr unsigned kMaxSelfPointers = 128;
constexpr int kSetxidMark = 0x40;   // in cancelhandling: setuid() waits for this thread, as glibc's descr.h has it
constexpr unsigned kRedZone = 256;  // below the TLS, above the first frame

// Blocks begin at different lines of their pages, or the hot lines of all coroutines would share a few sets of the caches. Not so
// far down that a TCB and the TLS next to it leave the first page.
constexpr unsigned kColours = 22;
constexpr unsigned kLine = 64;
unsigned colour(uint32_t slot) { return slot * 5 % kColours * kLine; }

struct Glibc {
  size_t
      tls_size;  // static TLS as ld.so counts it: what lies on the variables' side of the thread pointer, and the TCB if that does too
  size_t tls_align;
  unsigned tid;  // offsets in struct pthread
  unsigned list;
  unsigned cancelhandling;
  unsigned start_routine;
  unsigned stack_block;
  unsigned stack_block_size;
  unsigned robust_head;  // 0: the kernel knows no such list, and so glibc has no robust mutexes
  unsigned specific;     // pointers to the blocks of key values
  unsigned specific_count;
  unsigned keys_of_block;  // whose values lie in one of them
  ptrdiff_t resolver;      // libc's TLS pointer to its resolver state, from the thread pointer
  ptrdiff_t rseq;          // from the thread pointer; 0: none
  unsigned rseq_size;      // 0: glibc does not register it
  ptrdiff_t state;         // our thread_state
  unsigned module_tls;     // ModuleTls in struct link_map; 0: not known
  const int* threads;      // glibc's count of its threads, null where it is not exported
  void* (*allocate_tls)(void*);
  void (*deallocate_tls)(void*, bool);
  void (*ctype_init)();
  void (*call_tls_dtors)();
  void (*close_resolver)(struct __res_state*);
  int (*find_object)(void*, dl_find_object*);
  struct Key {
    uintptr_t sequence;
    void (*destructor)(void*);
  } * keys;
  const void* libc_base;
  const void* rtld_base;
  const void* weft_base;
} glibc;

// The TCB every cast begins as, and what goes with it behind the thread pointer; pointers into the TCB taken out.
WEFT_LARGE alignas(64) char mould[kMaxTcb];
size_t mould_size() { return tcb_size + kBehindThreadPointer; }
uint16_t self_pointers[kMaxSelfPointers];  // byte offsets of those, as distances from the TCB in `mould`
unsigned self_pointer_count;
uint64_t mould_resolver;  // distance of the resolver state from the TCB

std::atomic<int> keys_used{0};  // one more than the highest key seen

// Modules with static TLS, as of `modules_adds`.
struct Module {
  ptrdiff_t offset;  // from the thread pointer
  const void* image;
  size_t image_size;
  size_t size;
};
constexpr unsigned kMaxModules = 256;
WEFT_LARGE Module modules[kMaxModules];
unsigned module_count;
bool dynamic_modules;  // some module's TLS is allocated at first use
unsigned long long modules_adds = ~0ull;
Lock modules_lock;  // guards the list, and is held while ld.so's is

// The same list with images of its own, for as long as ld.so's table of modules is what it was then: most ends of coroutines need neither lock.
// Never changed once it is published, and never given back, since who reads it may be slow: a program that loads and unloads without
// end comes to do without.
constexpr unsigned kFewModules = 8;
struct KnownModules {
  TlsSlots slots;
  unsigned count;
  Module modules[kFewModules];
  char images[1024];
};
constexpr unsigned kMostKnown = 16;
WEFT_LARGE KnownModules known_modules[kMostKnown];
unsigned known_used;  // guarded by modules_lock
std::atomic<const KnownModules*> published{nullptr};
std::atomic<uint32_t> forks_going{0};
unsigned harvested;  // threads that glibc believes to live

template <class T>
bool find(T& slot, const char* name) {
  slot = (T)dlsym(RTLD_DEFAULT, name);
  return slot != nullptr;
}

const void* base_of(const void* address) {
  Dl_info info;
  return dladdr(address, &info) ? info.dli_fbase : nullptr;
}

// A child of clone has its parent's number in there: what that one has found is believed.
bool has_own_tid(const char* tcb) {
  static bool found = false;
  found = found || *(const int*)(tcb + glibc.tid) == (int)sys::gettid();
  return found;
}

bool find_glibc(const char** why) {
  *why = "glibc does not have the private symbols that weft needs";
  uint32_t *size, *tid, *list, *cancelhandling, *start, *specific;
  void (*static_info)(size_t*, size_t*);
  char *resolver, *keys;
  if (!find(size, "_thread_db_sizeof_pthread") || !find(tid, "_thread_db_pthread_tid") ||
      !find(list, "_thread_db_pthread_list") || !find(cancelhandling, "_thread_db_pthread_cancelhandling") ||
      !find(start, "_thread_db_pthread_start_routine") || !find(specific, "_thread_db_pthread_specific") ||
      !find(static_info, "_dl_get_tls_static_info") || !find(glibc.allocate_tls, "_dl_allocate_tls") ||
      !find(glibc.deallocate_tls, "_dl_deallocate_tls") || !find(glibc.ctype_init, "__ctype_init") ||
      !find(glibc.call_tls_dtors, "__call_tls_dtors") || !find(resolver, "__resp") || !find(keys, "__pthread_keys"))
    return false;
  char* self = (char*)__builtin_thread_pointer();
  tcb_size = *size;
  glibc.tid = tid[2];  // descriptors are {bits, count, byte offset}
  glibc.list = list[2];
  glibc.cancelhandling = cancelhandling[2];
  glibc.start_routine = start[2];
  glibc.specific = specific[2];
  glibc.specific_count = specific[0] / 64;
  glibc.keys_of_block = glibc.specific_count ? PTHREAD_KEYS_MAX / glibc.specific_count : 0;
  static_info(&glibc.tls_size, &glibc.tls_align);
  glibc.resolver = resolver - self;
  glibc.keys = (Glibc::Key*)keys;
  const ptrdiff_t* rseq;
  glibc.rseq = find(rseq, "__rseq_offset") ? *rseq : 0;
  const unsigned* rseq_size;
  glibc.rseq_size = find(rseq_size, "__rseq_size") ? *rseq_size : 0;
  glibc.state = (char*)&thread_state - self;
  glibc.libc_base = base_of((const void*)glibc.ctype_init);
  glibc.rtld_base = base_of((const void*)glibc.allocate_tls);
  glibc.weft_base = base_of((const void*)&find_glibc);
  find(glibc.threads, "__nptl_nthreads");
  find(glibc.find_object, "_dl_find_object");
  find(glibc.close_resolver, "__res_nclose");
  *why = "glibc's thread control block is not laid out as expected";
  return mould_size() <= kMaxTcb && glibc.tid + 4 <= tcb_size && glibc.list + sizeof(ThreadLinks) <= tcb_size &&
         glibc.cancelhandling + 4 <= tcb_size && glibc.specific_count > 0 &&
         glibc.specific + glibc.specific_count * 8 <= tcb_size && glibc.tls_size < (1 << 20) &&
         has_own_tid(tcb_of(self));
}

struct Harvest {
  Context context;
  int published;
  void* robust_head;
  bool has_robust_list;
  char* tcb;
  void* (*go_on)(void*);
};

// Runs on glibc's own new thread, whose kernel thread ends in it.
void* harvest_start(void* argument) {
  auto* harvest = (Harvest*)argument;
  uint64_t all = ~uint64_t{0};
  sys::sigprocmask(0, &all, nullptr);
  // Another library's pthread_create may have given its threads values; theirs is one thread, casts are many.
  for (unsigned key = 0; key < PTHREAD_KEYS_MAX; key++)
    if (pthread_getspecific(key)) pthread_setspecific(key, nullptr);
  size_t length;
  long error = sys::call(SYS_get_robust_list, 0, sys::word(&harvest->robust_head), sys::word(&length));
  harvest->has_robust_list = error != -ENOSYS;
  sys::call(SYS_set_tid_address, 0);
  sys::call(SYS_set_robust_list, 0, 24);
  char* self = (char*)__builtin_thread_pointer();
  if (glibc.rseq) sys::call(SYS_rseq, sys::word(self + glibc.rseq), 32, 1 /* unregister */, 0x53053053);
  harvest->tcb = tcb_of(self);
  harvest->context.fs = self;
  announce_publication(harvest);
  weft_park_and_leave(&harvest->context, &harvest->published);
  return nullptr;
}

// A thread of glibc's making on `stack` that has everything but a kernel thread.
bool harvest_block(StackMemory* stack, Harvest* harvest) {
  uint64_t least = std::max<uint64_t>(64 << 10, (uint64_t)sysconf(_SC_THREAD_STACK_MIN));
  uint64_t size = (least + glibc.tls_size + 4095) & ~uint64_t{4095};
  if (!stack_allocate(size, 4096, stack)) return false;
  *harvest = {};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, stack->low, stack->size);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  unsigned long thread;
  int error = real_calls.pthread_create(&thread, &attributes, harvest_start, harvest);
  pthread_attr_destroy(&attributes);
  if (error) return false;
  while (!__atomic_load_n(&harvest->published, __ATOMIC_ACQUIRE)) sys::futex_wait(&harvest->published, 0);
  announce_sight(harvest);
  count(Metric::blocks_harvested);
  harvested++;
  // The number may be another thread's some day, and what glibc sends to this one would reach that.
  *(int*)(harvest->tcb + glibc.tid) = 0;
  return true;
}

// glibc 2.41 has moved it from the TCB to the static TLS.
bool rseq_is_in_tcb() {
  ptrdiff_t place = glibc.rseq + (kVariablesBelow ? 0 : (ptrdiff_t)tcb_size);
  return place >= 0 && (size_t)place + 8 <= tcb_size;
}

// As of a thread that the kernel does not tell its CPU.
void lay_rseq(char* thread_pointer) {
  if (!glibc.rseq) return;
  *(uint32_t*)(thread_pointer + glibc.rseq) = 0;                             // cpu_id_start
  *(int32_t*)(thread_pointer + glibc.rseq + 4) = glibc.rseq_size ? -1 : -2;  // cpu_id: not registered, or never to be
}

ThreadLinks* links_of(void* tcb) { return (ThreadLinks*)((char*)tcb + glibc.list); }

// The mould is the last fence; the first is the next thread of its kind, unless another thread with a stack of its own was made
// between them.
void harvest_fences(ThreadLinks* last) {
  constexpr int kTries = 4;
  for (int i = 0; i < kTries; i++) {
    StackMemory stack;
    Harvest harvest;
    if (!harvest_block(&stack, &harvest)) return;
    ThreadLinks* first = links_of(harvest.tcb);
    thread_list_begin(first, last);
    if (first->next == last) return;
    last = first;
  }
}

bool harvest_mould(const char** why) {
  *why = "no thread could be made for the mould of TLS blocks";
  StackMemory stack;
  Harvest harvest;
  if (!harvest_block(&stack, &harvest)) return false;

  *why = "glibc's thread control block is not laid out as expected";
  self_pointer_count = 0;
  char* tcb = harvest.tcb;
  memcpy(mould, tcb, mould_size());
  auto* words = (uintptr_t*)mould;
  uintptr_t low = (uintptr_t)stack.low, here = (uintptr_t)tcb;
  bool found_stack = false;
  for (unsigned i = 0; i < tcb_size / 8; i++) {
    uintptr_t word = words[i];
    if (word - here < tcb_size) {
      if (self_pointer_count == kMaxSelfPointers) return false;
      self_pointers[self_pointer_count++] = (uint16_t)(i * 8);
      words[i] = word - here;
    } else if (word == low && i + 1 < tcb_size / 8 && words[i + 1] == stack.size) {
      glibc.stack_block = i * 8;
      glibc.stack_block_size = i * 8 + 8;
      found_stack = true;
    } else if (word - low < stack.size) {
      words[i] = 0;  // into the mould's own frames: buffers of its start routine
    }
  }
  // The first block of key values is in the TCB, the others are memory of that one thread's.
  memset(mould + glibc.specific + 8, 0, (glibc.specific_count - 1) * 8);
  if (!found_stack) return false;
  glibc.robust_head = (unsigned)((uintptr_t)harvest.robust_head - here);
  if (!harvest.has_robust_list)
    glibc.robust_head = 0;
  else if ((uintptr_t)harvest.robust_head - here >= tcb_size)
    return false;
  mould_resolver = *(uintptr_t*)(thread_pointer_of(tcb) + glibc.resolver) - here;
  if (mould_resolver >= tcb_size) return false;
  if (rseq_is_in_tcb()) lay_rseq(mould + (thread_pointer_of(tcb) - tcb));
  *(int*)(mould + glibc.cancelhandling) = 0;  // setuid() may have marked it meanwhile
  harvest_fences(links_of(tcb));
  return true;
}

// The TCB at `tcb` as of a thread that has not begun. DTV and list links are the block's own and stay; glibc may be walking along the
// links.
void lay_tcb(char* tcb, bool fresh) {
  auto* own_dtv = (void**)(thread_pointer_of(tcb) + kDtvWord);
  void* dtv = fresh ? nullptr : *own_dtv;  // a fresh page that is read first costs two faults
  unsigned behind = glibc.list + sizeof(ThreadLinks);
  memcpy(tcb, mould, glibc.list);
  memcpy(tcb + behind, mould + behind, mould_size() - behind);
  for (unsigned i = 0; i < self_pointer_count; i++) *(uintptr_t*)(tcb + self_pointers[i]) += (uintptr_t)tcb;
  if (!fresh) *own_dtv = dtv;
}

// Before its TLS is laid out: what is loaded from now on lays its own.
void list_block(Coroutine* coroutine) {
  if (coroutine->is_listed) return;
  // Linked to itself where there are no fences: a fork's child unlinks the running thread from whatever list it believes it to be in.
  ThreadLinks* links = links_of(coroutine->tcb);
  links->next = links->previous = links;
  thread_list_add(links);
  coroutine->is_listed = true;
}

void set_state(Coroutine* coroutine) {
  auto* state = (ThreadState*)(thread_pointer_of(coroutine->tcb) + glibc.state);
  memset((void*)state, 0, sizeof *state);
  state->woven = state->identity = coroutine;
}

// What ld.so knows of a module's TLS, in the order of its private struct link_map. dl_iterate_phdr tells only where the calling thread's
// copy lies once that thread has asked for it, and code with static TLS never asks.
struct ModuleTls {
  const void* image;
  size_t image_size;
  size_t size;
  size_t alignment;
  size_t first_byte;
  ptrdiff_t offset;  // from the thread pointer, down in variant II; 0 and -1: not static
  size_t id;

  char* of_caller() const {
    char* pointer = (char*)__builtin_thread_pointer();
    return kVariablesBelow ? pointer - offset : pointer + offset;
  }
  bool is_of(const dl_phdr_info* info, const ElfW(Phdr) * tls) const {
    return image == (const void*)(info->dlpi_addr + tls->p_vaddr) && image_size == tls->p_filesz &&
           size == tls->p_memsz && alignment == tls->p_align && id == info->dlpi_tls_modid;
  }
};

const ElfW(Phdr) * tls_segment(const dl_phdr_info* info) {
  for (int i = 0; i < info->dlpi_phnum; i++)
    if (info->dlpi_phdr[i].p_type == PT_TLS) return &info->dlpi_phdr[i];
  return nullptr;
}

const char* link_map_of(const void* address) {
  dl_find_object found;
  return glibc.find_object && glibc.find_object((void*)address, &found) == 0 ? (const char*)found.dlfo_link_map
                                                                             : nullptr;
}

// Finds by libc's own module where that is. Without it static modules loaded late are found as far as their threads have asked.
int find_module_tls(dl_phdr_info* info, size_t, void*) {
  const ElfW(Phdr)* tls = tls_segment(info);
  const char* map = tls && info->dlpi_tls_data ? link_map_of(info->dlpi_phdr) : nullptr;
  if (!map || map != link_map_of((const void*)glibc.ctype_init)) return 0;
  constexpr unsigned kMostOfLinkMap = 1400;
  for (unsigned at = 0; at + sizeof(ModuleTls) <= kMostOfLinkMap; at += sizeof(void*)) {
    auto* candidate = (const ModuleTls*)(map + at);
    if (candidate->is_of(info, tls) && candidate->of_caller() == (char*)info->dlpi_tls_data) glibc.module_tls = at;
  }
  return 1;
}

void reset_module(const Module& module) {
  char* data = (char*)__builtin_thread_pointer() + module.offset;
  memcpy(data, module.image, module.image_size);
  memset(data + module.image_size, 0, module.size - module.image_size);
}

// What is found is reset at once: while ld.so's list is walked, nobody unmaps an image.
int module_found(dl_phdr_info* info, size_t, void*) {
  auto* tp = (char*)__builtin_thread_pointer();
  modules_adds = info->dlpi_adds + info->dlpi_subs;
  if (!info->dlpi_tls_modid) return 0;
  const void* base = nullptr;
  const ElfW(Phdr)* tls = tls_segment(info);
  for (int i = 0; i < info->dlpi_phnum && !base; i++)
    if (info->dlpi_phdr[i].p_type == PT_LOAD) base = (const void*)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
  // libc's own TLS goes on from coroutine to coroutine (its malloc caches); ld.so's and ours are not the program's.
  if (!tls || base == glibc.libc_base || base == glibc.rtld_base || base == glibc.weft_base) return 0;
  if (keeps_sanitizer_state(base)) return 0;
  auto* data = (char*)info->dlpi_tls_data;
  const char* map = glibc.module_tls ? link_map_of(base) : nullptr;
  auto* known = map ? (const ModuleTls*)(map + glibc.module_tls) : nullptr;
  if (known && known->is_of(info, tls) && known->offset > 0) data = known->of_caller();
  Module module{data - tp, (const void*)(info->dlpi_addr + tls->p_vaddr), tls->p_filesz, tls->p_memsz};
  if (!data || (size_t)(kVariablesBelow ? tp - data : data - tp) > glibc.tls_size) {
    dynamic_modules = true;
    if (data) reset_module(module);
    return 0;
  }
  reset_module(module);
  if (module_count < kMaxModules)
    modules[module_count++] = module;
  else
    dynamic_modules = true;  // too many to be known: they are looked for each time
  return 0;
}

void reset_known_modules() {
  for (unsigned i = 0; i < module_count; i++) reset_module(modules[i]);
}

// Of an unchanged list there is no need to see more than the first.
int first_module(dl_phdr_info* info, size_t, void* done) {
  if (info->dlpi_adds + info->dlpi_subs != modules_adds || dynamic_modules) return 1;
  reset_known_modules();
  *(bool*)done = true;
  return 1;
}

// Called while ld.so's list is walked, for the sake of the images. Null: they are too many or too large.
const KnownModules* publish_known() {
  KnownModules* fresh = &known_modules[known_used];
  size_t used = 0;
  if (module_count > kFewModules) return nullptr;
  for (unsigned i = 0; i < module_count; i++) {
    Module& module = fresh->modules[i] = modules[i];
    if (module.image_size > sizeof fresh->images - used) return nullptr;
    memcpy(fresh->images + used, module.image, module.image_size);
    module.image = fresh->images + used;
    used += module.image_size;
  }
  fresh->count = module_count;
  known_used++;
  return fresh;
}
int last_of_walk(dl_phdr_info* info, size_t, void*) {
  bool unchanged = info->dlpi_adds + info->dlpi_subs == modules_adds && !dynamic_modules;
  published.store(unchanged ? publish_known() : nullptr, std::memory_order_release);
  return 1;
}

// False: a fork has ld.so's list.
bool reset_modules_locked() {
  if (forks_going.load()) return false;
  const KnownModules* list = published.load(std::memory_order_relaxed);
  bool done = false;
  if (!list || tls_slots_are(list->slots)) dl_iterate_phdr(first_module, &done);
  if (done) return true;
  module_count = 0;
  dynamic_modules = false;
  published.store(nullptr, std::memory_order_relaxed);
  // Before the walk: what comes during it is not believed to have been found.
  bool understood = known_used < kMostKnown && tls_slots_read(&known_modules[known_used].slots);
  dl_iterate_phdr(module_found, nullptr);
  if (understood) dl_iterate_phdr(last_of_walk, nullptr);
  return true;
}

// False: it is not known whether that was all.
bool reset_by_known() {
  const KnownModules* list = published.load(std::memory_order_acquire);
  if (!list || !tls_slots_are(list->slots)) return false;
  for (unsigned i = 0; i < list->count; i++) reset_module(list->modules[i]);
  // What has come meanwhile may lie where one of them was.
  return !list->count || tls_slots_are(list->slots);
}

// ---- self-test: a cast must be as good as a thread of glibc's making

Context test_return;
Coroutine* test_coroutine;
bool test_passed;

void self_test(Coroutine* coroutine) {
  glibc.ctype_init();
  char text[16];
  errno = 42;
  void* memory = malloc(100);
  free(memory);
  snprintf(text, sizeof text, "%.3f", 1.5);
  pthread_mutex_t mutex;
  pthread_mutexattr_t kind;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
  pthread_mutex_init(&mutex, &kind);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_destroy(&attributes);
  test_passed = errno == 42 && pthread_self() == (pthread_t)coroutine->tcb && !strcmp(text, "1.500") &&
                thread_state.identity == coroutine && *(int*)((char*)coroutine->tcb + glibc.tid) == coroutine->tid;
  errno = 0;
}

}  // namespace

uint64_t tls_static_size() { return glibc.tls_size; }
uint64_t tls_block_size() {
  return glibc.tls_size + (kVariablesBelow ? 0 : tcb_size) + glibc.tls_align + kRedZone + kColours * kLine;
}

int tls_block_make(Coroutine* coroutine, char* low, uint64_t size) {
  size_t upwards = kVariablesBelow ? tcb_size : glibc.tls_size;  // from the thread pointer
  char* pointer = (char*)(((uintptr_t)(low + size) - colour(coroutine->slot) - upwards) & -glibc.tls_align);
  char* tcb = tcb_of(pointer);
  coroutine->tcb = tcb;
  lay_tcb(tcb, true);
  list_block(coroutine);
  if (!glibc.allocate_tls(pointer)) return ENOMEM;
  if (!rseq_is_in_tcb()) lay_rseq(pointer);
  *(uintptr_t*)(pointer + glibc.resolver) = (uintptr_t)tcb + mould_resolver;
  set_state(coroutine);
  count(Metric::blocks_cast);
  return 0;
}

void tls_block_renew(Coroutine* coroutine) {
  lay_tcb((char*)coroutine->tcb, false);
  set_state(coroutine);
}

void tls_block_prepare_frame(Coroutine* coroutine) {
  char* tcb = (char*)coroutine->tcb;
  *(int32_t*)(tcb + glibc.tid) = coroutine->tid;
  *(char**)(tcb + glibc.stack_block) = coroutine->stack_low;
  *(uint64_t*)(tcb + glibc.stack_block_size) = coroutine->stack_size;
  *(void**)(tcb + glibc.start_routine) = (void*)coroutine->start;
  char* top = coroutine->supplied_stack ? (char*)coroutine->supplied_stack + coroutine->supplied_size
                                        : tcb - (kVariablesBelow ? glibc.tls_size - tcb_size : 0) - kRedZone;
  auto* frame = (Frame*)(((uintptr_t)top & ~uintptr_t{63}) - sizeof(Frame));
  // A thread inherits its creator's, as it does its kernel state.
  *frame = first_frame(weft_context_entry, coroutine);
  coroutine->context.sp = frame;
  coroutine->context.fs = thread_pointer_of(tcb);
}

void tls_block_started(Coroutine* coroutine) {
  if (coroutine->tls_is_stale) [[unlikely]] {
    Locked locked(modules_lock);
    if (!reset_modules_locked()) reset_known_modules();
  }
  uselocale(LC_GLOBAL_LOCALE);
  glibc.ctype_init();
  errno = 0;
  h_errno = 0;
}

void tls_key_created(unsigned key) {
  int seen = keys_used.load(std::memory_order_relaxed);
  while ((int)key >= seen && !keys_used.compare_exchange_weak(seen, (int)key + 1)) {
  }
}

namespace {

void** key_blocks() { return (void**)(tcb_of(__builtin_thread_pointer()) + glibc.specific); }

// One more than the last block of key values that the calling thread has. The first is in the TCB.
unsigned key_blocks_there_are() {
  void** blocks = key_blocks();
  uintptr_t any = 0;
#pragma GCC unroll 8
  for (unsigned i = 1; i < glibc.specific_count; i++) any |= (uintptr_t)blocks[i];
  if (!any) [[likely]]
    return 1;
  unsigned count = glibc.specific_count;
  while (!blocks[count - 1]) count--;
  return count;
}

// More than any key that the calling thread may have a value for. Keys that were made past the hooks count too: glibc gives the lowest free
// number, so they are below what has been seen, or the next. Where one of them has been deleted since, those behind it in the first block
// are not found.
unsigned keys_to_look_at() {
  int seen = keys_used.load(std::memory_order_acquire);
  while (seen < PTHREAD_KEYS_MAX && (__atomic_load_n(&glibc.keys[seen].sequence, __ATOMIC_RELAXED) & 1))
    tls_key_created((unsigned)seen++);
  unsigned blocks = key_blocks_there_are();
  return blocks > 1 ? std::max((unsigned)seen, blocks * glibc.keys_of_block) : (unsigned)seen;
}

// What glibc gives back last at a thread's end. Its malloc caches and what its next thread would allocate again stay in the block.
void free_thread_resources() {
  auto* self = (char*)__builtin_thread_pointer();
  void** blocks = key_blocks();
  for (unsigned i = key_blocks_there_are() - 1; i > 0; i--) {
    free(blocks[i]);
    blocks[i] = nullptr;
  }
  auto* resolver = *(struct __res_state**)(self + glibc.resolver);
  if (resolver->nscount && glibc.close_resolver) {
    glibc.close_resolver(resolver);
    resolver->nscount = 0;
  }
  while (dlerror()) {  // the first call gives the message, the second one lets go of it
  }
}

}  // namespace

void tls_block_run_destructors() {
  glibc.call_tls_dtors();
  for (int round = 0; round < PTHREAD_DESTRUCTOR_ITERATIONS; round++) {
    bool found = false;
    unsigned keys = keys_to_look_at();
    for (unsigned key = 0; key < keys; key++) {
      auto* destructor = glibc.keys[key].destructor;
      void* value = pthread_getspecific((pthread_key_t)key);
      if (!value) continue;
      pthread_setspecific((pthread_key_t)key, nullptr);
      if (!destructor || !(glibc.keys[key].sequence & 1)) continue;
      found = true;
      destructor(value);
    }
    if (!found) break;
  }
  free_thread_resources();
}

void tls_block_reset_modules(Coroutine* coroutine) {
  if (reset_by_known()) {
    coroutine->tls_is_stale = false;
    return;
  }
  Locked locked(modules_lock);
  coroutine->tls_is_stale = !reset_modules_locked();
}

void tls_block_use_kernel_tid(Coroutine* coroutine) {
  char* tcb = (char*)coroutine->tcb;
  *(int32_t*)(tcb + glibc.tid) = (int32_t)sys::gettid();
  if (glibc.robust_head) sys::call(SYS_set_robust_list, sys::word(tcb + glibc.robust_head), 24);
}

void tls_block_setxid_came() {
  char* tcb = tcb_of(cpu::thread_pointer_now());
  if (*(int*)(tcb + glibc.tid) == (int)sys::gettid())
    __atomic_fetch_and((int*)(tcb + glibc.cancelhandling), ~kSetxidMark, __ATOMIC_RELAXED);
}

void tls_block_release_robust_mutexes(Coroutine* coroutine) {
  if (!glibc.robust_head) return;
  // The kernel's struct robust_list_head. Bit 0 of a link marks a priority-inheriting mutex, whose waiters the kernel wakes
  // when the kernel thread ends.
  struct RobustList {
    uintptr_t first;
    long word_offset;
  };
  auto* list = (RobustList*)((char*)coroutine->tcb + glibc.robust_head);
  auto own = (uint32_t)sys::gettid();
  for (uintptr_t link = list->first; link && (link & ~1ul) != (uintptr_t)list;) {
    auto* word = (uint32_t*)((link & ~1ul) + list->word_offset);
    uintptr_t next = *(uintptr_t*)(link & ~1ul);
    uint32_t value = __atomic_load_n(word, __ATOMIC_RELAXED);
    while ((value & FUTEX_TID_MASK) == own &&
           !__atomic_compare_exchange_n(word, &value, (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
    }
    // Waiters of another process may sleep there: not a private wake.
    if ((value & FUTEX_WAITERS) && !(link & 1)) sys::call(SYS_futex, sys::word(word), FUTEX_WAKE, 1);
    link = next;
  }
  list->first = (uintptr_t)list;
}

namespace {

// Between weft_load_fs and glibc's end of the thread nothing here may touch TLS.
void* bury_start(void* argument) {
  auto* dead = (Coroutine*)argument;
  dead->carrier->loop.fs = __builtin_thread_pointer();
  weft_load_fs(thread_pointer_of(dead->tcb));
  return nullptr;
}

}  // namespace

bool tls_block_bury(Coroutine* coroutine) {
  if (!kMayTakeOverBlocks) return false;
  // setxid's signal may come meanwhile: its handler finds the kernel thread's own TCB by the carrier. See internal_signals.cc.
  static Carrier gravedigger;
  coroutine->carrier = &gravedigger;
  unsigned long thread;
  thread_list_remove(links_of(coroutine->tcb));
  if (kernel_thread_create(bury_start, coroutine, &thread)) {
    thread_list_add(links_of(coroutine->tcb));
    return false;
  }
  coroutine->is_listed = false;
  real_calls.pthread_join(thread, nullptr);
  glibc.deallocate_tls(thread_pointer_of(coroutine->tcb), false);
  return true;
}

const int* tls_block_tid_of(const void* thread_pointer) { return (const int*)(tcb_of(thread_pointer) + glibc.tid); }

unsigned kernel_thread_count() {
  return glibc.threads ? (unsigned)__atomic_load_n(glibc.threads, __ATOMIC_ACQUIRE) - harvested : 0;
}

bool modules_walk(int (*visit)(dl_phdr_info*, size_t, void*), void* argument, int* result) {
  Locked locked(modules_lock);
  if (forks_going.load()) return false;
  int last = dl_iterate_phdr(visit, argument);
  if (result) *result = last;
  return true;
}

// Not by keeping the lock over the fork: a handler of pthread_atfork may wait for the end of a thread.
void modules_before_fork() {
  forks_going.fetch_add(1);
  Locked walk_that_goes_on(modules_lock);
}

void modules_after_fork() { forks_going.fetch_sub(1); }

void tls_block_give_up() {
  if (glibc.threads) __atomic_fetch_sub(const_cast<int*>(glibc.threads), (int)harvested, __ATOMIC_RELEASE);
  harvested = 0;
}

void tls_block_reset() {
  modules_lock.reset();
  forks_going.store(0);
  harvested = 0;  // the child's glibc has counted anew
  thread_list_reset();
  modules_adds = ~0ull;
  published.store(nullptr);
}

bool tls_block_init(const char** why) {
  if (!find_glibc(why) || !harvest_mould(why)) return false;
  modules_walk(find_module_tls, nullptr);
  tls_slots_init(link_map_of((const void*)&find_glibc));
  // Keys made before the hooks could see them.
  for (int key = 0; key < PTHREAD_KEYS_MAX; key++)
    if (glibc.keys[key].sequence & 1) tls_key_created((unsigned)key);

  *why = "a thread made from the mould does not behave as one of glibc's";
  StackMemory stack;
  if (!stack_allocate((64 << 10) + tls_block_size(), 4096, &stack)) return false;
  static Coroutine subject;
  subject.is_listed = false;
  subject.stack_low = stack.low;
  subject.stack_size = stack.size;
  subject.tid = (1 << 23) - 1;
  if (tls_block_make(&subject, stack.low, stack.size)) return false;
  tls_block_prepare_frame(&subject);
  argument_of((Frame*)subject.context.sp) = nullptr;  // weft_coroutine_main knows the self-test by it
  test_coroutine = &subject;
  test_return.fs = __builtin_thread_pointer();
  switch_context(&test_return, &subject.context, 0);
  return test_passed;
}

void tls_block_self_test() {
  self_test(test_coroutine);
  for (;;) switch_context(&test_coroutine->context, &test_return, 0);
}

}  // namespace weft
