// SPDX-License-Identifier: Apache-2.0
// Why a process cannot be looked at, in words.
#pragma once

#include "failure.h"

namespace weft::inspect {

// The failure for an errno of reading process `pid`: who it belongs to, what it holds that we lack, and what to do about it.
Failure unreadable_process(int pid, int error);

// What Yama's ptrace_scope, read from this file, adds to that; "" where it is not there or forbids nothing.
std::string scope_words(const std::string& file);

// A line of /proc/PID/status, without its name; "" there is none.
std::string status_line(int pid, const char* name);

}  // namespace weft::inspect
