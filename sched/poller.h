// SPDX-License-Identifier: Apache-2.0
// The poller: turns "this descriptor is readable" into "this coroutine is ready".
//
// One EPOLL_CTL_ADD, edge-triggered, at the first EAGAIN of a descriptor's life, none per wait. For each descriptor and
// direction there is a counter of events and the counter's value when the descriptor was last seen drained: it is worth
// trying iff they differ. A reader takes the counter before its try and parks only if it has not moved since, compared
// under the descriptor's lock; so an event between the try and the park is never lost, and one event wakes one waiter.
//
// Events carry descriptor and generation: an event of a closed and reused number wakes nobody.
// The table is a cache of what the kernel knows, never the truth: what it cannot know (a descriptor closed past the
// hooks) is found by the monitor, which looks once at every wait that lasts.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "sched/lock.h"
#include "sched/wait.h"

namespace weft {

struct Worker;

enum class Direction : uint8_t { read = 0, write = 1 };

// What kind of call weaves this descriptor; hook/fd_table finds out at first use.
enum class DescriptorKind : uint8_t {
  unknown,   // not looked at since the number was made
  stream,    // TCP: a short read has drained it
  socket,    // any other socket
  listener,  // listening socket
  pipe,      // pipe or FIFO
  special,   // tty, eventfd, timerfd, …: pollable, no call that does not block
  signals,   // signalfd: shows whoever asks what is pending for itself
  file,      // regular file, directory, block device: always ready
  epoll,     // an epoll descriptor of the program's own
  internal,  // weft's own
};

struct Readiness {
  std::atomic<uint32_t> events;   // counts edges; written under the descriptor's lock
  std::atomic<uint32_t> drained;  // value of events before the try that found nothing
  WaitQueue waiters;              // guarded by the descriptor's lock
};

// Fields that are not atomic are guarded by lock. Flags, kind and timeouts are the hooks' knowledge of the number; they may be stale.
// What a call that waits touches is in the first 64 bytes.
struct alignas(64) Descriptor {
  Lock lock;                         // guards the queues, registration and generation
  std::atomic<uint32_t> generation;  // bumped when the number changes its meaning
  Readiness ready[2];                // by Direction
  std::atomic<uint32_t> registered;  // events asked for, 0: in no epoll; written under lock
  std::atomic<uint16_t> flags;       // bits below
  std::atomic<uint8_t> kind;         // DescriptorKind
  std::atomic<uint8_t> cached;       // of a file: how often in a row the page cache had what was read; see hook/file.cc
  uint16_t poller;                   // index + 1 of the worker whose epoll has it
  uint32_t sleepers;                 // waiters that stayed on this private duplicate
  std::atomic<uint32_t> epoch;       // description_epochs[group] when flags and timeouts were last looked up
  std::atomic<uint32_t> group;       // of a shared one: entries that may have the same description have the same
  std::atomic<uint64_t> receive_timeout;  // SO_RCVTIMEO in nanoseconds, 0: none
  std::atomic<uint64_t> send_timeout;     // SO_SNDTIMEO

  static constexpr uint16_t kNonblocking = 1;  // O_NONBLOCK is set by the program: straight through
  static constexpr uint16_t kShared = 2;       // another descriptor or process has the same description
  static constexpr uint16_t kNoDrainHint =
      4;  // a short read does not say drained (urgent data, TLS offload, hang-up seen)
  static constexpr uint16_t kUnpollable = 8;  // epoll refused it: waits are blocking regions
  static constexpr uint16_t kLowWater = 16;   // SO_RCVLOWAT above 1
  static constexpr uint16_t kUnixSocket = 32;
  static constexpr uint16_t kDatagram = 64;        // SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RAW: a call is a message
  static constexpr uint16_t kTcp = 128;            // also of a listener, whose connections are streams then
  static constexpr uint16_t kHungUp = 256;         // EPOLLHUP was seen
  static constexpr uint16_t kPollToRead = 512;     // preadv2 does not take RWF_NOWAIT: poll first
  static constexpr uint16_t kPollToWrite = 1024;   // nor does pwritev2
  static constexpr uint16_t kTimed = 2048;         // one of the timeouts is, or was, set
  static constexpr uint16_t kShortRead = 4096;     // a short read was taken for its last
  static constexpr uint16_t kDirect = 8192;        // a file with O_DIRECT: whatever is moved waits for the disk
  static constexpr uint16_t kSynchronous = 16384;  // one with O_DSYNC: what is written waits for it
};

static_assert(offsetof(Descriptor, poller) <= 64);

constexpr int kMaxDescriptors = 1 << 20;

extern Descriptor* descriptor_table;  // null until the runtime starts, or where there is no memory for it
extern uint32_t descriptor_count;     // entries in it

// The entry of a descriptor, or null: out of range, or the table could not be had. Never moves.
inline Descriptor* descriptor(int fd) { return (uint32_t)fd < descriptor_count ? &descriptor_table[fd] : nullptr; }

// What the hooks know of descriptors that share their description with others is looked up anew when their group's has moved.
constexpr uint32_t kDescriptionGroups = 1024;
extern std::atomic<uint32_t> description_epochs[kDescriptionGroups];

// Value to pass to mark_drained() and wait_fd(): read it before the try.
inline uint32_t events_seen(const Descriptor* d, Direction direction) {
  return d->ready[(int)direction].events.load(std::memory_order_acquire);
}
// A read that gets less than it has room for has taken all there is: so it is with Linux. Not where somebody between the program and
// the kernel cuts transfers short; there the monitor finds a wait that is lost, once, and nobody believes it any more.
extern std::atomic<bool> short_reads_drain;
void short_reads_do_not_drain();

// Nothing was found by a try that began at `seen`.
inline void mark_drained(Descriptor* d, Direction direction, uint32_t seen) {
  d->ready[(int)direction].drained.store(seen, std::memory_order_relaxed);
}
constexpr uint32_t kReadEvents = 0x2003;  // EPOLLIN | EPOLLPRI | EPOLLRDHUP
constexpr uint32_t kWriteEvents = 4;      // EPOLLOUT
// False: the last try found nothing and no edge came since, so a try would find nothing.
inline bool worth_trying(const Descriptor* d, Direction direction) {
  const Readiness& r = d->ready[(int)direction];
  return !(d->registered.load(std::memory_order_relaxed) &
           (direction == Direction::read ? kReadEvents : kWriteEvents)) ||
         r.events.load(std::memory_order_acquire) != r.drained.load(std::memory_order_relaxed);
}

enum class FdWake : uint8_t {
  ready,  // worth another try
  timed_out,
  interrupted,  // a signal or cancellation is to be acted on
  unpollable,   // epoll does not take it: make the call in a region
};

// Parks the running coroutine until an edge after `seen`. If the descriptor is closed meanwhile, *fd becomes a private
// duplicate of it that the waiter goes on with and gives back with release_duplicate(); -1 where no number is left for one.
FdWake wait_fd(int* fd, Direction direction, uint32_t seen, uint64_t deadline);
void release_duplicate(int fd, int original);

// A try succeeded: if others wait in this direction, the next one gets its turn.
void pass_on_slow(Descriptor* d, Direction direction);
inline void pass_on(Descriptor* d, Direction direction) {
  if (d->ready[(int)direction].waiters.head) [[unlikely]]
    pass_on_slow(d, direction);
}

// Wakes everyone who waits on it, so that they try again (shutdown, O_NONBLOCK set).
void wake_descriptor(int fd);

// The number changes its meaning: waiters go on with a private duplicate, the entry is forgotten. Before close, dup2
// onto it, ….
void forget_descriptor(int fd);
// The number has just been made or may have been reused: forget what is known, there are no waiters to move.
void renew_descriptor(int fd);
void renew_locked(Descriptor* d);  // the same, with the entry's lock held

// One place in a descriptor's queue.
struct PollWait {
  WaitNode node;  // first member: a node of these queues is a PollWait
  // A private duplicate or -1 once the descriptor has been closed; written under its lock.
  std::atomic<int> fd;
  Direction direction;
  uint32_t seen;
};
// Other queues that a wait for descriptors is in as well.
struct OtherQueues {
  bool (*join)(void* argument, Waiter* waiter, uint64_t ticket);  // inside. False: there is something to do at once
  void (*leave)(void* argument);                                  // inside; what join() has done is undone
  void* argument;
};
// Of the waits of one call, which may need several.
struct PollCall {
  uint64_t since = 0;      // coarse time of the first
  bool looked_at = false;  // one was woken by the monitor's look, which comes once a call
  bool rescued = false;    // the last one was
};
// Parks until an edge on any of them, after its `seen`, or the deadline. FdWake::unpollable where one cannot be had.
FdWake wait_any(PollWait* waits, unsigned count, uint64_t deadline, PollCall* call,
                const OtherQueues* others = nullptr);

// Waits until the worker whose epoll has this descriptor has looked into it once more, and acted on what it found.
bool poller_settle(int fd);  // false: it did not get the CPU in time

bool is_internal_fd(int fd);     // weft's own: close loops leave it be
int next_internal_fd(int from);  // lowest internal descriptor >= from, or -1
int make_internal_fd(int fd);    // moves it up high, close-on-exec; returns the new number or -errno
void make_spare_descriptor();    // when the runtime starts: for a close under a waiter where no number is left
void descriptor_limit_begin();   // around a change of RLIMIT_NOFILE, which the spare follows
void descriptor_limit_end();
bool relocate_internal_fd(int fd);  // the program wants this number. False: it cannot be given up
// The calling kernel thread, a guest or pinned, has descriptors of its own since now: it loses its copies of weft's.
// From here on it touches neither the table nor weft's numbers, nor do the threads it makes.
void descriptors_part();
int highest_known_fd();  // of those the hooks or the poller have met; internal ones not counted
void note_known_fd(int fd);

// ---- for worker and monitor
int poller_open(Worker* worker);                          // 0 or -errno
void poller_close(Worker* worker);                        // it has never been used
unsigned poller_poll(Worker* worker, uint64_t deadline);  // deadline 0: do not block. Returns coroutines made ready
void poller_rescue(uint64_t now);  // monitor: looks once at every descriptor wait older than 100 ms
bool poller_rescue_pending();      // there are waits whose look is still to come
void poller_reset();               // fork child

}  // namespace weft
