// SPDX-License-Identifier: Apache-2.0
// A web server on libmicrohttpd with a thread for each connection. It knows nothing of weft.
//
// Usage: microhttpd_server PAGE LARGE [poll]   Its threads wait in select, which knows no more than 1,000 connections, or in poll.
//                                         GET /page.txt and /large.bin are the two files, the latter given piece by piece;
//                                         /later the page after 100 ms; POST /upper gives back what it was sent in upper case.
// Prints "port N". A SIGTERM or SIGINT stops the daemon, which ends all connections; then "answered N", and status 0.
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

namespace {

std::string page, large;
std::atomic<long> answered = 0;

ssize_t piece_of_large(void*, uint64_t at, char* buffer, size_t room) {
  size_t size = std::min({room, large.size() - static_cast<size_t>(at), size_t{30'000}});
  memcpy(buffer, large.data() + at, size);
  return size == 0 ? MHD_CONTENT_READER_END_OF_STREAM : static_cast<ssize_t>(size);
}

MHD_Result send(MHD_Connection* connection, unsigned status, MHD_Response* response) {
  MHD_Result result = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response);
  ++answered;
  return result;
}

MHD_Response* lasting(std::string& text) {
  return MHD_create_response_from_buffer(text.size(), text.data(), MHD_RESPMEM_PERSISTENT);
}

MHD_Result answer(void*, MHD_Connection* connection, const char* url, const char* method, const char*, const char* data,
                  size_t* size, void** own) {
  if (*own == nullptr) {
    *own = new std::string;
    return MHD_YES;
  }
  auto& body = *static_cast<std::string*>(*own);
  if (*size != 0) {
    for (size_t i = 0; i < *size; ++i) body += static_cast<char>(toupper(data[i]));
    *size = 0;
    return MHD_YES;
  }
  if (strcmp(method, "POST") == 0 && strcmp(url, "/upper") == 0) {
    return send(connection, 200, MHD_create_response_from_buffer(body.size(), body.data(), MHD_RESPMEM_MUST_COPY));
  }
  if (strcmp(url, "/large.bin") == 0) {
    return send(connection, 200,
                MHD_create_response_from_callback(large.size(), 65536, piece_of_large, nullptr, nullptr));
  }
  if (strcmp(url, "/later") == 0) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  if (strcmp(url, "/page.txt") == 0 || strcmp(url, "/later") == 0) return send(connection, 200, lasting(page));
  return send(connection, 404, MHD_create_response_from_buffer(0, nullptr, MHD_RESPMEM_PERSISTENT));
}

void completed(void*, MHD_Connection*, void** own, MHD_RequestTerminationCode) {
  delete static_cast<std::string*>(*own);
}

std::string file(const char* path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

int main(int argc, char** argv) {
  bool poll = argc == 4 && strcmp(argv[3], "poll") == 0;
  if (argc != 3 && !poll) {
    fputs("usage: microhttpd_server PAGE LARGE [poll]\n", stderr);
    return 2;
  }
  page = file(argv[1]);
  large = file(argv[2]);
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  MHD_Daemon* daemon =
      MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | (poll ? MHD_USE_POLL : 0), 0,
                       nullptr, nullptr, answer, nullptr, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED,
                       completed, nullptr, MHD_OPTION_CONNECTION_LIMIT, poll ? 19000u : 1000u,
                       MHD_OPTION_LISTEN_BACKLOG_SIZE, poll ? 4096u : 1024u, MHD_OPTION_END);
  if (daemon == nullptr) return 1;
  printf("port %u\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
  fflush(stdout);
  int number = 0;
  sigwait(&ends, &number);
  MHD_stop_daemon(daemon);
  printf("answered %ld\n", answered.load());
  return 0;
}
