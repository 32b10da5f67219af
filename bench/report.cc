#include "report.h"

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <optional>

namespace azoth::bench {

namespace {

std::string commits_per_sync(const Row& row) {
  if (row.syncs == 0) return "-";
  return fmt::format("{:.1f}", static_cast<double>(row.operations) / static_cast<double>(row.syncs));
}

std::string number_or_null(std::optional<double> number) { return number ? fmt::format("{:.3f}", *number) : "null"; }

// Whole numbers as such, others with as many places as say something.
std::string value_text(double value) {
  return value == std::floor(value) ? fmt::format("{:.0f}", value) : fmt::format("{:.3f}", value);
}

std::string latency(double us) { return us == 0 ? "-" : fmt::format("{:.1f}", us); }

// `reference` is what the row was compared with, or null.
std::string json_line(const Row& row, const Row* reference) {
  std::string line = fmt::format(
      R"({{"workload":"{}","system":"{}","unit":"{}","threads":{},"ops_per_second":{:.1f},"p50_us":{:.2f},"p99_us":{:.2f},)"
      R"("p999_us":{:.2f})",
      row.workload, row.system, row.unit, row.threads, row.rate, row.p50_us, row.p99_us, row.p999_us);
  if (reference != nullptr) {
    line += fmt::format(
        R"(,"ratio":{:.4f},"reference":"{}","ratio_low":{:.4f},"ratio_high":{:.4f},"target":{},"met":{})",
        reference->ratio, reference->system, reference->lowest_ratio, reference->highest_ratio,
        number_or_null(reference->at_least), reference->at_least ? (reference->met() ? "true" : "false") : "null");
  } else {
    line += R"(,"ratio":null,"reference":null)";
  }
  line += fmt::format(R"(,"syncs":{},"operations":{},"background_writes":{},"durability":"{}"}})", row.syncs,
                      row.operations, row.background_writes, row.durability);
  return line + "\n";
}

std::string target_text(const Row& row) {
  if (!row.at_least) return "";
  return fmt::format("{} {:.2f}x", row.met() ? "met" : "NOT MET", *row.at_least);
}

}  // namespace

std::string table(const std::vector<Row>& rows) {
  std::string text = fmt::format("\n{}\n", rows.front().workload);
  text += fmt::format("  {:<16} {:>7} {:<13} {:>10} {:>9} {:>9} {:>9} {:>9} {:>7}  {}\n", "system", "threads",
                      "survives", rows.front().unit + "/s", "p50 us", "p99 us", "p99.9 us", "per sync", "flushes",
                      "azoth / system (rounds)");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    if (!row.missing.empty()) {
      text += fmt::format("  {:<16} {:>7} {:<13} {}\n", row.system, row.threads, row.durability, row.missing);
      continue;
    }
    text += fmt::format("  {:<16} {:>7} {:<13} {:>10.0f} {:>9} {:>9} {:>9} {:>9} {:>7}", row.system, row.threads,
                        row.durability, row.rate, latency(row.p50_us), latency(row.p99_us), latency(row.p999_us),
                        commits_per_sync(row), row.background_writes);
    if (i != 0) {
      text += fmt::format("  {:>6.2f} ({:.2f} .. {:.2f}) {}", row.ratio, row.lowest_ratio, row.highest_ratio,
                          target_text(row));
    }
    text += "\n";
  }
  return text;
}

std::string json_lines(const std::vector<Row>& rows) {
  std::string text;
  bool compared = false;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    if (!rows[i].missing.empty()) continue;
    text += json_line(rows[i], nullptr) + json_line(rows[0], &rows[i]);
    compared = true;
  }
  return compared ? text : text + json_line(rows[0], nullptr);
}

std::string verdicts(const std::vector<Row>& rows) {
  std::string text;
  for (const Row& row : rows) {
    if (!row.at_least) continue;
    std::string what = fmt::format("{}: azoth / {}", row.workload, row.system);
    if (!row.missing.empty()) {
      text += fmt::format("  {:<52} at least {:>5.2f}          {}\n", what, *row.at_least, row.missing);
    } else {
      text += fmt::format("  {:<52} at least {:>5.2f}  {:>6.2f}  {}\n", what, *row.at_least, row.ratio,
                          row.met() ? "met" : "not met");
    }
  }
  return text;
}

std::string table(const std::vector<Figure>& figures) {
  std::string text = fmt::format("\n{}\n", figures.front().workload);
  for (const Figure& figure : figures) {
    text += fmt::format("  {:<60} {:>12} {}", figure.what, value_text(figure.value), figure.unit);
    if (figure.target()) text += fmt::format("  {} {}", figure.met() ? "met" : "NOT MET", value_text(*figure.target()));
    text += "\n";
  }
  return text;
}

std::string json_lines(const std::vector<Figure>& figures) {
  std::string text;
  for (const Figure& figure : figures) {
    text += fmt::format(
        R"({{"workload":"{}","what":"{}","value":{:.4f},"unit":"{}","at_most":{},"at_least":{},"met":{}}})",
        figure.workload, figure.what, figure.value, figure.unit, number_or_null(figure.at_most),
        number_or_null(figure.at_least), figure.target() ? (figure.met() ? "true" : "false") : "null");
    text += "\n";
  }
  return text;
}

std::string verdicts(const std::vector<Figure>& figures) {
  std::string text;
  for (const Figure& figure : figures) {
    if (!figure.target()) continue;
    text += fmt::format("  {:<60} at {} {:>6} {:>9}  {} {}\n", figure.workload + ": " + figure.what,
                        figure.at_most ? "most" : "least", value_text(*figure.target()), value_text(figure.value),
                        figure.met() ? "met" : "not met", figure.unit);
  }
  return text;
}

}  // namespace azoth::bench
