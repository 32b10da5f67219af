#include "query_expansion.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace azoth {

namespace {

constexpr std::size_t kMaxTables = 500;  // so that looking at it does not take long either

bool in_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}

std::string lower(std::string_view text) {
  std::string all(text);
  std::ranges::transform(all, all.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return all;
}

// Words and quoted names in lower case, other characters one by one; without blanks and comments.
std::vector<std::string> tokens(std::string_view text) {
  std::vector<std::string> all;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at + 1;
    const char c = text[at];
    if (text.substr(at, 2) == "--") {
      end = std::min(text.find('\n', at), text.size());
    } else if (text.substr(at, 2) == "/*") {
      end = std::min(text.find("*/", at + 2), text.size() - 2) + 2;
    } else if (c == '\'' || c == '"' || c == '`' || c == '[') {
      end = std::min(text.find(c == '[' ? ']' : c, at + 1), text.size());
      all.push_back(lower(text.substr(at + 1, end - at - 1)));
      ++end;
    } else if (in_word(c)) {
      while (end < text.size() && in_word(text[end])) ++end;
      all.push_back(lower(text.substr(at, end - at)));
    } else if (c != ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f') {
      all.emplace_back(1, c);
    }
    at = end;
  }
  return all;
}

class Expansions {
 public:
  explicit Expansions(std::vector<std::string> words) : words_(std::move(words)) {
    match_parentheses();
    for (std::size_t at = 0; at < words_.size(); ++at) define(at);
  }
  double all() { return count_ > kMaxTables ? HUGE_VAL : of(0, words_.size()); }

 private:
  struct Table {
    std::size_t begin;  // its body
    std::size_t end;
    double weight = -1;  // not known yet
    bool counting = false;
  };

  bool is(std::size_t at, std::string_view word) const { return at < words_.size() && words_[at] == word; }
  void match_parentheses() {
    std::vector<std::size_t> open;
    closing_.assign(words_.size(), words_.size());
    for (std::size_t at = 0; at < words_.size(); ++at) {
      if (words_[at] == "(") open.push_back(at);
      if (words_[at] != ")" || open.empty()) continue;
      closing_[open.back()] = at;
      open.pop_back();
    }
  }
  // NAME [(columns)] AS [[NOT] MATERIALIZED] (body)
  void define(std::size_t name) {
    std::size_t at = name + 1;
    if (is(at, "(")) at = closing_[at] + 1;
    if (!is(at, "as")) return;
    ++at;
    if (is(at, "not")) ++at;
    if (is(at, "materialized")) ++at;
    if (!is(at, "(")) return;
    tables_[words_[name]].push_back({at + 1, closing_[at]});
    ++count_;
  }
  bool names_table(std::size_t at) const {
    if (at == 0 || is(at + 1, ".") || is(at + 1, "(")) return false;
    const std::string& before = words_[at - 1];
    return before == "from" || before == "join" || before == "," || before == "(" || before == "in";
  }
  double of(std::size_t begin, std::size_t end) {
    double sum = 1;
    for (std::size_t at = begin; at < end; ++at) {
      if (!names_table(at)) continue;
      auto found = tables_.find(words_[at]);
      if (found == tables_.end()) continue;
      double most = 0;
      for (Table& table : found->second) most = std::max(most, of(table));
      sum += most;
    }
    return sum;
  }
  double of(Table& table) {
    if (table.counting) return 0;  // it names itself: recursion
    if (table.weight < 0) {
      table.counting = true;
      table.weight = of(table.begin, table.end);
      table.counting = false;
    }
    return table.weight;
  }

  const std::vector<std::string> words_;
  std::vector<std::size_t> closing_;  // of each opening parenthesis
  std::size_t count_ = 0;
  std::map<std::string, std::vector<Table>, std::less<>> tables_;
};

}  // namespace

double with_expansions(std::string_view text) { return Expansions(tokens(text)).all(); }

}  // namespace azoth
