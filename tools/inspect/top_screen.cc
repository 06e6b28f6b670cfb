// SPDX-License-Identifier: Apache-2.0
// The terminal of weft top: figures, the table under them, and a pager for a stack or the warnings. Between two looks only keys are waited
// for, so the target costs the same whether somebody types or not; stacks are unwound of the rows that show.
#include "top_screen.h"

#include <algorithm>
#include <clocale>

// Its macros have the names of too many functions.
#define NCURSES_NOMACROS
#include <ncurses.h>

#include <fmt/format.h>

#include "failure.h"
#include "frame_text.h"
#include "plain_output.h"
#include "top_figures.h"

namespace weft::inspect {
namespace {

const std::vector<std::string> kColumns = {"id", "state", "waits", "since", "run", "switches", "stack", "name", "top"};
constexpr size_t kWidths[] = {7, 8, 34, 7, 7, 9, 7, 15, 0};
constexpr size_t kWaits = 2;  // the column that grows with the room there is
constexpr size_t kTopRoom = 28;
constexpr int kEscape = 27;

std::string fitted(const std::string& words, size_t width) {
  if (width == 0) return words;
  return words.size() > width ? words.substr(0, width - 1) + "~" : words + std::string(width - words.size(), ' ');
}

class Terminal {
 public:
  Terminal() {
    setlocale(LC_CTYPE, "");
    if (newterm(nullptr, terminal_output(), stdin) == nullptr)
      throw Failure(kUsage, "this terminal is not one that weft top can draw on; --once does without.");
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    set_escdelay(25);
    curs_set(0);
  }
  ~Terminal() { endwin(); }
};

void put(int y, const std::string& words, attr_t attributes = A_NORMAL) {
  attrset(attributes);
  mvaddnstr(y, 0, words.c_str(), COLS);
  attrset(A_NORMAL);
}

class Screen {
 public:
  Screen(Look& look, Options options, std::chrono::nanoseconds interval)
      : look_(look), options_(std::move(options)), interval_(interval), watch_(look) {}

  void run() {
    using Clock = std::chrono::steady_clock;
    figures_ = watch_.next(options_.stop);
    Clock::time_point due = Clock::now() + interval_;
    for (;;) {
      draw();
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(due - Clock::now());
      timeout((int)std::max<int64_t>(0, left.count()));
      const int key = getch();
      if (key == ERR) {
        figures_ = watch_.next(options_.stop);
        due = Clock::now() + interval_;
      } else if (!act(key)) {
        return;
      }
    }
  }

 private:
  static size_t waits_room() {
    size_t others = kTopRoom;
    for (size_t i = 0; i < kColumns.size(); i++) others += (i == kWaits ? 0 : kWidths[i]) + 2;
    return std::max(kWidths[kWaits], (size_t)COLS - std::min((size_t)COLS, others));
  }
  int room() const { return std::max(1, LINES - (int)head_.size() - 2); }

  void draw() {
    erase();
    head_ = lines_of(figures_, look_);
    // Few lines: the table matters more than the twentieth worker.
    const size_t most = std::max<size_t>(3, (size_t)LINES / 2);
    if (head_.size() > most) head_.resize(most);
    int y = 0;
    for (const std::string& line : head_) put(y++, line);
    Rows rows(look_);
    Options all = options_;
    all.limit = -1;
    if (uses_stacks()) look_.unwind();
    chosen_ = rows.select(all);
    selected_ = chosen_.empty() ? 0 : std::min(selected_, chosen_.size() - 1);
    first_ = std::min(first_, selected_);
    if (selected_ >= first_ + (size_t)room()) first_ = selected_ - (size_t)room() + 1;
    const size_t end = std::min(chosen_.size(), first_ + (size_t)room());
    const std::vector<uint32_t> shown(chosen_.begin() + (long)first_, chosen_.begin() + (long)end);
    if (!uses_stacks() && !shown.empty()) look_.unwind(shown);
    const std::vector<std::string> table = table_of(rows, shown, waits_room());
    put(y++, table[0] + std::string((size_t)COLS, ' '), A_REVERSE);
    for (size_t i = 1; i < table.size(); i++)
      put(y++, table[i], first_ + i - 1 == selected_ ? A_BOLD | A_UNDERLINE : A_NORMAL);
    std::string foot = message_.empty()
                           ? fmt::format("sort {}{}   Enter stack  s sort  f filter  w warnings  q quit", options_.sort,
                                         options_.filter.empty() ? "" : "   filter " + options_.filter)
                           : message_;
    put(LINES - 1, foot, A_DIM);
    refresh();
  }

  bool uses_stacks() const {
    const std::string by = options_.sort.substr(!options_.sort.empty() && options_.sort[0] == '-' ? 1 : 0);
    if (Rows::needs_stack(by)) return true;
    return !options_.filter.empty() &&
           std::any_of(Rows::names().begin(), Rows::names().end(), [&](const std::string& name) {
             return Rows::needs_stack(name) && options_.filter.find(name) != std::string::npos;
           });
  }

  // False: the user quits.
  bool act(int key) {
    message_.clear();
    switch (key) {
      case 'q':
        return false;
      case KEY_UP:
      case 'k':
        selected_ -= selected_ > 0;
        break;
      case KEY_DOWN:
      case 'j':
        selected_++;
        break;
      case KEY_PPAGE:
        selected_ -= std::min(selected_, (size_t)room());
        break;
      case KEY_NPAGE:
        selected_ += (size_t)room();
        break;
      case KEY_HOME:
        selected_ = 0;
        break;
      case '\n':
      case KEY_ENTER:
        if (selected_ < chosen_.size()) page(stack_lines(chosen_[selected_]));
        break;
      case 's':
        change("sort by (-column: descending): ", &options_.sort,
               [](const std::string& word) { Rows::check(word.substr(word[0] == '-' ? 1 : 0), "sort"); });
        break;
      case 'f':
        change("filter (empty: none): ", &options_.filter,
               [](const std::string& word) { Filter::parse(word, Rows::names()); });
        break;
      case 'w':
        page(warning_lines());
        break;
      default:
        break;
    }
    return true;
  }

  // Asks for a new value; a wrong one is said and changes nothing.
  void change(const char* question, std::string* value, void (*check)(const std::string&)) {
    char words[256] = "";
    move(LINES - 1, 0);
    clrtoeol();
    addstr(question);
    echo();
    curs_set(1);
    timeout(-1);
    const int got = getnstr(words, sizeof words - 1);
    noecho();
    curs_set(0);
    if (got == ERR) return;
    try {
      if (*words != '\0') check(words);
      *value = words;
      selected_ = first_ = 0;
    } catch (const Failure& failure) {
      message_ = failure.what();
    }
  }

  std::vector<std::string> stack_lines(uint32_t index) {
    look_.unwind({index});
    Rows rows(look_);
    std::vector<std::string> lines = {
        fmt::format("coroutine {} \"{}\", {} {}", rows.cell(index, "id"), rows.cell(index, "name"),
                    rows.cell(index, "state"), rows.cell(index, "waits")),
        ""};
    if (const Group* group = look_.group_of(index))
      for (std::string& line : frame_lines(look_, group->trace, options_.all_frames))
        lines.push_back("  " + std::move(line));
    return lines;
  }

  std::vector<std::string> warning_lines() const {
    std::vector<std::string> lines = {"warnings; weft lint says more", ""};
    for (const LintFinding& finding : figures_.warnings) lines.push_back(finding.rule + ": " + finding.text);
    if (figures_.warnings.empty()) lines.push_back("none");
    return lines;
  }

  void page(const std::vector<std::string>& lines) {
    size_t first = 0;
    const size_t height = (size_t)std::max(1, LINES - 1);
    const size_t last = lines.size() > height ? lines.size() - height : 0;
    timeout(-1);
    for (;;) {
      erase();
      for (size_t i = first; i < lines.size() && i < first + height; i++) put((int)(i - first), lines[i]);
      put(LINES - 1, "q goes back", A_DIM);
      refresh();
      switch (getch()) {
        case KEY_UP:
        case 'k':
          first -= first > 0;
          break;
        case KEY_DOWN:
        case 'j':
          first = std::min(first + 1, last);
          break;
        case KEY_PPAGE:
          first -= std::min(first, height);
          break;
        case KEY_NPAGE:
          first = std::min(first + height, last);
          break;
        case 'q':
        case kEscape:
        case '\n':
        case ERR:
          return;
        default:
          break;
      }
    }
  }

  Look& look_;
  Options options_;
  const std::chrono::nanoseconds interval_;
  TopWatch watch_;
  TopFigures figures_;
  std::vector<std::string> head_;
  std::vector<uint32_t> chosen_;
  size_t selected_ = 0, first_ = 0;  // in chosen_
  std::string message_;
};

}  // namespace

std::vector<std::string> table_of(Rows& rows, const std::vector<uint32_t>& chosen, size_t waits_room) {
  size_t widths[std::size(kWidths)];
  std::copy(std::begin(kWidths), std::end(kWidths), widths);
  if (waits_room == 0) {
    for (uint32_t index : chosen) widths[kWaits] = std::max(widths[kWaits], rows.cell(index, kColumns[kWaits]).size());
  } else {
    widths[kWaits] = waits_room;
  }
  std::vector<std::string> lines;
  std::string head;
  for (size_t i = 0; i < kColumns.size(); i++) {
    std::string name = kColumns[i];
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return (char)toupper(c); });
    head += fitted(name, widths[i]) + "  ";
  }
  lines.push_back(head);
  for (uint32_t index : chosen) {
    std::string line;
    for (size_t i = 0; i < kColumns.size(); i++) line += fitted(rows.cell(index, kColumns[i]), widths[i]) + "  ";
    lines.push_back(line);
  }
  for (std::string& line : lines) line.erase(line.find_last_not_of(' ') + 1);
  return lines;
}

void run_screen(Look& look, Options options, std::chrono::nanoseconds interval) {
  Terminal terminal;
  Screen(look, std::move(options), interval).run();
}

}  // namespace weft::inspect
