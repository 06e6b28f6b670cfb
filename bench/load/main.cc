// SPDX-License-Identifier: Apache-2.0
// weft_load: a bounded client, closed-loop or open-loop, that compares every byte and prints one line of key=value figures.
//
// Exit status: 0 all answers right, 1 some were not or none came, 2 wrong usage or no means.
#include <sys/resource.h>

#include <csignal>

#include "driver.h"
#include "options.h"

int main(int argc, char** argv) {
  weft::load::Options options;
  if (!weft::load::parse_options(argc, argv, &options)) return 2;
  ::signal(SIGPIPE, SIG_IGN);
  rlimit files;
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  weft::load::Driver driver(options);
  if (!driver.run()) return 2;
  driver.report().print();
  return driver.report().errors() == 0 && driver.report().exchanged > 0 ? 0 : 1;
}
