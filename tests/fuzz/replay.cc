// SPDX-License-Identifier: Apache-2.0
// Runs a fuzzer's inputs once each, built by any compiler: `replay PATH...`, files and directories of them. Each is named before it is run,
// so that the last name is the one that crashed or never ended.
#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <vector>

extern "C" int LLVMFuzzerInitialize(int*, char***);
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int count, char** words) {
#ifndef __SANITIZE_ADDRESS__
  // An address sanitizer reserves all of it; its own limit stands in ASAN_OPTIONS.
  constexpr rlim_t kMost = 256 << 20;
  const rlimit limit = {kMost, kMost};
  setrlimit(RLIMIT_AS, &limit);
#endif
  std::set<std::filesystem::path> inputs;
  for (int i = 1; i < count; i++) {
    if (std::filesystem::is_regular_file(words[i])) inputs.insert(words[i]);
    if (!std::filesystem::is_directory(words[i])) continue;
    for (const auto& entry : std::filesystem::directory_iterator(words[i])) inputs.insert(entry.path());
  }
  LLVMFuzzerInitialize(&count, &words);
  for (const auto& path : inputs) {
    fprintf(stderr, "%s\n", path.c_str());
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    LLVMFuzzerTestOneInput((const uint8_t*)bytes.data(), bytes.size());
  }
  fprintf(stderr, "%zu inputs\n", inputs.size());
  return inputs.empty() ? 1 : 0;
}
