#include "azoth/core/clock.h"

#include <array>
#include <cstdint>
#include <cstdio>

namespace azoth {
namespace {

constexpr std::int64_t kMicrosPerSecond = 1'000'000;
constexpr std::int64_t kSecondsPerDay = 86'400;
// The Gregorian calendar repeats after 400 years. std::chrono::year ends at 32767, a Timestamp 260,000 years later, so
// a date is moved into the first period, handled there, and moved back.
constexpr std::int64_t kDaysPerPeriod = 146'097;
constexpr std::int64_t kYearsPerPeriod = 400;

class SystemClock final : public Clock {
 public:
  Timestamp now() override {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
  }
};

struct Division {
  std::int64_t quotient;
  std::int64_t remainder;
};

// Rounded down, so that the remainder of a time before 1970 is not negative.
Division divide(std::int64_t number, std::int64_t by) {
  Division result{number / by, number % by};
  if (result.remainder < 0) {
    --result.quotient;
    result.remainder += by;
  }
  return result;
}

// Takes a text apart from the front; once something does not fit, it has failed.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  std::int64_t digits(std::size_t count) {
    std::int64_t number = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (!digit_follows()) return fail();
      number = 10 * number + (take() - '0');
    }
    return number;
  }

  void expect(char upper, char lower) {
    if (rest_.empty() || (rest_[0] != upper && rest_[0] != lower)) {
      fail();
    } else {
      take();
    }
  }
  void expect(char c) { expect(c, c); }

  bool accept(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    take();
    return true;
  }

  bool digit_follows() const { return !failed_ && !rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9'; }
  char take() {
    const char c = rest_[0];
    rest_.remove_prefix(1);
    return c;
  }
  std::int64_t fail() {
    failed_ = true;
    rest_ = {};
    return 0;
  }
  bool done() const { return !failed_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

std::int64_t scan_year(Scanner& in) {
  const bool minus = in.accept('-');
  if (!minus && !in.accept('+')) return in.digits(4);
  const std::int64_t year = in.digits(6);
  // One way to write each year: what four digits can say is not said with six.
  if (minus ? year == 0 : year <= 9999) return in.fail();
  return minus ? -year : year;
}

// Days since 1970, or failure for a day that the month does not have.
std::int64_t scan_date(Scanner& in) {
  const Division year = divide(scan_year(in), kYearsPerPeriod);
  in.expect('-');
  const auto month = static_cast<unsigned>(in.digits(2));
  in.expect('-');
  const auto day = static_cast<unsigned>(in.digits(2));
  const std::chrono::year_month_day date{std::chrono::year{static_cast<int>(year.remainder)}, std::chrono::month{month},
                                         std::chrono::day{day}};
  if (!date.ok()) return in.fail();
  return std::chrono::sys_days{date}.time_since_epoch().count() + year.quotient * kDaysPerPeriod;
}

std::int64_t scan_two_digits_below(Scanner& in, std::int64_t bound) {
  const std::int64_t number = in.digits(2);
  return number < bound ? number : in.fail();
}

std::int64_t scan_fraction(Scanner& in) {
  if (!in.accept('.')) return 0;
  if (!in.digit_follows()) return in.fail();
  std::int64_t micros = 0;
  int count = 0;
  for (; count < 9 && in.digit_follows(); ++count) {
    const int digit = in.take() - '0';
    if (count < 6) micros = 10 * micros + digit;
  }
  for (; count < 6; ++count) micros *= 10;
  return micros;
}

std::int64_t scan_offset_seconds(Scanner& in) {
  if (in.accept('Z') || in.accept('z')) return 0;
  const bool west = in.accept('-');
  if (!west) in.expect('+');
  const std::int64_t hours = scan_two_digits_below(in, 24);
  in.expect(':');
  const std::int64_t seconds = 3600 * hours + 60 * scan_two_digits_below(in, 60);
  return west ? -seconds : seconds;
}

// seconds * 1,000,000 + micros without an overflow on the way to a result that fits.
std::optional<Timestamp> to_timestamp(std::int64_t seconds, std::int64_t micros) {
  if (seconds < 0) {
    ++seconds;
    micros -= kMicrosPerSecond;
  }
  std::int64_t result = 0;
  if (__builtin_mul_overflow(seconds, kMicrosPerSecond, &result)) return std::nullopt;
  if (__builtin_add_overflow(result, micros, &result)) return std::nullopt;
  return Timestamp{std::chrono::microseconds{result}};
}

}  // namespace

Clock& Clock::system() {
  static SystemClock& clock = *new SystemClock;  // outlives stores that a program has made global
  return clock;
}

Deadline deadline_after(std::chrono::nanoseconds timeout) {
  const Deadline now = std::chrono::steady_clock::now();
  if (timeout <= std::chrono::nanoseconds::zero()) return now;
  return timeout >= kNoDeadline - now ? kNoDeadline : now + timeout;
}

std::string format_time(Timestamp time) {
  const Division seconds = divide(time.time_since_epoch().count(), kMicrosPerSecond);
  const Division days = divide(seconds.quotient, kSecondsPerDay);
  const Division period = divide(days.quotient, kDaysPerPeriod);
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{period.remainder}}};
  const auto year = static_cast<long>(static_cast<int>(date.year()) + kYearsPerPeriod * period.quotient);
  const bool expanded = year < 0 || year > 9999;
  std::array<char, 64> text{};
  const int size =
      std::snprintf(text.data(), text.size(),
                    expanded ? "%+07ld-%02u-%02uT%02d:%02d:%02d.%06dZ" : "%04ld-%02u-%02uT%02d:%02d:%02d.%06dZ", year,
                    static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                    static_cast<int>(days.remainder / 3600), static_cast<int>(days.remainder / 60 % 60),
                    static_cast<int>(days.remainder % 60), static_cast<int>(seconds.remainder));
  return {text.data(), static_cast<std::size_t>(size)};
}

std::optional<Timestamp> parse_time(std::string_view text) {
  Scanner in(text);
  const std::int64_t days = scan_date(in);
  in.expect('T', 't');
  const std::int64_t hours = scan_two_digits_below(in, 24);
  in.expect(':');
  const std::int64_t minutes = scan_two_digits_below(in, 60);
  in.expect(':');
  const std::int64_t seconds = scan_two_digits_below(in, 60);
  const std::int64_t micros = scan_fraction(in);
  const std::int64_t offset = scan_offset_seconds(in);
  if (!in.done()) return std::nullopt;
  return to_timestamp(kSecondsPerDay * days + 3600 * hours + 60 * minutes + seconds - offset, micros);
}

}  // namespace azoth
