// Time. Wall-clock time is advisory in Azoth: it is recorded with commits and events and orders nothing.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace azoth {

// UTC, microseconds since 1970.
using Timestamp = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;

// Deadlines and intervals are measured on the steady clock.
using Deadline = std::chrono::steady_clock::time_point;
inline constexpr Deadline kNoDeadline = Deadline::max();

// `timeout` from now; a timeout too long to add means no deadline, a negative one means now.
Deadline deadline_after(std::chrono::nanoseconds timeout);

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Timestamp now() = 0;

  static Clock& system();
};

// RFC 3339, e.g. 2026-11-21T09:30:00.123456Z. Parsing takes any offset and up to nine fractional digits (cut to
// microseconds) and answers nothing for anything else. Years outside 0000..9999, which RFC 3339 cannot write, have a
// sign and six digits (+012026), so that every Timestamp has a text and every text that is written can be read back.
// There are no leap seconds: a second 60 is refused.
std::string format_time(Timestamp time);
std::optional<Timestamp> parse_time(std::string_view text);

}  // namespace azoth
