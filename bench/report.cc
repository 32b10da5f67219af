#include "report.h"

#include <fmt/format.h>

#include <algorithm>
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

std::string yes_or_null(bool known, bool yes) { return !known ? "null" : yes ? "true" : "false"; }

// What is measured in none of the rounds is unknown.
std::string latency_or_null(double us) { return us == 0 ? "null" : fmt::format("{:.3f}", us); }

// Whole numbers as such, others with as many places as say something.
std::string value_text(double value) {
  return value == std::floor(value) ? fmt::format("{:.0f}", value) : fmt::format("{:.3f}", value);
}

std::string latency(double us) { return us == 0 ? "-" : fmt::format("{:.1f}", us); }

// `reference` is what the row's rate is divided by: of a reference, Azoth; of Azoth, its first reference. Azoth divided
// by the row's system, over the rounds, is what a target is about; it is on the reference's line, as in the table.
std::string json_line(const Row& row, const Row* reference, double ratio) {
  bool compared = reference != nullptr && ratio > 0;
  std::string line =
      fmt::format(R"({{"workload":"{}","system":"{}","threads":{},"ops_per_second":{},)", row.workload, row.system,
                  row.threads, row.missing.empty() ? fmt::format("{:.1f}", row.rate) : "null");
  line += fmt::format(R"("p50_us":{},"p99_us":{},"p999_us":{},)", latency_or_null(row.p50_us),
                      latency_or_null(row.p99_us), latency_or_null(row.p999_us));
  line += compared ? fmt::format(R"("ratio":{:.4f},"reference":"{}")", ratio, reference->system)
                   : R"("ratio":null,"reference":null)";
  line += row.ratio > 0 ? fmt::format(R"(,"azoth_ratio":{:.4f},"azoth_ratio_low":{:.4f},"azoth_ratio_high":{:.4f})",
                                      row.ratio, row.lowest_ratio, row.highest_ratio)
                        : R"(,"azoth_ratio":null,"azoth_ratio_low":null,"azoth_ratio_high":null)";
  line += fmt::format(R"(,"target":{},"met":{})", number_or_null(row.at_least),
                      yes_or_null(row.at_least.has_value(), row.met()));
  line +=
      fmt::format(R"(,"unit":"{}","survives":"{}","operations":{},"syncs":{},"background_writes":{},"missing":{}}})",
                  row.unit, row.durability, row.operations, row.syncs, row.background_writes,
                  row.missing.empty() ? "null" : "\"" + row.missing + "\"");
  return line + "\n";
}

std::string target_text(const Row& row) {
  if (!row.at_least) return "";
  return fmt::format("{} {:.2f}x", row.met() ? "met" : "NOT MET", *row.at_least);
}

}  // namespace

std::string table(const std::vector<Row>& rows) {
  std::string text = fmt::format("\n{}\n", rows.front().workload);
  text += fmt::format("  {:<21} {:>7} {:<13} {:>10} {:>9} {:>9} {:>9} {:>9} {:>7}  {}\n", "system", "threads",
                      "survives", rows.front().unit + "/s", "p50 us", "p99 us", "p99.9 us", "per sync", "flushes",
                      "azoth / system (rounds)");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    if (!row.missing.empty()) {
      text += fmt::format("  {:<21} {:>7} {:<13} {}\n", row.system, row.threads, row.durability, row.missing);
      continue;
    }
    text += fmt::format("  {:<21} {:>7} {:<13} {:>10.0f} {:>9} {:>9} {:>9} {:>9} {:>7}", row.system, row.threads,
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
  auto first = std::find_if(rows.begin() + 1, rows.end(), [](const Row& row) { return row.ratio > 0; });
  std::string text = first == rows.end() ? json_line(rows[0], nullptr, 0) : json_line(rows[0], &*first, first->ratio);
  for (std::size_t i = 1; i < rows.size(); ++i) {
    text += json_line(rows[i], &rows[0], rows[i].ratio > 0 ? 1 / rows[i].ratio : 0);
  }
  return text;
}

Verdicts verdicts(const std::vector<Row>& rows) {
  Verdicts result;
  for (const Row& row : rows) {
    if (!row.at_least) continue;
    std::string what = fmt::format("{}: azoth / {}", row.workload, row.system);
    if (!row.missing.empty()) {
      result.add(what, fmt::format("at least {:.2f} x", *row.at_least), row.missing, false);
    } else {
      result.add(what, fmt::format("at least {:.2f} x", *row.at_least), fmt::format("{:.2f}", row.ratio), row.met());
    }
  }
  return result;
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
        R"({{"workload":"{}","system":"azoth","threads":null,"ops_per_second":null,"p50_us":null,"p99_us":null,)"
        R"("p999_us":null,"ratio":null,"reference":null,"what":"{}","value":{:.4f},"unit":"{}","at_most":{},)"
        R"("at_least":{},"met":{}}})",
        figure.workload, figure.what, figure.value, figure.unit, number_or_null(figure.at_most),
        number_or_null(figure.at_least), yes_or_null(figure.target().has_value(), figure.met()));
    text += "\n";
  }
  return text;
}

Verdicts verdicts(const std::vector<Figure>& figures) {
  Verdicts result;
  for (const Figure& figure : figures) {
    std::string what = figure.workload + ": " + figure.what;
    if (figure.target()) {
      result.add(
          what,
          fmt::format("at {} {} {}", figure.at_most ? "most" : "least", value_text(*figure.target()), figure.unit),
          value_text(figure.value), figure.met());
    } else if (figure.reported) {
      result.report(what, fmt::format("{} {}", value_text(figure.value), figure.unit));
    }
  }
  return result;
}

void Verdicts::add(const std::string& what, const std::string& target, const std::string& measured, bool is_met) {
  text += fmt::format("  {:<72} {:<20} {:>10}  {}\n", what, target, measured, is_met ? "met" : "NOT MET");
  ++(is_met ? met : missed);
}

void Verdicts::report(const std::string& what, const std::string& measured) {
  text += fmt::format("  {:<72} {:<20} {:>10}\n", what, "reported", measured);
}

Verdicts& Verdicts::operator+=(const Verdicts& other) {
  text += other.text;
  met += other.met;
  missed += other.missed;
  return *this;
}

std::string Verdicts::summary() const {
  return fmt::format("{} of {} targets met{}\n", met, met + missed,
                     missed == 0 ? "" : fmt::format(", {} not met", missed));
}

}  // namespace azoth::bench
