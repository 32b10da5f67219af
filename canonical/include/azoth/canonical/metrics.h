// What an open store counts and times, for whatever collects such numbers. Names and units follow Prometheus'
// conventions: counters end in _total, times are in seconds, sizes in bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace azoth {

struct Metric {
  enum class Kind {
    Counter,    // grows only, from 0 when the store was opened
    Gauge,      // goes up and down
    Histogram,  // how many values there were of each size
  };
  struct Bucket {
    double upper;         // inclusive
    std::uint64_t count;  // of values up to it: each bucket includes those before
  };

  std::string_view name;         // "azoth_journal_sync_seconds"
  std::string_view labels = {};  // "level=\"durable\"", or nothing
  std::string_view help;
  Kind kind;
  double value = 0;  // of a counter or gauge

  // Of a histogram.
  std::vector<Bucket> buckets = {};  // up to the largest that is used
  double sum = 0;
  std::uint64_t count = 0;
};

// Called for each metric in turn, those of one name together. What it is given is valid during the call, the texts for
// ever.
using MetricCallback = std::function<void(const Metric& metric)>;

// The text that a Prometheus server scrapes (exposition format 0.0.4).
std::string prometheus_text(std::span<const Metric> metrics);

}  // namespace azoth
