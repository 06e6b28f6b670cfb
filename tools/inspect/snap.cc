// SPDX-License-Identifier: Apache-2.0
// weft snap: everything that the other commands would read of a target, read once and written to a file.
#include <cstdio>
#include <cstring>

#include "command_help.h"
#include "commands.h"
#include "failure.h"
#include "json_output.h"
#include "look.h"
#include "number_text.h"
#include "options.h"
#include "snapshot.h"
#include "stack_use.h"
#include "wait_object.h"

namespace weft::inspect {

namespace {

// What was not seen to hold still is to be taken for running, not for what its slot said at some moment or other.
void mark_unsettled(const Look& look, Recorder& recorder) {
  for (const StackCopy& copy : look.stacks().copies) {
    if (copy.ending != Ending::moving && copy.ending != Ending::partial) continue;
    if (copy.coroutine.id == 0) continue;
    const uint32_t odd = copy.coroutine.sequence | 1;
    recorder.amend(look.runtime().sequence_address(copy.coroutine), {(const char*)&odd, sizeof odd});
  }
}

// Above a coroutine's first frame lie its thread-local variables, which nobody asks for: more than the frames themselves.
void leave_out_thread_locals(const Look& look, Recorder& recorder) {
  for (const StackCopy& copy : look.stacks().copies) {
    if (copy.coroutine.id != 0 && copy.end > copy.low) recorder.forget(copy.end, copy.low + copy.size);
  }
}

}  // namespace

int snap(int count, char** words) {
  Options options;
  const std::vector<Flag> flags = {
      {"-o", "FILE", [&](const std::string& word) { options.output = word; }},
  };
  if (!parse_options(count, words, kSnapHelp, flags, &options)) return kFine;
  if (options.output.empty()) throw Failure(kUsage, "weft snap needs -o FILE.");
  if (!options.operands.empty())
    throw Failure(kUsage, "weft snap takes one TARGET; '{}' is too much.", options.operands[0]);

  options.symbols.lines = false;
  auto owned = std::make_unique<Recorder>(open_target(options.target, options.where));
  Recorder& recorder = *owned;
  Look look(std::move(owned), options);
  options.threads = true;
  CopyOptions copy = copy_options(options);
  copy.stay_stopped = true;
  look.take(copy);
  look.unwind();
  for (uint32_t i = 0; i < look.stacks().copies.size(); i++) {
    if (look.stacks().copies[i].coroutine.id == 0) continue;
    waited_for(look, i);
    stack_reached(look, look.stacks().copies[i]);
  }
  look.runtime().workers();
  look.runtime().counters();
  look.runtime().is_active();
  look.runtime().clock();
  look.runtime().monitor_tid();
  look.target().resume_all();
  mark_unsettled(look, recorder);
  leave_out_thread_locals(look, recorder);
  const uint64_t size = recorder.write(options.output, look.stacks().coherent);
  if (options.json) {
    Json json = begin_json(look, "snap");
    json["file"] = options.output;
    json["size"] = size;
    print(json);
  } else {
    printf("%s\n%s: %s bytes\n", summary_line(look).c_str(), options.output.c_str(), with_commas(size).c_str());
  }
  return look.status(options.strict);
}

}  // namespace weft::inspect
