// Rows in aligned columns.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "output.h"

namespace azoth::cli {

class Table {
 public:
  struct Cell {
    std::string text;  // one line, safe for a terminal
    bool right = false;
  };

  Table(Output& out, std::vector<std::string> header);
  // The columns are as wide as the first thousand rows need; later ones are printed as they come, and nothing is cut.
  void add(std::vector<Cell> row);
  void finish();  // prints what there is; the header, too, if there are no rows

 private:
  void begin();
  void print(const std::vector<Cell>& row);

  Output& out_;
  std::vector<std::string> header_;
  std::vector<std::vector<Cell>> waiting_;
  std::vector<std::size_t> widths_;
  bool begun_ = false;
};

// How many columns a terminal needs for UTF-8 text.
std::size_t display_width(std::string_view text);

}  // namespace azoth::cli
