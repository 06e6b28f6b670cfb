// SPDX-License-Identifier: Apache-2.0
// /proc/PID/net/{tcp,tcp6,udp,udp6,unix}, one socket a line. These are the target's namespace's, whoever reads them.
#include "sockets.h"

#include <arpa/inet.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "monotonic_clock.h"

namespace weft::inspect {

namespace {

// "0100007F:1F90", or 32 digits: words of the machine's byte order, each in network order.
std::string address_text(const std::string& word) {
  const size_t colon = word.find(':');
  if (colon != 8 && colon != 32) return {};
  uint32_t words[4] = {};
  for (size_t i = 0; i < colon / 8; i++) words[i] = (uint32_t)strtoul(word.substr(i * 8, 8).c_str(), nullptr, 16);
  const unsigned port = (unsigned)strtoul(word.c_str() + colon + 1, nullptr, 16);
  char text[INET6_ADDRSTRLEN];
  if (colon == 8) return fmt::format("{}:{}", inet_ntop(AF_INET, words, text, sizeof text), port);
  // A v4 address in v6 clothes is shown as what it is.
  if (words[0] == 0 && words[1] == 0 && words[2] == htonl(0xffff))
    return fmt::format("{}:{}", inet_ntop(AF_INET, &words[3], text, sizeof text), port);
  return fmt::format("[{}]:{}", inet_ntop(AF_INET6, words, text, sizeof text), port);
}

}  // namespace

void Sockets::read_internet(const char* table) {
  std::ifstream file(fmt::format("/proc/{}/net/{}", pid_, table));
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    char local[64], peer[64];
    unsigned state;
    unsigned long inode;
    if (sscanf(line.c_str(), " %*d: %63s %63s %x %*s %*s %*s %*u %*d %lu", local, peer, &state, &inode) != 4) continue;
    Descriptor& socket = by_inode_[inode];
    socket.kind = table;
    socket.local = address_text(local);
    constexpr unsigned kListening = 10;
    const bool connected = strchr(peer, ':') != nullptr && strcmp(strchr(peer, ':'), ":0000") != 0;
    if (state == kListening) {
      socket.peer = "listening on " + socket.local;
    } else if (connected) {
      socket.peer = address_text(peer);
    }
  }
}

void Sockets::read_unix() {
  std::ifstream file(fmt::format("/proc/{}/net/unix", pid_));
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    unsigned long inode;
    int path = 0;
    if (sscanf(line.c_str(), "%*x: %*x %*x %*x %*x %*x %lu %n", &inode, &path) != 1) continue;
    Descriptor& socket = by_inode_[inode];
    socket.kind = "unix";
    if (path > 0 && (size_t)path < line.size()) socket.local = line.substr((size_t)path);
  }
}

void Sockets::describe(uint64_t inode, Descriptor* to) {
  constexpr uint64_t kFresh = 500'000'000;  // a list of thousands is made within
  if (read_at_ == 0 || monotonic_now() - read_at_ > kFresh) {
    by_inode_.clear();
    for (const char* table : {"tcp", "tcp6", "udp", "udp6"}) read_internet(table);
    read_unix();
    read_at_ = monotonic_now();
  }
  auto found = by_inode_.find(inode);
  to->kind = found == by_inode_.end() ? "socket" : found->second.kind;
  if (found == by_inode_.end()) return;
  to->local = found->second.local;
  to->peer = found->second.peer;
}

}  // namespace weft::inspect
