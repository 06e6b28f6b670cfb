// SPDX-License-Identifier: Apache-2.0
// Making requests and judging answers.
#include "exchange.h"

#include <strings.h>

#include <charconv>
#include <cstring>

namespace weft::load {
namespace {

constexpr std::string_view kEndOfLine = "\r\n";

// The value of a header in `head` (status line and headers), or an empty view with data() null when it is not there.
std::string_view header(std::string_view head, std::string_view name) {
  for (size_t at = head.find(kEndOfLine); at != std::string_view::npos; at = head.find(kEndOfLine, at)) {
    at += kEndOfLine.size();
    std::string_view line = head.substr(at, head.find(kEndOfLine, at) - at);
    if (line.size() > name.size() && line[name.size()] == ':' &&
        strncasecmp(line.data(), name.data(), name.size()) == 0) {
      line.remove_prefix(name.size() + 1);
      while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
      return line;
    }
  }
  return {};
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

void Exchange::begin() {
  received_.clear();
  matched_ = 0;
  if (options_.protocol != Options::Protocol::echo) return;
  sent_.resize(static_cast<size_t>(options_.size));
  for (char& byte : sent_) {
    seed_ = seed_ * 1103515245u + 12345u;
    byte = static_cast<char>(seed_ >> 16);
  }
}

std::string_view Exchange::request() const {
  return options_.protocol == Options::Protocol::echo ? std::string_view(sent_) : std::string_view(options_.request);
}

Exchange::Verdict Exchange::take(std::string_view bytes, bool end) {
  if (options_.protocol != Options::Protocol::http) return take_exact(bytes, end);
  received_.append(bytes);
  return judge_http(end);
}

Exchange::Verdict Exchange::take_exact(std::string_view bytes, bool end) {
  const std::string& expected = options_.protocol == Options::Protocol::echo ? sent_ : options_.body;
  if (bytes.size() > expected.size() - matched_) return Verdict::bad_bytes;
  if (memcmp(bytes.data(), expected.data() + matched_, bytes.size()) != 0) return Verdict::bad_bytes;
  matched_ += bytes.size();
  if (matched_ == expected.size()) return end ? Verdict::last : Verdict::complete;
  return end ? Verdict::bad_bytes : Verdict::more;
}

Exchange::Verdict Exchange::judge_http(bool end) const {
  std::string_view all = received_;
  const Verdict incomplete = end ? Verdict::bad_bytes : Verdict::more;
  size_t head_size = all.find("\r\n\r\n");
  if (head_size == std::string_view::npos) return incomplete;
  std::string_view head = all.substr(0, head_size), rest = all.substr(head_size + 4);
  if (head.size() < 12 || head.substr(0, 7) != "HTTP/1.") return Verdict::bad_bytes;
  if (head.substr(9, 3) != "200") return Verdict::bad_status;

  std::string_view connection = header(head, "connection");
  bool old = head[7] == '0';
  bool closes =
      end || equals_ignoring_case(connection, "close") || (old && !equals_ignoring_case(connection, "keep-alive"));
  Verdict whole = closes ? Verdict::last : Verdict::complete;
  if (equals_ignoring_case(header(head, "transfer-encoding"), "chunked")) return judge_chunked(rest, whole, end);

  std::string_view length_text = header(head, "content-length");
  if (length_text.data() == nullptr) {
    // The end of the connection is the end of the body.
    if (!end) return Verdict::more;
    return rest == options_.body ? Verdict::last : Verdict::bad_bytes;
  }
  size_t length = 0;
  std::from_chars(length_text.data(), length_text.data() + length_text.size(), length);
  if (length != options_.body.size() || rest.size() > length) return Verdict::bad_bytes;
  if (rest.size() < length) return incomplete;
  return rest == options_.body ? whole : Verdict::bad_bytes;
}

Exchange::Verdict Exchange::judge_chunked(std::string_view rest, Verdict when_whole, bool end) const {
  const Verdict incomplete = end ? Verdict::bad_bytes : Verdict::more;
  size_t matched = 0;
  for (;;) {
    size_t line = rest.find(kEndOfLine);
    if (line == std::string_view::npos) return incomplete;
    size_t length = 0;
    auto parsed = std::from_chars(rest.data(), rest.data() + line, length, 16);
    if (parsed.ec != std::errc()) return Verdict::bad_bytes;
    rest.remove_prefix(line + kEndOfLine.size());
    if (rest.size() < length + kEndOfLine.size()) return incomplete;
    if (std::string_view(options_.body).substr(matched, length) != rest.substr(0, length)) return Verdict::bad_bytes;
    matched += length;
    rest.remove_prefix(length + kEndOfLine.size());
    if (length == 0) return matched == options_.body.size() && rest.empty() ? when_whole : Verdict::bad_bytes;
  }
}

}  // namespace weft::load
