// SPDX-License-Identifier: Apache-2.0
// Streams of the C++ library in threads: a line server over a socket streambuf, files, formatting, and a shared cout.
#include "socket_pairs.h"

#include <fstream>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <streambuf>
#include <string>
#include <thread>
#include <vector>

namespace {

class SocketBuffer : public std::streambuf {
 public:
  explicit SocketBuffer(int fd) : fd_(fd) { setp(out_, out_ + sizeof out_); }
  ~SocketBuffer() override {
    sync();
    close(fd_);
  }

 protected:
  int_type underflow() override {
    ssize_t got = read(fd_, in_, sizeof in_);
    if (got <= 0) return traits_type::eof();
    setg(in_, in_, in_ + got);
    return traits_type::to_int_type(*gptr());
  }
  int sync() override {
    for (const char* from = pbase(); from < pptr();) {
      ssize_t wrote = write(fd_, from, static_cast<size_t>(pptr() - from));
      if (wrote <= 0) return -1;
      from += wrote;
    }
    setp(out_, out_ + sizeof out_);
    return 0;
  }
  int_type overflow(int_type value) override {
    if (sync() != 0) return traits_type::eof();
    return sputc(traits_type::to_char_type(value));
  }

 private:
  int fd_;
  char in_[128], out_[128];
};

void serve(int fd) {
  SocketBuffer buffer(fd);
  std::iostream stream(&buffer);
  std::string line;
  int number = 0;
  while (std::getline(stream, line))
    stream << std::setw(3) << ++number << ": " << line << " [" << line.size() << "]" << std::endl;
}

std::string converse(int fd, int which) {
  SocketBuffer buffer(fd);
  std::iostream stream(&buffer);
  std::string line, last;
  for (int i = 0; i < 20; i++) {
    stream << "client " << which << " says " << std::hex << i * 1000 << std::dec << " and " << 1.5 * i << '\n'
           << std::flush;
    std::getline(stream, line);
    last = line;
  }
  return last;
}

}  // namespace

int main() {
  enum { kClients = 20 };
  std::vector<std::thread> threads;
  std::vector<std::string> last(kClients);
  for (int i = 0; i < kClients; i++) {
    int pair[2];
    if (i % 2 == 0)
      tcp_pair(pair);
    else
      unix_pair(SOCK_STREAM, pair);
    threads.emplace_back(serve, pair[0]);
    threads.emplace_back([i, fd = pair[1], &last] { last[static_cast<size_t>(i)] = converse(fd, i); });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& line : last) std::cout << line << '\n';

  threads.clear();
  for (int i = 0; i < 8; i++) {
    threads.emplace_back([i] {
      std::string name = "file" + std::to_string(i);
      {
        std::ofstream out(name);
        for (int k = 0; k < 100; k++) out << k << ' ' << i << '\n';
      }
      std::ifstream in(name);
      long sum = 0;
      for (int a, b; in >> a >> b;) sum += a * b;
      CHECK(sum == 4950L * i);
      std::ostringstream text;
      text.imbue(std::locale::classic());
      text << std::setprecision(3) << 3.14159 * i;
      CHECK(!text.str().empty());
    });
  }
  for (auto& thread : threads) thread.join();
  std::thread([] { std::cout << "written by a thread" << std::endl; }).join();
  std::cerr << "and to the error stream" << std::endl;
  return finish();
}
