// SPDX-License-Identifier: Apache-2.0
// The script inside a flame graph's SVG: figures under the pointer, zoom, search. In CDATA, so it must not contain "]]>".
#pragma once

namespace weft::inspect {

// Frames are <g class="f"> with a title, a rect and a text; data-x and data-w are their place and width as parts of the whole.
constexpr char kFlameScript[] = R"script(
"use strict";
(function () {
  var root = document.documentElement;
  var frames = Array.prototype.slice.call(document.querySelectorAll("g.f"));
  var details = document.getElementById("details"), matched = document.getElementById("matched");
  var reset = document.getElementById("reset"), search = document.getElementById("search");
  var LEFT = 10, WIDTH = 1180, LETTER = 6.6, pattern = null, zoomed = frames[0];

  function part(frame, name) { return parseFloat(frame.getAttribute("data-" + name)); }
  function level(frame) { return parseInt(frame.getAttribute("data-l"), 10); }
  function name(frame) { return frame.getAttribute("data-n"); }

  function place(frame, x, width) {
    var shown = width >= 0.1;
    frame.style.display = shown ? "" : "none";
    if (!shown) return;
    var rect = frame.querySelector("rect"), text = frame.querySelector("text");
    rect.setAttribute("x", x);
    rect.setAttribute("width", Math.max(width - 0.5, 0.1));
    text.setAttribute("x", x + 3);
    var letters = Math.floor((width - 6) / LETTER), words = name(frame);
    text.textContent = letters < 3 ? "" : words.length <= letters ? words : words.slice(0, letters - 2) + "..";
  }

  // The frame fills the width, what called it too and pale; what stands beside it is gone.
  function zoom(frame) {
    var x = part(frame, "x"), width = part(frame, "w"), bottom = level(frame), slack = 1e-9;
    zoomed = frame;
    frames.forEach(function (each) {
      var from = part(each, "x"), wide = part(each, "w"), below = level(each) < bottom;
      var inside = from >= x - slack && from + wide <= x + width + slack;
      var around = from <= x + slack && from + wide >= x + width - slack;
      each.classList.toggle("pale", below && around);
      if (below) {
        if (around) place(each, LEFT, WIDTH);
        else each.style.display = "none";
      } else if (inside) {
        place(each, LEFT + (from - x) / width * WIDTH, wide / width * WIDTH);
      } else {
        each.style.display = "none";
      }
    });
    reset.style.display = frame === frames[0] ? "none" : "";
    count();
  }

  // The part of what is shown that lies under a match: matches within matches count once.
  function count() {
    if (pattern === null) { matched.textContent = ""; return; }
    var spans = [];
    frames.forEach(function (each) {
      var hit = pattern.test(name(each));
      each.classList.toggle("hit", hit);
      if (hit && each.style.display !== "none" && level(each) >= level(zoomed)) spans.push([part(each, "x"), part(each, "w")]);
    });
    spans.sort(function (a, b) { return a[0] - b[0] || b[1] - a[1]; });
    var sum = 0, end = -1;
    spans.forEach(function (span) {
      if (span[0] + 1e-9 >= end) { sum += span[1]; end = span[0] + span[1]; }
    });
    matched.textContent = "Matched: " + (100 * sum / part(zoomed, "w")).toFixed(1) + "%";
  }

  function find() {
    if (pattern !== null) {
      pattern = null;
      frames.forEach(function (each) { each.classList.remove("hit"); });
      search.textContent = "Search";
      count();
      return;
    }
    var words = window.prompt("Names that match this regular expression:", "");
    if (!words) return;
    try { pattern = new RegExp(words); } catch (error) { matched.textContent = String(error.message); return; }
    search.textContent = "Clear search";
    count();
  }

  function frame_of(target) {
    while (target && target !== root && !(target.classList && target.classList.contains("f"))) target = target.parentNode;
    return target && target !== root ? target : null;
  }

  root.addEventListener("mouseover", function (event) {
    var frame = frame_of(event.target);
    details.textContent = frame ? frame.querySelector("title").textContent : "";
  });
  root.addEventListener("click", function (event) {
    var frame = frame_of(event.target);
    if (frame) zoom(frame);
  });
  root.addEventListener("keydown", function (event) {
    if (event.key === "/" || ((event.ctrlKey || event.metaKey) && event.key === "f")) { event.preventDefault(); find(); }
    if (event.key === "Escape") zoom(frames[0]);
  });
  reset.addEventListener("click", function () { zoom(frames[0]); });
  search.addEventListener("click", find);
  search.style.display = "";
})();
)script";

}  // namespace weft::inspect
