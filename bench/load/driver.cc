// SPDX-License-Identifier: Apache-2.0
// The event loop of the load generator.
#include "driver.h"

#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

namespace weft::load {
namespace {

using std::chrono::steady_clock;

constexpr uint32_t kGate = UINT32_MAX;            // epoll's tag for descriptor 0
constexpr uint32_t kFirstSource = 0x7f000002;     // 127.0.0.2
constexpr uint32_t kConnectionsPerSource = 8000;  // well below the ports one address has
constexpr int kComplaints = 5;                    // failures described on descriptor 2

// The open loop sleeps until so long before a request is due, and from there on asks epoll again and again: a sleeper
// begins late by what its timer and its waking take, and has the server pay for waking it. It has a CPU of its own.
constexpr std::chrono::milliseconds kSpun{2};
constexpr std::chrono::milliseconds kBetweenExpiries{200};

double seconds_between(steady_clock::time_point from, steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

steady_clock::time_point after(steady_clock::time_point from, double seconds) {
  return from + std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
}

}  // namespace

Driver::Driver(const Options& options) : options_(options), buffer_(256 * 1024) {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < options.connections; ++i) {
    slots_.push_back(std::make_unique<Slot>(options, static_cast<uint32_t>(i)));
  }
  if (options.tls) {
    tls_ = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(tls_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  }
}

Driver::~Driver() {
  slots_.clear();
  if (tls_ != nullptr) SSL_CTX_free(tls_);
  if (epoll_ >= 0) ::close(epoll_);
}

bool Driver::run() {
  if (epoll_ < 0) {
    perror("weft_load: epoll_create1");
    return false;
  }
  // Where each exchange has a connection of its own there is nothing to hold open first.
  if (options_.keep && !open_all()) return true;
  if (options_.gate && !wait_at_gate()) return true;
  if (options_.rate > 0) {
    exchange_open();
  } else {
    exchange_closed();
  }
  if (report_.seconds == 0) stop_clock(steady_clock::now());
  report_.least = UINT64_MAX;
  for (auto& slot : slots_) report_.least = std::min(report_.least, slot->answered);
  return true;
}

bool Driver::open_all() {
  steady_clock::time_point start = steady_clock::now();
  size_t next = 0;
  while (report_.errors() == 0 && (next < slots_.size() || making_ > 0)) {
    for (; next < slots_.size() && making_ < options_.opening; ++making_) open(*slots_[next++]);
    turn(100);
    expire(steady_clock::now());
  }
  report_.opening_seconds = seconds_between(start, steady_clock::now());
  return report_.errors() == 0;
}

bool Driver::wait_at_gate() {
  stage_ = Stage::gate;
  epoll_event event = {EPOLLIN, {}};
  event.data.u32 = kGate;
  // A file on descriptor 0 is always readable, and epoll refuses it.
  gate_spoke_ = ::epoll_ctl(epoll_, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0;
  printf("ready conns=%zu\n", open_);
  fflush(stdout);
  while (!gate_spoke_) turn(-1);
  return gate_says("go");
}

bool Driver::gate_says(const char* word) {
  gate_spoke_ = false;
  std::string line;
  char next;
  while (::read(STDIN_FILENO, &next, 1) == 1) {
    if (next == '\n') return line == word;
    line += next;
  }
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, STDIN_FILENO, nullptr);  // its end is readable for ever
  return line == word;
}

void Driver::start_clock(Clock::time_point now) {
  stage_ = Stage::measuring;
  measured_from_ = now;
  cpu_before_ = server_cpu();
}

void Driver::stop_clock(Clock::time_point now) {
  report_.seconds = seconds_between(measured_from_, now);
  report_.server_cpu_seconds = server_cpu() - cpu_before_;
}

void Driver::exchange_closed() {
  steady_clock::time_point start = steady_clock::now(), end = start, checked = start;
  const steady_clock::time_point warm_end = after(start, options_.warm);
  auto measure = [&](steady_clock::time_point now) {
    start_clock(now);
    end = after(now, options_.seconds);
  };
  report_.open = static_cast<int>(open_);
  stage_ = Stage::warming;
  if (options_.warm <= 0) measure(start);
  for (auto& slot : slots_) {
    if (!options_.keep) {
      open(*slot);
    } else if (slot->phase == Phase::waiting) {
      begin(*slot);
    }
  }
  while (open_ > 0) {
    turn(20);
    steady_clock::time_point now = steady_clock::now();
    if (stage_ == Stage::warming && now >= warm_end) measure(now);
    if (gate_spoke_ && gate_says("end")) end = now;
    if (stage_ == Stage::measuring && (now >= end || !may_begin())) {
      // After a time the tail is left out; after a number of exchanges the clock goes on to the last answer.
      if (now >= end) stop_clock(now);
      stage_ = Stage::ending;
    }
    if (now - checked > kBetweenExpiries) {
      checked = now;
      expire(now);
    }
  }
}

void Driver::exchange_open() {
  schedule_.emplace(static_cast<uint32_t>(slots_.size()), options_.rate);
  report_.requested = options_.rate;
  steady_clock::time_point checked = scheduled_from_ = steady_clock::now();
  measured_from_ = after(scheduled_from_, options_.warm);
  measured_until_ = after(measured_from_, options_.seconds);
  const steady_clock::time_point last = after(measured_until_, options_.timeout);
  report_.open = static_cast<int>(open_);
  stage_ = Stage::warming;
  while (open_ > 0) {
    turn(sleep_ms());
    pace();
    steady_clock::time_point now = steady_clock::now();
    if (stage_ == Stage::warming && now >= measured_from_) start_clock(measured_from_);
    if (stage_ == Stage::measuring && now >= measured_until_) {
      stop_clock(now);
      stage_ = Stage::ending;
      for (auto& slot : slots_) {
        if (slot->phase == Phase::waiting) await_due(*slot);
      }
    }
    if (now - checked > kBetweenExpiries) {
      checked = now;
      expire(now);
    }
    if (now >= last) {
      for (auto& slot : slots_) {
        if (slot->phase != Phase::absent) give_up(*slot, now);
      }
    }
  }
}

void Driver::turn(int timeout_ms) {
  epoll_event events[256];
  int count = ::epoll_wait(epoll_, events, 256, timeout_ms);
  for (int i = 0; i < count; ++i) {
    if (events[i].data.u32 == kGate) {
      gate_spoke_ = true;
    } else {
      advance(*slots_[events[i].data.u32], events[i].events);
      // What falls due while many answers are taken in does not wait for the last of them.
      if (schedule_) pace();
    }
  }
}

void Driver::expire(Clock::time_point now) {
  for (auto& slot : slots_) {
    bool in_flight = slot->phase != Phase::absent && slot->phase != Phase::waiting;
    if (in_flight && seconds_between(slot->since, now) > options_.timeout) {
      errno = ETIMEDOUT;
      fail(*slot, &Report::late, "no whole answer in time");
    }
  }
}

void Driver::open(Slot& slot) {
  slot.due = slot.since = steady_clock::now();
  slot.counted = stage_ == Stage::measuring;
  if (slot.counted) ++begun_;
  slot.phase = Phase::connecting;
  ++open_;
  slot.reply.clear();
  uint32_t source = options_.many_sources ? kFirstSource + slot.index / kConnectionsPerSource : 0;
  if (!slot.transport.open(options_.port, source, options_.reset)) return fail(slot, &Report::refused, "connect");
  epoll_event event = {EPOLLOUT, {}};
  event.data.u32 = slot.index;
  slot.interest = EPOLLOUT;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, slot.transport.fd(), &event);
}

void Driver::advance(Slot& slot, uint32_t events) {
  switch (slot.phase) {
    case Phase::absent:
      return;
    case Phase::connecting:
      if (!slot.transport.connected()) return fail(slot, &Report::refused, "connect");
      slot.sent = 0;
      slot.phase = Phase::tunnelling;
      return tunnel(slot);
    case Phase::tunnelling:
      return tunnel(slot);
    case Phase::handshaking:
      return handshake(slot);
    case Phase::exchanging:
      return transfer(slot);
    case Phase::waiting: {
      // Nothing is due on this connection, so the server has ended it, or speaks out of turn.
      size_t moved = 0;
      Transport::Result result = slot.transport.read(buffer_.data(), buffer_.size(), &moved);
      if (result == Transport::Result::again_read) return;
      if (result == Transport::Result::done) return fail(slot, &Report::wrong, "bytes without a request");
      if (schedule_) return fail(slot, &Report::closed, "awaiting the next request");
      ++report_.lost;
      return drop(slot);
    }
  }
}

void Driver::tunnel(Slot& slot) {
  if (options_.tunnel.empty()) return handshake(slot);
  size_t moved = 0;
  if (slot.sent == 0) {
    std::string ask = "CONNECT " + options_.tunnel + " HTTP/1.1\r\nHost: " + options_.tunnel + "\r\n\r\n";
    bool sent = slot.transport.write(ask.data(), ask.size(), &moved) == Transport::Result::done;
    if (!sent || moved != ask.size()) return fail(slot, &Report::closed, "sending CONNECT");
    slot.sent = moved;
  }
  // Byte by byte: what follows the reply belongs to the exchange.
  while (slot.reply.find("\r\n\r\n") == std::string::npos) {
    char byte;
    Transport::Result result = slot.transport.read(&byte, 1, &moved);
    if (result == Transport::Result::again_read) return watch(slot, EPOLLIN);
    if (result != Transport::Result::done) return fail(slot, &Report::closed, "awaiting the tunnel");
    slot.reply.push_back(byte);
  }
  if (slot.reply.compare(0, 7, "HTTP/1.") != 0 || slot.reply.compare(9, 3, "200") != 0) {
    return fail(slot, &Report::status, "the tunnel was refused");
  }
  handshake(slot);
}

void Driver::handshake(Slot& slot) {
  slot.phase = Phase::handshaking;
  if (tls_ != nullptr) {
    switch (slot.transport.handshake(tls_)) {
      case Transport::Result::done:
        break;
      case Transport::Result::again_read:
        return watch(slot, EPOLLIN);
      case Transport::Result::again_write:
        return watch(slot, EPOLLOUT);
      default:
        return fail(slot, &Report::closed, "TLS handshake");
    }
  }
  slot.phase = Phase::exchanging;
  slot.sent = 0;
  slot.exchange.begin();
  transfer(slot);
}

bool Driver::may_begin() const {
  if (stage_ == Stage::ending) return false;
  return stage_ != Stage::measuring || options_.requests == 0 || begun_ < options_.requests;
}

Driver::Clock::time_point Driver::due(const Slot& slot) const {
  return scheduled_from_ + std::chrono::nanoseconds(schedule_->due(slot.index, slot.begun));
}

int Driver::sleep_ms() const {
  if (stage_ == Stage::ending) return 1;
  auto left = scheduled_from_ + std::chrono::nanoseconds(schedule_->next()) - steady_clock::now() - kSpun;
  return std::clamp(static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(left).count()), 0, 20);
}

void Driver::pace() {
  steady_clock::time_point now = steady_clock::now();
  while (scheduled_from_ + std::chrono::nanoseconds(schedule_->next()) <= now) {
    Slot& slot = *slots_[schedule_->take()];
    // One that is not free begins it with its answer, which may have come meanwhile.
    if (slot.phase != Phase::waiting || due(slot) > now || due(slot) >= measured_until_) continue;
    begin(slot);
    if (slot.counted) report_.lag.add(static_cast<uint64_t>(std::chrono::nanoseconds(slot.since - slot.due).count()));
  }
}

void Driver::await_due(Slot& slot) {
  slot.phase = Phase::waiting;
  if (due(slot) >= measured_until_) {
    // Its last answer has come; while others are measured, it stays, since a server may be dearer with fewer.
    if (stage_ == Stage::ending) drop(slot);
  } else if (due(slot) <= steady_clock::now()) {
    begin(slot);
  }
}

void Driver::give_up(Slot& slot, Clock::time_point now) {
  auto count = [&](Clock::time_point since) {
    ++report_.unanswered;
    report_.latency.add(static_cast<uint64_t>(std::chrono::nanoseconds(now - since).count()));
  };
  if (slot.counted && slot.phase == Phase::exchanging) count(slot.due);
  for (; due(slot) < measured_until_; ++slot.begun) {
    if (due(slot) >= measured_from_) count(due(slot));
  }
  drop(slot);
}

void Driver::begin(Slot& slot) {
  slot.phase = Phase::exchanging;
  slot.sent = 0;
  slot.since = steady_clock::now();
  if (schedule_) {
    slot.due = due(slot);
    slot.counted = slot.due >= measured_from_;
    ++slot.begun;
  } else {
    slot.due = slot.since;
    slot.counted = stage_ == Stage::measuring;
  }
  if (slot.counted) ++begun_;
  slot.exchange.begin();
  transfer(slot);
}

void Driver::transfer(Slot& slot) {
  if (slot.sent < slot.exchange.request().size()) {
    if (!send_rest(slot)) return;
    // The answer is not there yet; asking at once would be a system call for nothing.
    if (slot.sent == slot.exchange.request().size()) return watch(slot, EPOLLIN);
  }
  receive(slot);
}

// False when the connection is gone. An answer may start before the whole request is out, so both ways are watched.
bool Driver::send_rest(Slot& slot) {
  std::string_view rest = slot.exchange.request().substr(slot.sent);
  size_t moved = 0;
  switch (slot.transport.write(rest.data(), rest.size(), &moved)) {
    case Transport::Result::done:
      slot.sent += moved;
      break;
    case Transport::Result::again_write:
      break;
    case Transport::Result::again_read:
      break;
    default:
      fail(slot, &Report::closed, "sending");
      return false;
  }
  if (moved < rest.size()) watch(slot, EPOLLIN | EPOLLOUT);
  return true;
}

void Driver::receive(Slot& slot) {
  // A TLS record already decrypted gives no event, so reading goes on until there is nothing.
  while (slot.phase == Phase::exchanging) {
    size_t moved = 0;
    Transport::Result result = slot.transport.read(buffer_.data(), buffer_.size(), &moved);
    if (result == Transport::Result::again_read || result == Transport::Result::again_write) return;
    if (result == Transport::Result::failed) return fail(slot, &Report::closed, "receiving");
    bool end = result == Transport::Result::closed;
    judged(slot, slot.exchange.take({buffer_.data(), moved}, end));
    // In clear text one read takes what there was, and the next event tells of more.
    if (tls_ == nullptr) return;
  }
}

void Driver::judged(Slot& slot, Exchange::Verdict verdict) {
  switch (verdict) {
    case Exchange::Verdict::more:
      return;
    case Exchange::Verdict::bad_bytes:
      return fail(slot, &Report::wrong, "the answer is not what was to come");
    case Exchange::Verdict::bad_status:
      return fail(slot, &Report::status, "the status is not 200");
    case Exchange::Verdict::complete:
    case Exchange::Verdict::last:
      break;
  }
  ++report_.exchanged;
  if (stage_ != Stage::opening) ++slot.answered;
  if (stage_ == Stage::measuring) ++report_.reached;
  if (slot.counted && (stage_ == Stage::measuring || options_.requests != 0 || schedule_)) {
    ++report_.measured;
    auto taken = steady_clock::now() - slot.due;
    report_.latency.add(static_cast<uint64_t>(std::chrono::nanoseconds(taken).count()));
  }
  if (stage_ == Stage::opening) {
    if (verdict == Exchange::Verdict::last) return fail(slot, &Report::closed, "the server keeps no connection");
    slot.phase = Phase::waiting;
    --making_;
    return;
  }
  bool kept = options_.keep && verdict == Exchange::Verdict::complete;
  if (schedule_) return kept ? await_due(slot) : fail(slot, &Report::closed, "the server keeps no connection");
  if (kept && may_begin()) return begin(slot);
  drop(slot);
  if (options_.keep && !kept) ++report_.reopened;
  if (!kept && may_begin()) open(slot);
}

void Driver::fail(Slot& slot, uint64_t Report::*cause, const char* what) {
  if (report_.errors() < kComplaints) {
    fprintf(stderr, "weft_load: connection %u: %s (%s)\n", slot.index, what, strerror(errno));
  }
  ++(report_.*cause);
  drop(slot);
}

void Driver::drop(Slot& slot) {
  slot.transport.close();
  slot.phase = Phase::absent;
  --open_;
}

void Driver::watch(Slot& slot, uint32_t events) {
  if (slot.interest == events) return;
  slot.interest = events;
  epoll_event event = {events, {}};
  event.data.u32 = slot.index;
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, slot.transport.fd(), &event);
}

// CPU time of all threads of the server, in seconds; 0 where no server was named.
double Driver::server_cpu() const {
  clockid_t clock;
  timespec time = {};
  if (options_.server_pid == 0 || ::clock_getcpuclockid(options_.server_pid, &clock) != 0) return 0;
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void Report::print() const {
  auto microseconds = [](const Histogram& of, double share) {
    return static_cast<double>(of.percentile(share)) * 1e-3;
  };
  const auto answers = static_cast<double>(requested > 0 ? reached : measured);
  double rate = seconds > 0 ? answers / seconds : 0;
  double cpu = answers > 0 ? server_cpu_seconds * 1e6 / answers : 0;
  printf(
      "exchanged=%lu measured=%lu errors=%lu refused=%lu closed=%lu wrong=%lu status=%lu late=%lu lost=%lu "
      "reopened=%lu open=%d least=%lu rps=%.1f p50_us=%.1f p99_us=%.1f p999_us=%.1f max_us=%.1f cpu_us=%.3f "
      "seconds=%.3f opening_seconds=%.3f",
      exchanged, measured, errors(), refused, closed, wrong, status, late, lost, reopened, open, least, rate,
      microseconds(latency, .5), microseconds(latency, .99), microseconds(latency, .999),
      static_cast<double>(latency.max()) * 1e-3, cpu, seconds, opening_seconds);
  if (requested > 0) {
    printf(" rate=%.1f unanswered=%lu lag_p99_us=%.1f lag_max_us=%.1f", requested, unanswered, microseconds(lag, .99),
           static_cast<double>(lag.max()) * 1e-3);
  }
  printf("\n");
}

}  // namespace weft::load
