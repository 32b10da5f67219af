#include "azoth/canonical/metrics.h"

#include <charconv>

namespace azoth {

namespace {

// The shortest text that reads back as the same number.
std::string number(double value) {
  char text[32];
  auto [end, error] = std::to_chars(text, text + sizeof text, value);
  return {text, end};
}

std::string braces(std::string_view labels, const std::string& more = {}) {
  if (labels.empty() && more.empty()) return "";
  std::string separator = labels.empty() || more.empty() ? "" : ",";
  return "{" + std::string(labels) + separator + more + "}";
}

std::string_view kind_name(Metric::Kind kind) {
  switch (kind) {
    case Metric::Kind::Counter:
      return "counter";
    case Metric::Kind::Gauge:
      return "gauge";
    case Metric::Kind::Histogram:
      return "histogram";
  }
  return "untyped";
}

}  // namespace

std::string prometheus_text(std::span<const Metric> metrics) {
  std::string text;
  std::string_view previous;
  for (const Metric& metric : metrics) {
    std::string name(metric.name);
    if (metric.name != previous) {
      text += "# HELP " + name + " " + std::string(metric.help) + "\n";
      text += "# TYPE " + name + " " + std::string(kind_name(metric.kind)) + "\n";
    }
    previous = metric.name;
    if (metric.kind != Metric::Kind::Histogram) {
      text += name + braces(metric.labels) + " " + number(metric.value) + "\n";
      continue;
    }
    for (const Metric::Bucket& bucket : metric.buckets) {
      std::string le = "le=\"" + number(bucket.upper) + "\"";
      text += name + "_bucket" + braces(metric.labels, le) + " " + std::to_string(bucket.count) + "\n";
    }
    text += name + "_bucket" + braces(metric.labels, "le=\"+Inf\"") + " " + std::to_string(metric.count) + "\n";
    text += name + "_sum" + braces(metric.labels) + " " + number(metric.sum) + "\n";
    text += name + "_count" + braces(metric.labels) + " " + std::to_string(metric.count) + "\n";
  }
  return text;
}

}  // namespace azoth
