// SPDX-License-Identifier: Apache-2.0
// The words of --help.
#include "command_help.h"

namespace weft::inspect {

const char kPsHelp[] =
    R"(Usage: weft ps TARGET [OPTION...]

Lists the coroutines of a program under weft: state, what each waits for and
for how long, running time, switches, stack use, name and top frame. Parked
coroutines are read without stopping anything.

  --where EXPRESSION  only those for which it holds: comparisons of columns
                      with = != < <= > >= ~ !~ (a regular expression),
                      joined by and, or, not and ( )
  --sort COLUMN       in that order; -COLUMN: descending
  -n NUMBER           at most so many
  --columns LIST      which, with commas between: id state wait waits since
                      run longest switches stack stack_size name top start fd
                      peer object owner target left pinned age creator created
                      tid carrier worker generation slot ending in
                      (frame, for --where: any function of the stack)
  --group BY          how many of each state, wait, top or start

Examples:
  weft ps 812 --where 'state=parked and wait=read and since>5s'
  weft ps 812 --where 'frame~^handle_' --sort -since -n 20
  weft ps core.812 --group top
)";

const char kBtHelp[] =
    R"(Usage: weft bt TARGET [ID...] [OPTION...]

Prints the stacks of coroutines: those that are alike once, with how many stand
there, their ids, and for how long. With IDs: these, one by one.

  --each              one by one
  --where EXPRESSION  as in weft ps
  -n NUMBER           at most so many stacks
  --depth NUMBER      at most so many frames of each
  --inline            inlined functions as frames too
  --all-frames        weft's own frames too
  --threads           kernel threads that run no coroutine too
)";

const char kSnapHelp[] =
    R"(Usage: weft snap TARGET -o FILE [OPTION...]

Writes what the other commands would read of TARGET to FILE, which is a TARGET
itself: small, and to be looked at elsewhere or later.

  -o FILE             where to
)";

const char kStatHelp[] =
    R"(Usage: weft stat TARGET [OPTION...]

Prints the counters of a program under weft.

  --prom              as Prometheus reads them: weft_<counter>_total
)";

}  // namespace weft::inspect
