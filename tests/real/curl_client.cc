// SPDX-License-Identifier: Apache-2.0
// A client over libcurl's easy interface, a handle each thread, which keeps its connection. It knows nothing of weft.
//
// Usage: curl_client THREADS ROUNDS URL PAGE LARGE SILENT     URL/page.txt must be the file PAGE, URL/large.bin the file LARGE,
//                                                             URL/none is not there; port SILENT listens and never answers
#include <curl/curl.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "crowd.h"

namespace {

std::string file(const char* path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

size_t keep(char* data, size_t, size_t size, void* to) {
  static_cast<std::string*>(to)->append(data, size);
  return size;
}

struct Answer {
  CURLcode result;
  long status;
  std::string body;
};

Answer get(CURL* handle, const std::string& url, long milliseconds = 0) {
  Answer answer = {};
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, milliseconds);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, keep);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &answer.body);
  answer.result = curl_easy_perform(handle);
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &answer.status);
  return answer;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    fputs("usage: curl_client THREADS ROUNDS URL PAGE LARGE SILENT\n", stderr);
    return 2;
  }
  int threads = atoi(argv[1]), rounds = atoi(argv[2]);
  std::string url = argv[3], page = file(argv[4]), large = file(argv[5]);
  std::string silent = std::string("http://127.0.0.1:") + argv[6] + "/";
  curl_global_init(CURL_GLOBAL_ALL);
  Crowd all(threads);
  int status = all.run([&](int number) {
    CURL* handle = curl_easy_init();
    all.meet();
    for (int round = 0; round < rounds; ++round) {
      auto expect = [&](const std::string& target, long wanted, const std::string* body) {
        Answer answer = get(handle, url + target);
        all.judge(answer.result == CURLE_OK && answer.status == wanted && (body == nullptr || answer.body == *body),
                  target + ": " + curl_easy_strerror(answer.result) + ", status " + std::to_string(answer.status) +
                      ", " + std::to_string(answer.body.size()) + " bytes");
      };
      expect("/page.txt", 200, &page);
      expect("/none", 404, nullptr);
      if (number % 10 == round) expect("/large.bin", 200, &large);
      expect("/page.txt", 200, &page);
    }
    if (number % 10 == 0) {
      Answer late = get(handle, silent, 50);
      all.judge(late.result == CURLE_OPERATION_TIMEDOUT,
                std::string("a limit on waiting: ") + curl_easy_strerror(late.result));
    }
    curl_easy_cleanup(handle);
  });
  curl_global_cleanup();
  return status;
}
