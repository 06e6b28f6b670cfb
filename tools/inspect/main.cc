// SPDX-License-Identifier: Apache-2.0
// weft-inspect's entry: the first word is the command. weft executes it; users type `weft ps`.
#include <cstdio>
#include <new>
#include <string>

#include <unistd.h>

#include "commands.h"
#include "failure.h"
#include "plain_output.h"

namespace weft::inspect {

namespace {

int run(int count, char** words) {
  if (count < 2 || find_command(words[1]) == nullptr)
    throw Failure(kUsage, "weft-inspect has no command '{}'; it has {}.", count < 2 ? "" : words[1], command_names());
  const int status = find_command(words[1])->run(count - 1, words + 1);
  if (fflush(stdout) != 0) throw Failure(kNoTarget, "what was found could not be written.");
  return status;
}

}  // namespace
}  // namespace weft::inspect

int main(int count, char** words) {
  using namespace weft::inspect;
  try {
    make_output_plain();
    return run(count, words);
  } catch (const Failure& failure) {
    fflush(stdout);
    warn(failure.what());
    return failure.exit();
  } catch (const std::bad_alloc&) {
    warn("there is not enough memory.");
  } catch (const std::exception& error) {
    warn(error.what());
  }
  return kNoTarget;
}
