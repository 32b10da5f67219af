#include "table.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace azoth::cli {
namespace {

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

Table::Table(std::vector<std::string> header) : header_(std::move(header)) {}

void Table::add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }

void Table::print(Output& out, bool rule) const {
  const std::size_t columns = header_.size();
  std::vector<std::size_t> widths(columns);
  std::vector<bool> right(columns, !rows_.empty());  // a heading stands above its numbers
  for (std::size_t i = 0; i < columns; ++i) {
    widths[i] = display_width(header_[i]);
    for (const std::vector<Cell>& row : rows_) {
      widths[i] = std::max(widths[i], display_width(row[i].text));
      right[i] = right[i] && row[i].right;
    }
  }
  std::string line;
  auto print_row = [&](auto cell_at) {
    line.clear();
    for (std::size_t i = 0; i < columns; ++i) {
      if (i > 0) line += "  ";
      append_padded(line, cell_at(i), widths[i], i + 1 == columns);
    }
    out.line(line);
  };
  print_row([&](std::size_t i) { return Cell{header_[i], right[i]}; });
  if (rule) print_row([&](std::size_t i) { return Cell{std::string(widths[i], '-')}; });
  for (const std::vector<Cell>& row : rows_) print_row([&](std::size_t i) -> const Cell& { return row[i]; });
}

}  // namespace azoth::cli
