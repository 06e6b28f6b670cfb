// SPDX-License-Identifier: Apache-2.0
// The comparison of two looks.
#include "diff_looks.h"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace weft::inspect {
namespace {

using Places = std::map<std::vector<std::string>, DiffPlace>;

void add(Places* places, const DiffCoroutine& coroutine) {
  DiffPlace& place = (*places)[coroutine.place];
  place.ids.push_back(coroutine.id);
  place.waited = std::max(place.waited, coroutine.waited);
}

std::vector<DiffPlace> in_order(Places places, bool (*before)(const DiffPlace&, const DiffPlace&)) {
  std::vector<DiffPlace> result;
  for (auto& [names, place] : places) {
    place.place = names;
    std::sort(place.ids.begin(), place.ids.end());
    result.push_back(std::move(place));
  }
  std::stable_sort(result.begin(), result.end(), before);
  return result;
}

}  // namespace

Difference difference(const std::vector<DiffCoroutine>& older, const std::vector<DiffCoroutine>& newer) {
  Difference result;
  result.before = older.size();
  result.after = newer.size();
  std::unordered_map<uint32_t, const DiffCoroutine*> then, now;
  std::map<std::vector<std::string>, size_t> stood, stand;
  for (const DiffCoroutine& each : older) then[each.id] = &each, stood[each.place]++;
  for (const DiffCoroutine& each : newer) now[each.id] = &each, stand[each.place]++;

  Places stuck, grown, gone;
  for (const DiffCoroutine& each : newer) {
    const auto earlier = then.find(each.id);
    if (earlier == then.end()) result.made++;
    const bool was_there = earlier != then.end() && earlier->second->place == each.place;
    if (was_there && each.is_parked && earlier->second->is_parked && earlier->second->sequence == each.sequence)
      add(&stuck, each);
    if (!was_there && stand[each.place] > stood[each.place]) add(&grown, each);
  }
  for (const DiffCoroutine& each : older) {
    if (now.count(each.id) != 0) continue;
    result.ended++;
    add(&gone, each);
  }
  for (Places* places : {&stuck, &grown, &gone})
    for (auto& [names, place] : *places) place.before = stood[names], place.after = stand[names];

  result.stuck = in_order(std::move(stuck), [](const DiffPlace& a, const DiffPlace& b) { return a.waited > b.waited; });
  result.grown = in_order(
      std::move(grown), [](const DiffPlace& a, const DiffPlace& b) { return a.after - a.before > b.after - b.before; });
  result.gone =
      in_order(std::move(gone), [](const DiffPlace& a, const DiffPlace& b) { return a.ids.size() > b.ids.size(); });
  return result;
}

}  // namespace weft::inspect
