#include "progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "text.h"

namespace azoth::cli {
namespace {

constexpr auto kInterval = std::chrono::milliseconds{200};

// Progress is a courtesy: a terminal that does not take it stops nothing.
void draw(std::string_view text) {
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;
}

std::string amount(std::uint64_t items, std::string_view unit) {
  return unit == "bytes" ? human_bytes(items) : fmt::format("{} {}", grouped(items), unit);
}

}  // namespace

Progress::Progress(std::string unit, std::string label)
    : unit_(std::move(unit)), label_(std::move(label)), shown_(isatty(STDERR_FILENO) == 1), next_(start_ + kInterval) {}

double Progress::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

void Progress::update(const Measure& measure) {
  if (!shown_) return;
  Clock::time_point now = Clock::now();
  if (now < next_) return;
  next_ = now + kInterval;
  std::string line = label_ + text(measure, unit_, seconds());
  std::size_t length = line.size();
  if (length < drawn_) line.append(drawn_ - length, ' ');
  drawn_ = length;
  draw('\r' + line);
}

void Progress::clear() {
  if (drawn_ != 0) draw('\r' + std::string(drawn_, ' ') + '\r');
  drawn_ = 0;
}

std::string Progress::text(const Measure& measure, std::string_view unit, double seconds) {
  double elapsed = std::max(seconds, 1e-3);
  std::string line = amount(measure.items, unit);
  if (measure.bytes != 0) line += fmt::format("  {}", human_bytes(measure.bytes));
  line += fmt::format("  {}/s  {:.1f} s",
                      amount(static_cast<std::uint64_t>(static_cast<double>(measure.items) / elapsed), unit), seconds);
  if (measure.total != 0 && measure.done != 0) {
    double share = std::min(1.0, static_cast<double>(measure.done) / static_cast<double>(measure.total));
    line += fmt::format("  {:.0f} %  ETA {:.0f} s", share * 100, elapsed / share - elapsed);
  }
  return line;
}

}  // namespace azoth::cli
