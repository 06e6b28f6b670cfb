// SPDX-License-Identifier: Apache-2.0
// Reading the rings of a live target.
#include "timeline.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <ctime>

#include <sys/uio.h>

#include "failure.h"
#include "monotonic_clock.h"

namespace weft::inspect {

namespace {

constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kLookEvery =
    5 * kMillisecond;  // a ring holds what a worker does in some tens of milliseconds at the least
constexpr uint64_t kGrace = 500 * kMillisecond;  // after which the target stops by itself if we have gone

volatile std::sig_atomic_t interrupted = 0;
void on_interrupt(int) { interrupted = 1; }

// Ctrl-C ends the recording, not what has been recorded.
class Interruptible {
 public:
  Interruptible() {
    interrupted = 0;
    struct sigaction action = {};
    action.sa_handler = on_interrupt;
    sigaction(SIGINT, &action, &before_);
  }
  ~Interruptible() { sigaction(SIGINT, &before_, nullptr); }
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

 private:
  struct sigaction before_;
};

// Asks for events until then. False: the target has gone.
bool ask(const Target& target, Address word, uint64_t until) {
  iovec from = {&until, sizeof until}, to = {const_cast<void*>(word), sizeof until};
  if (process_vm_writev(target.pid(), &from, 1, &to, 1, 0) == (ssize_t)sizeof until) return true;
  if (errno == ESRCH) return false;
  throw Failure(kPermission, "cannot ask {} for events: {}. Try sudo.", target.name(), strerror(errno));
}

struct Reader {
  uint64_t entries = 0;  // address
  uint64_t next = 0;     // number of the first that has not been read
};

class Rings {
 public:
  Rings(Target& target, const Runtime& runtime, size_t count)
      : target_(target), header_(runtime.header()), readers_(count) {
    for (size_t i = 0; i < count; i++) readers_[i].next = heads(i).next;
  }

  // What is new since the last time. False: the target is unreadable.
  bool read(Timeline* timeline) {
    for (size_t i = 0; i < readers_.size(); i++) {
      if (!read_ring(i, timeline)) return false;
    }
    return true;
  }

 private:
  struct Heads {
    uint64_t entries = 0, next = 0;
  };

  Heads heads(size_t ring) {
    Heads result;
    static_assert(sizeof result == sizeof(TraceRing));
    readable_ = target_.read((uint64_t)(uintptr_t)header_.trace_rings + ring * sizeof result, &result, sizeof result);
    return result;
  }

  bool read_ring(size_t ring, Timeline* timeline) {
    Reader& reader = readers_[ring];
    const Heads now_there = heads(ring);
    if (!readable_) return false;
    const uint64_t size = header_.trace_entries;
    if (now_there.entries == 0 || now_there.next == reader.next) return true;
    uint64_t from = reader.next;
    if (now_there.next - from > size) {
      timeline->lost += now_there.next - size - from;
      from = now_there.next - size;
    }
    // The ring in one or two pieces.
    std::vector<TraceEntry> copied(now_there.next - from);
    for (uint64_t at = from; at < now_there.next;) {
      const uint64_t place = at % size, count = std::min(now_there.next - at, size - place);
      if (!target_.read(now_there.entries + place * sizeof(TraceEntry), &copied[at - from], count * sizeof(TraceEntry)))
        return false;
      at += count;
    }
    std::vector<TraceEntry>& kept = timeline->ring[ring];
    uint64_t number = from;
    for (const TraceEntry& entry : copied) {
      if (entry.number == (uint32_t)number + 1) {
        kept.push_back(entry);
      } else if (now_there.next - number <= kMayBeUnderWay && (int32_t)(entry.number - (uint32_t)number - 1) < 0) {
        break;  // it is being written: the next time
      } else {
        timeline->lost++;
      }
      number++;
    }
    reader.next = number;
    return true;
  }

  static constexpr uint64_t kMayBeUnderWay = 64;

  Target& target_;
  const DescriptorHeader& header_;
  std::vector<Reader> readers_;
  bool readable_ = true;
};

}  // namespace

Timeline record(Target& target, const Runtime& runtime, uint64_t nanoseconds) {
  if (target.kind() != Target::Kind::process)
    throw Failure(kUsage, "weft trace needs a live process; {} is none.", target.name());
  const DescriptorHeader& header = runtime.header();
  if (header.size < offsetof(DescriptorHeader, trace_rings) + sizeof header.trace_rings ||
      header.trace_rings == nullptr || header.trace_entry_size != sizeof(TraceEntry))
    throw Failure(kVersion, "{} writes no events that this tool can read; use the tool shipped with its libweft.so.",
                  target.name());

  Timeline timeline;
  const size_t rings = runtime.workers().size() + 1;
  timeline.ring.resize(rings);
  Rings reader(target, runtime, rings);
  Interruptible interruptible;
  // The target's clock, which may be another time namespace's.
  const auto now = [&] { return target.now().value_or(monotonic_now()); };
  timeline.begin = now();
  const uint64_t end = timeline.begin + nanoseconds;
  bool there = ask(target, header.trace_wanted, end + kGrace);
  bool active = false;
  for (uint64_t at = timeline.begin; there && at < end && interrupted == 0; at = now()) {
    timespec pause = {0, (long)std::min(kLookEvery, end - at)};
    nanosleep(&pause, nullptr);
    uint32_t on = 0;
    active |= target.read((uint64_t)(uintptr_t)header.tracing, &on, sizeof on) && on != 0;
    there = reader.read(&timeline);
  }
  if (there) {
    ask(target, header.trace_wanted, 0);
    reader.read(&timeline);
  }
  timeline.end = now();  // of all that was read
  timeline.was_asleep = !active;
  return timeline;
}

}  // namespace weft::inspect
