// SPDX-License-Identifier: Apache-2.0
// A C++ server in the style of a textbook: std::thread for each connection, iostream over the socket, a mutex and a
// condition variable around what the connections share. It speaks HTTP/1.1 and knows nothing of weft.
//
//   GET /page      a fixed text, read from the file named on the command line
//   GET /upper/X   X in capitals, worked out by string streams and an algorithm, with a thread_local buffer
//   GET /total     how many requests were answered before this one
// At most kPlaces requests are worked on at once; the others wait on the condition variable. SIGTERM and SIGINT end it:
// every connection is shut down, every thread joined, and the total printed.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <list>
#include <mutex>
#include <sstream>
#include <streambuf>
#include <string>
#include <thread>

namespace {

constexpr int kPlaces = 32;

class SocketBuffer : public std::streambuf {
 public:
  explicit SocketBuffer(int fd) : fd_(fd) { setp(out_.data(), out_.data() + out_.size()); }

 protected:
  int_type underflow() override {
    ssize_t got = ::recv(fd_, in_.data(), in_.size(), 0);
    if (got <= 0) return traits_type::eof();
    setg(in_.data(), in_.data(), in_.data() + got);
    return traits_type::to_int_type(*gptr());
  }
  int_type overflow(int_type next) override {
    if (sync() != 0) return traits_type::eof();
    if (!traits_type::eq_int_type(next, traits_type::eof())) sputc(traits_type::to_char_type(next));
    return traits_type::not_eof(next);
  }
  int sync() override {
    for (const char* from = pbase(); from < pptr();) {
      ssize_t sent = ::send(fd_, from, static_cast<size_t>(pptr() - from), MSG_NOSIGNAL);
      if (sent <= 0) return -1;
      from += sent;
    }
    setp(out_.data(), out_.data() + out_.size());
    return 0;
  }

 private:
  const int fd_;
  std::array<char, 2048> in_;
  std::array<char, 2048> out_;
};

// What all connections share.
class Service {
 public:
  explicit Service(std::string page) : page_(std::move(page)) {}

  std::string answer(const std::string& path) {
    Place place(*this);
    if (path == "/page") return page_;
    if (path == "/total") return std::to_string(place.before);
    if (path.rfind("/upper/", 0) == 0) return upper(path.substr(7));
    return {};
  }
  long answered() {
    std::lock_guard<std::mutex> guard(lock_);
    return answered_;
  }

 private:
  // A request holds one of the places while it is worked on.
  struct Place {
    explicit Place(Service& s) : service(s) {
      std::unique_lock<std::mutex> guard(service.lock_);
      service.free_.wait(guard, [this] { return service.places_ > 0; });
      --service.places_;
      before = service.answered_++;
    }
    ~Place() {
      std::lock_guard<std::mutex> guard(service.lock_);
      ++service.places_;
      service.free_.notify_one();
    }
    Service& service;
    long before = 0;
  };

  static std::string upper(const std::string& text) {
    thread_local std::ostringstream scratch;
    scratch.str({});
    std::transform(text.begin(), text.end(), std::ostream_iterator<char>(scratch),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return scratch.str();
  }

  const std::string page_;
  std::mutex lock_;
  std::condition_variable free_;
  int places_ = kPlaces;  // guarded by lock_
  long answered_ = 0;     // guarded by lock_
};

void serve(int fd, Service& service) {
  SocketBuffer buffer(fd);
  std::iostream stream(&buffer);
  std::string method, path, version, line;
  while (stream >> method >> path >> version && std::getline(stream, line)) {
    while (std::getline(stream, line) && line != "\r") {
    }
    std::string body = service.answer(path);
    stream << "HTTP/1.1 " << (body.empty() ? "404 Not Found" : "200 OK") << "\r\nContent-Length: " << body.size()
           << "\r\n\r\n"
           << body << std::flush;
    if (!stream) break;
  }
}

// A connection and its thread; the descriptor stays open until the thread is joined, so shutting it down is never late.
struct Connection {
  Connection(int f, Service& service)
      : fd(f), thread([this, &service] {
          serve(fd, service);
          std::lock_guard<std::mutex> guard(lock);
          over = true;
          ::shutdown(fd, SHUT_RDWR);
        }) {}
  ~Connection() {
    ::shutdown(fd, SHUT_RDWR);
    thread.join();
    ::close(fd);
  }
  bool is_over() {
    std::lock_guard<std::mutex> guard(lock);
    return over;
  }
  const int fd;
  std::mutex lock;
  bool over = false;  // guarded by lock
  std::thread thread;
};

int wake_pipe[2];
void on_signal(int) { [[maybe_unused]] ssize_t written = ::write(wake_pipe[1], "", 1); }

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: iostream_server FILE\n";
    return 2;
  }
  std::ifstream file(argv[1]);
  Service service(std::string(std::istreambuf_iterator<char>(file), {}));
  if (::pipe(wake_pipe) != 0) return 1;
  struct sigaction action = {};
  action.sa_handler = on_signal;
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);

  int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener, 4096) != 0) return 1;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  std::cout << "port " << ntohs(address.sin_port) << std::endl;

  std::list<Connection> connections;
  pollfd watched[2] = {{listener, POLLIN, 0}, {wake_pipe[0], POLLIN, 0}};
  for (;;) {
    int ready = ::poll(watched, 2, -1);
    if (ready > 0 && watched[1].revents != 0) break;
    if (ready <= 0 || watched[0].revents == 0) continue;
    int fd = ::accept(listener, nullptr, nullptr);
    if (fd < 0) continue;
    int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections.remove_if([](Connection& connection) { return connection.is_over(); });
    connections.emplace_back(fd, service);
  }
  connections.clear();
  std::cout << "answered " << service.answered() << std::endl;
  return 0;
}
