#include "table.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace azoth::cli {
namespace {

constexpr std::size_t kWaitingRows = 1000;

// Letters of scripts whose characters take two columns, and pictures.
bool is_wide(char32_t c) {
  return (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) || (c >= 0xac00 && c <= 0xd7a3) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
         (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1f64f) || (c >= 0x1f900 && c <= 0x1f9ff) ||
         (c >= 0x20000 && c <= 0x3fffd);
}

bool is_combining(char32_t c) { return (c >= 0x300 && c <= 0x36f) || (c >= 0xfe00 && c <= 0xfe0f) || c == 0x200d; }

void append_padded(std::string& line, const Table::Cell& cell, std::size_t width, bool last) {
  const std::size_t blanks = width - std::min(width, display_width(cell.text));
  if (cell.right) line.append(blanks, ' ');
  line += cell.text;
  if (!cell.right && !last) line.append(blanks, ' ');
}

}  // namespace

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto first = static_cast<unsigned char>(text[at]);
    const std::size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    char32_t c = length == 1 ? first : first & (0xffu >> (length + 1));
    for (std::size_t i = 1; i < length && at + i < text.size(); ++i) {
      c = c << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3fu);
    }
    width += is_combining(c) ? 0 : is_wide(c) ? 2 : 1;
    at += length;
  }
  return width;
}

Table::Table(Output& out, std::vector<std::string> header) : out_(out), header_(std::move(header)) {}

void Table::add(std::vector<Cell> row) {
  if (begun_) {
    print(row);
    return;
  }
  waiting_.push_back(std::move(row));
  if (waiting_.size() == kWaitingRows) begin();
}

void Table::finish() {
  if (!begun_) begin();
}

void Table::begin() {
  begun_ = true;
  std::vector<Cell> heads;
  std::vector<Cell> rule;
  for (std::size_t i = 0; i < header_.size(); ++i) {
    std::size_t width = display_width(header_[i]);
    bool right = !waiting_.empty();  // a heading stands above its numbers
    for (const std::vector<Cell>& row : waiting_) {
      width = std::max(width, display_width(row[i].text));
      right = right && row[i].right;
    }
    widths_.push_back(width);
    heads.push_back({header_[i], right});
    rule.push_back({std::string(width, '-')});
  }
  print(heads);
  print(rule);
  for (const std::vector<Cell>& row : waiting_) print(row);
  waiting_.clear();
}

void Table::print(const std::vector<Cell>& row) {
  std::string line;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i > 0) line += "  ";
    append_padded(line, row[i], widths_[i], i + 1 == row.size());
  }
  out_.line(line);
}

}  // namespace azoth::cli
