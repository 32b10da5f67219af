// Rows in aligned columns.
#pragma once

#include <string>
#include <vector>

#include "output.h"

namespace azoth::cli {

class Table {
 public:
  struct Cell {
    std::string text;  // one line, safe for a terminal
    bool right = false;
  };

  explicit Table(std::vector<std::string> header);
  void add(std::vector<Cell> row);
  std::size_t rows() const { return rows_.size(); }
  // Nothing is cut: what is wide is as wide as it is.
  void print(Output& out, bool rule = false) const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<Cell>> rows_;
};

// Columns that a terminal takes for UTF-8 text.
std::size_t display_width(std::string_view text);

}  // namespace azoth::cli
