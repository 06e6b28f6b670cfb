// SPDX-License-Identifier: Apache-2.0
// A client in the style of a textbook: so many threads, each of which resolves a name, connects, sends a request and
// reads the answer to its end, all in blocking calls. It knows nothing of weft.
//
// Usage: fetch THREADS ROUNDS HOST PORT PATH FILE. The body must be FILE's bytes. All threads meet at a barrier after
// resolving and once more when all are connected, so THREADS connections are open at once in every round. Prints
// "resolved", then "fetched N wrong N"; exit status 0 if nothing was wrong.
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <barrier>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Task {
  std::string host, port, path, expected;
  int rounds = 0;
  std::atomic<long> fetched = 0, wrong = 0;
};

int connect_to(const addrinfo* addresses) {
  for (const addrinfo* a = addresses; a != nullptr; a = a->ai_next) {
    int fd = ::socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (fd >= 0 && ::connect(fd, a->ai_addr, a->ai_addrlen) == 0) return fd;
    if (fd >= 0) ::close(fd);
  }
  return -1;
}

std::string fetch(int fd, const Task& task) {
  std::string request = "GET " + task.path + " HTTP/1.1\r\nHost: " + task.host + "\r\nConnection: close\r\n\r\n";
  for (size_t sent = 0; sent < request.size();) {
    ssize_t count = ::write(fd, request.data() + sent, request.size() - sent);
    if (count <= 0) return {};
    sent += static_cast<size_t>(count);
  }
  std::string answer;
  char buffer[4096];
  for (ssize_t count; (count = ::read(fd, buffer, sizeof buffer)) > 0;) {
    answer.append(buffer, static_cast<size_t>(count));
  }
  size_t head = answer.find("\r\n\r\n");
  if (answer.compare(0, 12, "HTTP/1.1 200") != 0 || head == std::string::npos) return {};
  return answer.substr(head + 4);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    fputs("usage: fetch THREADS ROUNDS HOST PORT PATH FILE\n", stderr);
    return 2;
  }
  Task task;
  int count = atoi(argv[1]);
  task.rounds = atoi(argv[2]);
  task.host = argv[3];
  task.port = argv[4];
  task.path = argv[5];
  std::ifstream file(argv[6], std::ios::binary);
  task.expected.assign(std::istreambuf_iterator<char>(file), {});

  std::barrier resolved(count, []() noexcept {
    puts("resolved");
    fflush(stdout);
  });
  std::barrier connected(count);
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&task, &resolved, &connected] {
      addrinfo hints = {}, *addresses = nullptr;
      hints.ai_family = AF_INET;
      hints.ai_socktype = SOCK_STREAM;
      bool known = ::getaddrinfo(task.host.c_str(), task.port.c_str(), &hints, &addresses) == 0;
      resolved.arrive_and_wait();
      for (int round = 0; round < task.rounds; ++round) {
        int fd = known ? connect_to(addresses) : -1;
        connected.arrive_and_wait();
        bool right = fd >= 0 && fetch(fd, task) == task.expected;
        ++(right ? task.fetched : task.wrong);
        if (fd >= 0) ::close(fd);
      }
      if (known) ::freeaddrinfo(addresses);
    });
  }
  for (std::thread& thread : threads) thread.join();
  printf("fetched %ld wrong %ld\n", task.fetched.load(), task.wrong.load());
  return task.wrong == 0 ? 0 : 1;
}
