// SPDX-License-Identifier: Apache-2.0
// Names by libdw: the symbol table (of a stripped file the dynamic one), line tables, and the chain of inlined functions.
#include "symbols.h"

#include <cxxabi.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

#include <cstring>
#include <unordered_map>

#include <fmt/format.h>

#include "dwfl_session.h"

namespace weft::inspect {

namespace {

std::string demangled(const char* name) {
  if (name == nullptr) return {};
  if (strncmp(name, "_Z", 2) != 0 && strncmp(name, "_R", 2) != 0) return name;
  int status = 0;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string result = status == 0 ? text : name;
  free(text);
  return result;
}

std::string function_of(Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  for (unsigned name : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name}) {
    if (dwarf_attr_integrate(die, name, &attribute) != nullptr) return demangled(dwarf_formstring(&attribute));
  }
  const char* plain =
      dwarf_attr_integrate(die, DW_AT_name, &attribute) == nullptr ? nullptr : dwarf_formstring(&attribute);
  return plain == nullptr ? "" : plain;
}

unsigned call_line(Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  Dwarf_Word line = 0;
  if (dwarf_attr(die, DW_AT_call_line, &attribute) != nullptr) dwarf_formudata(&attribute, &line);
  return (unsigned)line;
}

std::string call_file(Dwarf_Die* unit, Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  Dwarf_Word number = 0;
  Dwarf_Files* files = nullptr;
  size_t count = 0;
  if (dwarf_attr(die, DW_AT_call_file, &attribute) == nullptr || dwarf_formudata(&attribute, &number) != 0 ||
      dwarf_getsrcfiles(unit, &files, &count) != 0 || number >= count)
    return {};
  const char* name = dwarf_filesrc(files, number, nullptr, nullptr);
  return name == nullptr ? "" : name;
}

// The unit that has an address. Compilers that write no table of ranges are asked unit by unit.
Dwarf_Die* unit_at(Dwfl_Module* module, uint64_t address, Dwarf_Addr* bias) {
  Dwarf_Die* unit = dwfl_module_addrdie(module, address, bias);
  if (unit != nullptr) return unit;
  while ((unit = dwfl_module_nextcu(module, unit, bias)) != nullptr) {
    if (dwarf_haspc(unit, address - *bias) > 0) return unit;
  }
  return nullptr;
}

}  // namespace

struct Symbols::Implementation {
  Implementation(Target& of, SymbolOptions with) : target(of), options(std::move(with)) {}
  Named look_up(uint64_t pc, uint64_t address);
  void add_lines(Dwfl_Module* module, uint64_t address, Named* named);

  Target& target;
  SymbolOptions options;
  std::unique_ptr<DwflSession> session;  // made for the first name
  std::unordered_map<uint64_t, Named> exact, calls;
};

Symbols::Symbols(Target& target, SymbolOptions options)
    : own_(std::make_unique<Implementation>(target, std::move(options))) {}
Symbols::~Symbols() = default;

void Symbols::Implementation::add_lines(Dwfl_Module* module, uint64_t address, Named* named) {
  Location outer = named->locations.back();
  if (Dwfl_Line* line = dwfl_module_getsrc(module, address)) {
    int number = 0;
    const char* file = dwfl_lineinfo(line, nullptr, &number, nullptr, nullptr, nullptr);
    if (file != nullptr) outer.file = file;
    outer.line = (unsigned)number;
  }
  Dwarf_Addr bias = 0;
  Dwarf_Die* unit = unit_at(module, address, &bias);
  Dwarf_Die* scopes = nullptr;
  const int count = unit == nullptr ? 0 : dwarf_getscopes(unit, address - bias, &scopes);
  std::vector<Location> chain;
  for (int i = 0; i < count; i++) {
    const int tag = dwarf_tag(&scopes[i]);
    if (tag == DW_TAG_inlined_subroutine) {
      Location inlined = outer;
      inlined.function = function_of(&scopes[i]);
      inlined.inlined = true;
      chain.push_back(inlined);
      outer.file = call_file(unit, &scopes[i]);
      outer.line = call_line(&scopes[i]);
    } else if (tag == DW_TAG_subprogram) {
      if (outer.function.empty()) outer.function = function_of(&scopes[i]);
      break;
    }
  }
  free(scopes);
  chain.push_back(outer);
  named->locations = std::move(chain);
}

Named Symbols::Implementation::look_up(uint64_t pc, uint64_t address) {
  Named named;
  named.pc = pc;
  named.locations.emplace_back();
  named.module = target.module_at(address);
  if (named.module == nullptr) return named;
  named.offset = pc - named.module->bias;
  if (session == nullptr) session = std::make_unique<DwflSession>(target, options.debug_dir, options.debuginfod);
  Dwfl_Module* module = session->module_at(address);
  if (module == nullptr) return named;
  GElf_Sym symbol{};
  GElf_Off offset = 0;
  const char* name = dwfl_module_addrinfo(module, address, &offset, &symbol, nullptr, nullptr, nullptr);
  // A stripped file has few symbols: the nearest one before is not the function unless it reaches so far.
  const bool covers =
      symbol.st_size == 0 ? GELF_ST_TYPE(symbol.st_info) != STT_FUNC || offset == 0 : offset < symbol.st_size;
  if (name != nullptr && covers) named.locations.back().function = demangled(name);
  if (options.lines) add_lines(module, address, &named);
  return named;
}

const Named& Symbols::at(uint64_t address, bool exact) {
  auto& known = exact ? own_->exact : own_->calls;
  auto found = known.find(address);
  if (found != known.end()) return found->second;
  return known.emplace(address, own_->look_up(address, exact ? address : address - 1)).first->second;
}

const Named& Symbols::at(const Frame& frame) { return at(frame.pc, frame.exact); }

std::string Symbols::text(const Named& named) const {
  const std::string& function = named.function().function;
  if (!function.empty()) return function;
  if (named.module == nullptr) return fmt::format("{:#x}", named.pc);
  return fmt::format("{}+{:#x}", named.module->name(), named.offset);
}

std::string Symbols::short_text(const Named& named) const { return without_arguments(text(named)); }

std::string without_arguments(const std::string& function) {
  // From the end: the last parenthesis that closes on the outermost level opens the arguments.
  const size_t close = function.rfind(')');
  if (close == std::string::npos) return function;
  const std::string behind = function.substr(close + 1);
  if (!behind.empty() && !behind.starts_with(" const") && !behind.starts_with(" &") && !behind.starts_with(" [") &&
      !behind.starts_with(" volatile"))
    return function;
  int depth = 0;
  for (size_t at = close + 1; at-- > 0;) {
    if (function[at] == ')') depth++;
    if (function[at] == '(' && --depth == 0) {
      // What is left of "(anonymous namespace)" alone, or of an operator (), is no name.
      const std::string name = function.substr(0, at);
      return name.empty() || name.ends_with("::") || name.ends_with("operator") ? function : name;
    }
  }
  return function;
}

}  // namespace weft::inspect
