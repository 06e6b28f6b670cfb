// SPDX-License-Identifier: Apache-2.0
// The JSON of the commands, as schema.json in this directory lays down. Addresses are strings "0x…", times nanoseconds.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "look.h"
#include "rows.h"

namespace weft::inspect {

using Json = nlohmann::ordered_json;

std::string address(uint64_t value);  // "0x…"

// What every answer begins with: format, version, command and target.
Json begin_json(Look& look, const std::string& command);
Json json_of(Look& look, Rows& rows, uint32_t copy);
Json json_of(Look& look, const Group& group, bool all_frames);
// Coroutines by state, and how exact the look was.
Json json_summary(const Look& look);
void print(const Json& json);

// "process 812: 10,003 coroutines: …", for people.
std::string summary_line(Look& look);

}  // namespace weft::inspect
