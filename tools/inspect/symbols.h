// SPDX-License-Identifier: Apache-2.0
// Names for addresses: function, file and line, inlined functions, with split debug info by build-id. Asked for only what is printed, and
// remembered: a pc in a big unit costs a third of a millisecond.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "target.h"
#include "unwind.h"

namespace weft::inspect {

struct Location {
  std::string function;  // demangled, "" not known
  std::string file;      // "" not known
  unsigned line = 0;
  bool inlined = false;  // into the one that follows
};

struct Named {
  uint64_t pc = 0;
  const Module* module = nullptr;
  uint64_t offset = 0;                                           // of the pc in the module's file addresses
  std::vector<Location> locations;                               // innermost first; never empty
  const Location& function() const { return locations.back(); }  // the one that has the frame
};

struct SymbolOptions {
  std::string debug_dir;
  bool lines = true;
  bool debuginfod = false;  // the network is asked only where the user wants it
};

class Symbols {
 public:
  Symbols(Target& target, SymbolOptions options);
  ~Symbols();

  const Named& at(const Frame& frame);            // by pc - 1 unless it is exact
  const Named& at(uint64_t address, bool exact);  // of a function, a start routine: exact
  // "function", or "module+0x1234" where there is no name.
  std::string text(const Named& named) const;
  std::string short_text(const Named& named) const;  // without arguments of functions

 private:
  struct Implementation;
  std::unique_ptr<Implementation> own_;
};

// "ns::f(int, char)" to "ns::f": arguments, and " const" behind them, cut off; those of templates stay.
std::string without_arguments(const std::string& function);

}  // namespace weft::inspect
