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
                      run longest switches stack high_water stack_size name
                      top start fd peer object owner target left pinned age
                      creator created tid carrier worker generation slot ending
                      in
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

const char kTraceHelp[] =
    R"(Usage: weft trace PID -o FILE [OPTION...]

Records who runs on which worker, what is waited for and what is handed on, and
writes it in the trace format of Chrome: open FILE in ui.perfetto.dev or in
chrome://tracing. The program goes on meanwhile.

  -o FILE             where to
  -d TIME             for so long, 2s by default; Ctrl-C ends it earlier
)";

const char kFlameHelp[] =
    R"(Usage: weft flame TARGET -o FILE [OPTION...]

Draws where the coroutines of a program under weft wait or run.

  -o FILE             where to; without it or with -: the standard output
  --format FORMAT     svg (the default), for any browser: hover, click, search;
                      folded, for flamegraph.pl; speedscope, for its page
  --weight WEIGHT     how wide a stack is: count (coroutines; the default),
                      since (how long they have waited), run (how long they
                      ran)
  --where EXPRESSION  as in weft ps
  --all-frames        weft's own frames too
  --threads           kernel threads that run no coroutine too
)";

const char kLintHelp[] =
    R"(Usage: weft lint TARGET [OPTION...]

Says what is wrong in a program under weft: deadlocks with their circle, locks
whose holder has ended, lost signals, starvation, coroutines that never yield,
stalled workers, full stacks, leaks of coroutines, closed descriptors that are
waited for. Each with its rule, its figures, its threshold, and the stacks. A
live process is looked at twice, a second apart, and not stopped.

  --all-frames        weft's own frames too
  --interval TIME     between the two looks: 1s (the default); never less than
                      --starvation
 Thresholds, in brackets their defaults:
  --starvation TIME   ready without a turn, running without a switch, or a
                      worker stalled, for so long (900ms)
  --stack PERCENT     more of a stack in use (80)
  --unjoined NUMBER   so many of one place have ended and are joined by nobody
                      (100),
  --unjoined-age TIME each made so long ago (60s)
  --piled-up NUMBER   so many of one place wait while more are made (1000),
  --piled-up-age TIME each for so long (60s)
  --mailbox-full TIME a mailbox is full all the time for so long (10s)

Exit status 1: something was found.
)";

const char kTopHelp[] =
    R"(Usage: weft top TARGET [OPTION...]

Shows a program under weft while it runs: switches a second, how busy each
worker is, its queue, what coroutines wait for, and warnings.

  --once              print it once, for scripts; with --json as JSON
  --interval TIME     between two looks: 500ms, 1s (the default)
  --sort COLUMN       as in weft ps; -run is the default
  --where EXPRESSION  as in weft ps
  -n NUMBER           at most so many rows of --once (default 10)

Keys: up, down, page up, page down move; Enter opens the stack, w shows the
warnings, q goes back; s asks for a column to sort by, f for a filter; q quits.
)";

const char kDiffHelp[] =
    R"(Usage: weft diff OLDER NEWER [OPTION...]

Compares two looks at one program, each a snapshot that weft snap wrote, a core
file or the process: coroutines that have not moved, places where more stand
than before, and places that are gone.

  -n NUMBER           at most so many places of each kind (default 20)
  --all-frames        weft's own frames too
)";

}  // namespace weft::inspect
