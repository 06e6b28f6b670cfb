// SPDX-License-Identifier: Apache-2.0
// When the requests of an open loop are due: each connection has the same period, and a place of its own within it.
//
// The places are drawn at random from a fixed seed. Over a span shorter than the period requests so fall due as if
// independent clients had sent them, in clusters and gaps, and every server is asked at the very same times. Places at
// even distances would spare a server every queue.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

namespace weft::load {

class Schedule {
 public:
  // `rate`: requests a second of all connections together.
  Schedule(uint32_t connections, double rate)
      : period_ns_(static_cast<double>(connections) * 1e9 / rate), places_(connections), order_(connections) {
    std::mt19937_64 random(connections);
    for (double& place : places_) place = static_cast<double>(random() >> 11) * 0x1p-53 * period_ns_;
    std::iota(order_.begin(), order_.end(), 0u);
    std::sort(order_.begin(), order_.end(), [this](uint32_t a, uint32_t b) { return places_[a] < places_[b]; });
  }

  // Nanoseconds from the start to when a connection's request of that number, from 0 on, is due.
  uint64_t due(uint32_t connection, uint64_t number) const {
    return static_cast<uint64_t>(places_[connection] + static_cast<double>(number) * period_ns_);
  }
  // When the next request is due that take() has not given out.
  uint64_t next() const { return due(order_[at_], round_); }
  // The connection that it is due on. One connection's requests are given out in turn, whether it is free or not.
  uint32_t take() {
    uint32_t connection = order_[at_];
    if (++at_ == order_.size()) {
      at_ = 0;
      ++round_;
    }
    return connection;
  }

 private:
  double period_ns_;
  std::vector<double> places_;   // by connection, nanoseconds into the period
  std::vector<uint32_t> order_;  // connections by their places
  size_t at_ = 0;                // in order_
  uint64_t round_ = 0;           // periods given out whole
};

}  // namespace weft::load
