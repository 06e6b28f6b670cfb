// SPDX-License-Identifier: Apache-2.0
// The ring of files and the kernel thread that has it.
//
// Requests lie on the stacks of the coroutines that wait. Who asks pushes onto `inbox` and looks at `sleeping`; the thread stores
// `sleeping`, looks into `inbox` and waits in the kernel for a completion, one of which says that the eventfd has been written.
#include "sched/file_ring.h"

#include <cerrno>
#include <initializer_list>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "sched/carrier.h"
#include "sched/chaos.h"
#include "sched/clock.h"
#include "sched/log.h"
#include "sched/options.h"
#include "sched/poller.h"
#include "sched/runtime.h"
#include "sched/sys.h"
#include "sched/thread_state.h"

namespace weft {

namespace {

constexpr unsigned kAtOnce = 64;      // requests given to the kernel in one call
constexpr unsigned kInFlight = 1024;  // completions that the ring has room for
// That the kernel may use for requests that block in it: as many as natively. A few could all wait on one file system that hangs.
constexpr unsigned kKernelThreads = kInFlight;
constexpr uint64_t kEventTag = 0;  // user_data of the look at the eventfd

enum class Phase : uint32_t { none, possible, starting, running, refused };
constinit std::atomic<Phase> phase{Phase::none};
constinit std::atomic<FileRequest*> inbox{nullptr};  // newest first
constinit std::atomic<uint32_t> sleeping{0};
constinit std::atomic<int> ring_fd{-1}, event_fd{-1};
constinit std::atomic<uint32_t> threads{0};

// As the kernel maps it; the thread's own.
struct Ring {
  uint32_t* submission_head;
  uint32_t* submission_tail;
  uint32_t submission_mask;
  io_uring_sqe* submissions;
  uint32_t* completion_head;
  uint32_t* completion_tail;
  uint32_t completion_mask;
  io_uring_cqe* completions;
  uint32_t in_flight;
  bool watches_event;
  FileRequest* oldest;  // not submitted yet
  FileRequest* newest;
};
constinit Ring ring{};

void answer(FileRequest* request, long result) {
  request->result = result;
  wake(request->waiter, request->ticket, Wake::unparked);
}

void take_inbox() {
  FileRequest* last = inbox.exchange(nullptr);
  FileRequest* first = nullptr;
  for (FileRequest *request = last, *next; request; request = next) {
    next = request->next;
    request->next = first;
    first = request;
  }
  if (!first) return;
  if (ring.newest)
    ring.newest->next = first;
  else
    ring.oldest = first;
  ring.newest = last;
}

io_uring_sqe* next_submission() {
  uint32_t tail = *ring.submission_tail;
  if (tail - __atomic_load_n(ring.submission_head, __ATOMIC_ACQUIRE) > ring.submission_mask) return nullptr;
  io_uring_sqe* entry = &ring.submissions[tail & ring.submission_mask];
  *entry = {};
  __atomic_store_n(ring.submission_tail, tail + 1, __ATOMIC_RELEASE);
  ring.in_flight++;
  return entry;
}

// How many there are for the kernel to take.
uint32_t fill_submissions() {
  if (!ring.watches_event)
    if (io_uring_sqe* entry = next_submission()) {
      entry->opcode = IORING_OP_POLL_ADD;
      entry->fd = 0;
      entry->flags = IOSQE_FIXED_FILE;
      entry->poll32_events = POLLIN;
      entry->user_data = kEventTag;
      ring.watches_event = true;
    }
  while (ring.oldest && ring.in_flight < kInFlight) {
    io_uring_sqe* entry = next_submission();
    if (!entry) break;
    FileRequest* request = ring.oldest;
    ring.oldest = request->next;
    if (!ring.oldest) ring.newest = nullptr;
    entry->opcode = request->operation;
    // By a kernel thread at once. The kernel's own first try, in this one, waits for no path, but some file systems wait in their open.
    if (request->operation == IORING_OP_OPENAT) entry->flags = IOSQE_ASYNC;
    entry->fd = request->fd;
    entry->off = request->offset;
    entry->addr = request->address;
    entry->len = request->length;
    entry->rw_flags = (int)request->flags;
    entry->user_data = (uint64_t)(uintptr_t)request;
  }
  return *ring.submission_tail - __atomic_load_n(ring.submission_head, __ATOMIC_ACQUIRE);
}

// Errors that the call would not have: the kernel could make no thread for it, had no room in the queue of a device, or was woken.
bool is_of_ring(int result) {
  return result == -ECANCELED || result == -EAGAIN || result == -EINTR || result == -ENOMEM;
}

void complete(const io_uring_cqe& completion) {
  ring.in_flight--;
  if (completion.user_data == kEventTag) {
    uint64_t count;
    sys::call(SYS_read, event_fd, sys::word(&count), sizeof count);
    ring.watches_event = false;
    return;
  }
  answer((FileRequest*)(uintptr_t)completion.user_data, is_of_ring(completion.res) ? kNotTaken : completion.res);
}

void reap() {
  uint32_t head = *ring.completion_head;
  uint32_t tail = __atomic_load_n(ring.completion_tail, __ATOMIC_ACQUIRE);
  while (head != tail) {
    io_uring_cqe completion = ring.completions[head++ & ring.completion_mask];
    __atomic_store_n(ring.completion_head, head, __ATOMIC_RELEASE);
    complete(completion);
  }
}

// What the kernel has not taken goes back to who asked.
void give_back_submissions() {
  uint32_t head = __atomic_load_n(ring.submission_head, __ATOMIC_ACQUIRE);
  for (uint32_t at = head; at != *ring.submission_tail; at++) {
    uint64_t tag = ring.submissions[at & ring.submission_mask].user_data;
    ring.in_flight--;
    if (tag == kEventTag)
      ring.watches_event = false;
    else
      answer((FileRequest*)(uintptr_t)tag, kNotTaken);
  }
  __atomic_store_n(ring.submission_tail, head, __ATOMIC_RELEASE);
  while (FileRequest* request = ring.oldest) {
    ring.oldest = request->next;
    answer(request, kNotTaken);
  }
  ring.newest = nullptr;
}

// The ring is of no use any more. Its memory is: what is in flight still ends there. Somebody may have seen it running and ask later
// than that, so the thread stays.
[[noreturn]] void give_up() {
  phase.store(Phase::refused);
  for (;;) {
    sleeping.store(1);
    take_inbox();
    give_back_submissions();
    reap();
    bool idle = ring.in_flight <= (ring.watches_event ? 1 : 0);
    timespec until = to_timespec(now_ns() + 1'000'000);
    sys::futex_wait(&sleeping, 1, idle ? nullptr : &until);
  }
}

void serve() {
  for (;;) {
    take_inbox();
    uint32_t ready = fill_submissions();
    sleeping.store(1);
    bool more_fit = ring.oldest && ring.in_flight < kInFlight;
    bool waits = !inbox.load() && !more_fit;
    int number = ring_fd;
    long result = sys::call(SYS_io_uring_enter, number, ready, waits, IORING_ENTER_GETEVENTS, 0, 8);
    sleeping.store(0);
    if (result < 0 && number != ring_fd) continue;  // moved meanwhile
    if (result == -EAGAIN || result == -EBUSY || result == -ENOMEM)
      give_back_submissions();
    else if (result < 0 && result != -EINTR)
      return;
    reap();
  }
}

// A fork child has nothing of it.
void* map(uint64_t offset, size_t size) {
  void* memory = (void*)sys::call(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring_fd,
                                  (long)offset);
  if (!sys::failed(memory)) sys::madvise(memory, size, MADV_DONTFORK);
  return memory;
}

int map_ring(const io_uring_params& is) {
  size_t submission_size = is.sq_off.array + is.sq_entries * sizeof(uint32_t);
  size_t completion_size = is.cq_off.cqes + is.cq_entries * sizeof(io_uring_cqe);
  char* queues = (char*)map(IORING_OFF_SQ_RING, submission_size > completion_size ? submission_size : completion_size);
  void* entries = map(IORING_OFF_SQES, is.sq_entries * sizeof(io_uring_sqe));
  if (sys::failed(queues)) return (int)(intptr_t)queues;
  if (sys::failed(entries)) return (int)(intptr_t)entries;
  ring = {.submission_head = (uint32_t*)(queues + is.sq_off.head),
          .submission_tail = (uint32_t*)(queues + is.sq_off.tail),
          .submission_mask = *(uint32_t*)(queues + is.sq_off.ring_mask),
          .submissions = (io_uring_sqe*)entries,
          .completion_head = (uint32_t*)(queues + is.cq_off.head),
          .completion_tail = (uint32_t*)(queues + is.cq_off.tail),
          .completion_mask = *(uint32_t*)(queues + is.cq_off.ring_mask),
          .completions = (io_uring_cqe*)(queues + is.cq_off.cqes),
          .in_flight = 0,
          .watches_event = false,
          .oldest = nullptr,
          .newest = nullptr};
  auto* order = (uint32_t*)(queues + is.sq_off.array);
  for (uint32_t i = 0; i < is.sq_entries; i++) order[i] = i;
  return 0;
}

void close_ring() {
  for (std::atomic<int>* number : {&ring_fd, &event_fd}) {
    int fd = number->exchange(-1);
    if (fd < 0) continue;
    renew_descriptor(fd);
    sys::close(fd);
  }
}

// By who asks first, not by the thread: the numbers it takes for a moment are gone before that one's call. Not one of those rings whose
// completions come only to who enters them: what is in flight has to end also where the process may not enter it any more. 0 or -errno.
int open_ring() {
  io_uring_params parameters = {};
  parameters.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  parameters.cq_entries = kInFlight;
  long fd = sys::call(SYS_io_uring_setup, kAtOnce, sys::word(&parameters));
  if (fd < 0) return (int)fd;
  int high = make_internal_fd((int)fd);
  ring_fd.store(high >= 0 ? high : (int)fd);
  long event = sys::call(SYS_eventfd2, 0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (event < 0) return (int)event;
  high = make_internal_fd((int)event);
  event_fd.store(high >= 0 ? high : (int)event);
  // Its number may change.
  int registered = event_fd;
  long result = sys::call(SYS_io_uring_register, ring_fd, IORING_REGISTER_FILES, sys::word(&registered), 1);
  if (result < 0) return (int)result;
  constexpr uint32_t kNeeded = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE;
  return (parameters.features & kNeeded) == kNeeded ? map_ring(parameters) : -ENOSYS;
}

void refuse(int error) {
  log(Level::info, "the kernel gives no ring for files (error %d): they go by blocking regions", -error);
  close_ring();
  threads.store(0);
  phase.store(Phase::refused);
}

void* file_ring_main(void*) {
  thread_state.of_runtime = true;
  sys::call(SYS_prctl, PR_SET_NAME, sys::word("weft-files"));
  uint32_t most[2] = {kKernelThreads, kKernelThreads};
  sys::call(SYS_io_uring_register, ring_fd, IORING_REGISTER_IOWQ_MAX_WORKERS, sys::word(most), 2);
  phase.store(Phase::running, std::memory_order_release);
  serve();
  give_up();
}

bool wanted() {
  if (options.files == FileWay::region || chaos_turns) return false;
  return options.files == FileWay::uring || sys::call(SYS_prctl, PR_GET_SECCOMP) == 0;
}

// Nobody waits for the thread: what comes meanwhile goes by regions.
void start() {
  Phase possible = Phase::possible;
  if (!file_ring_possible() || !phase.compare_exchange_strong(possible, Phase::starting)) return;
  threads.store(1);
  int kept = errno;
  int error = open_ring();
  if (!error) error = -kernel_thread_create(file_ring_main, nullptr);
  if (error) refuse(error);
  errno = kept;
}

}  // namespace

long file_ring_call(FileRequest request) {
  Phase now = phase.load(std::memory_order_acquire);
  if (now != Phase::running) [[unlikely]] {
    if (now == Phase::none || now == Phase::possible) start();
    return kNotTaken;
  }
  Coroutine* self = woven();
  Worker* worker = enter(self);
  count(worker->metrics, Metric::file_calls);
  request.waiter = &self->waiter;
  request.ticket = self->waiter.begin(false);
  self->wait_fd = request.fd < 0 ? -1 : request.fd;  // AT_FDCWD is no number
  will_wait(self, WaitKind::file);
  request.next = inbox.load(std::memory_order_relaxed);
  while (!inbox.compare_exchange_weak(request.next, &request)) {
  }
  if (sleeping.load() && sleeping.exchange(0)) {
    uint64_t one = 1;
    sys::write(event_fd, &one, sizeof one);
    if (file_ring_refused()) sys::futex_wake(&sleeping, 1);
  }
  block_coroutine(self, request.ticket, kNever);
  leave(self);
  return request.result;
}

bool file_ring_possible() {
  Phase now = phase.load(std::memory_order_relaxed);
  if (now == Phase::none) [[unlikely]]
    if (phase.compare_exchange_strong(now, wanted() ? Phase::possible : Phase::refused)) now = phase.load();
  return now != Phase::refused;
}

bool file_ring_refused() { return phase.load() == Phase::refused; }

unsigned file_ring_threads() { return threads.load(); }

std::atomic<int>* file_ring_number(int fd) {
  return fd < 0 ? nullptr : fd == ring_fd ? &ring_fd : fd == event_fd ? &event_fd : nullptr;
}

void file_ring_reset() {
  phase.store(Phase::none);
  inbox.store(nullptr);
  sleeping.store(0);
  threads.store(0);
  ring_fd.store(-1);
  event_fd.store(-1);
}

}  // namespace weft
