// SPDX-License-Identifier: Apache-2.0
// Whole commands on damaged data: the input is a snapshot's file, whose minor version, which no reader minds, says which command is run.
// Reached so: names, waits and their owners, rows, JSON, the rules of lint, graphs.
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "harness.h"
#include "tools/inspect/commands.h"
#include "tools/inspect/snapshot_format.h"

using namespace weft;

namespace {

constexpr const char* kEverything =
    "id,state,wait,waits,since,run,longest,switches,stack,stack_size,name,top,frame,start,fd,peer,object,owner,target,"
    "left,pinned,age,"
    "creator,created,tid,carrier,worker,generation,slot,ending,in";

// TARGET stands for the snapshot.
const std::vector<const char*> kCommands[] = {
    {"ps", "TARGET", "--columns", kEverything, "--sort=-since"},
    {"ps", "TARGET", "--json"},
    {"ps", "TARGET", "--group", "wait", "--where", "since>1s or name~^r or not frame=x"},
    {"bt", "TARGET", "--json", "--threads", "--inline"},
    {"bt", "TARGET", "--each", "--all-frames", "--threads", "--unwinder=libdw"},
    {"lint", "TARGET"},
    {"lint", "TARGET", "--json"},
    {"flame", "TARGET", "-o", "/dev/null", "--weight", "since"},
    {"flame", "TARGET", "--format", "speedscope", "-o", "/dev/null"},
    {"stat", "TARGET"},
    {"stat", "TARGET", "--prom"},
    {"lint", "TARGET", "--unwinder=libdw"},
    {"diff", "TARGET", "TARGET"},
    {"snap", "TARGET", "-o", "/dev/null"},
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  inspect::SnapshotHeader header;
  if (size < sizeof header) return 0;
  memcpy(&header, data, sizeof header);
  fuzz::set_module_file(fuzz::small_target());
  const int fd = fuzz::memory_file({data, size});
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  std::vector<std::string> words;
  for (const char* word : kCommands[header.minor % std::size(kCommands)])
    words.emplace_back(strcmp(word, "TARGET") == 0 ? path : word);
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  fuzz::attempt([&] { inspect::find_command(words[0])->run((int)pointers.size(), pointers.data()); });
  close(fd);
  return 0;
}
