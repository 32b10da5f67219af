// A line on standard error that shows how far long work is; nothing unless standard error is a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace azoth::cli {

class Progress {
 public:
  // `unit` is what is counted, in the plural: "lines"; of "bytes" sizes are shown. `label` stands in front.
  explicit Progress(std::string unit, std::string label = {});
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  struct Measure {
    std::uint64_t items = 0;
    std::uint64_t bytes = 0;  // 0: not shown
    std::uint64_t done = 0;   // with `total`, how far it is; 0 of 0 while unknown
    std::uint64_t total = 0;
  };
  // Cheap enough to call for each item; draws a few times a second.
  void update(const Measure& measure);
  // Removes the line, so that something else can be printed.
  void clear();

  double seconds() const;

  // The line for a measure after some seconds.
  static std::string text(const Measure& measure, std::string_view unit, double seconds);

 private:
  using Clock = std::chrono::steady_clock;

  std::string unit_;
  std::string label_;
  bool shown_;
  std::size_t drawn_ = 0;  // characters on the line
  Clock::time_point start_ = Clock::now();
  Clock::time_point next_;
};

}  // namespace azoth::cli
