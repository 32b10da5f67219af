#include "query_expansion.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace azoth {

namespace {

constexpr std::size_t kMaxTables = 500;         // of one statement, and of views
constexpr std::uint64_t kMaxLooks = 5'000'000;  // so that looking at it does not take long either
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::string_view kBlanks = " \t\n\v\f\r";

// Behind these a list of tables is over; names are not told from them by their quotation marks only.
constexpr std::array<std::string_view, 12> kEndFrom = {"except", "group",     "having", "intersect", "limit",  "order",
                                                       "select", "returning", "set",    "union",     "values", "where"};
constexpr std::array<std::string_view, 7> kOtherWords = {"as", "from", "in", "join", "materialized", "not", "with"};

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool in_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}

std::string lower(std::string_view text) {
  std::string all(text);
  std::ranges::transform(all, all.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return all;
}

// Behind the closing quotation mark; a doubled one does not close.
std::size_t end_of_quoted(std::string_view text, std::size_t at) {
  const char close = text[at] == '[' ? ']' : text[at];
  std::size_t end = at + 1;
  while ((end = std::min(text.find(close, end), text.size())) < text.size()) {
    if (close == ']' || text.substr(end + 1, 1) != text.substr(end, 1)) return end + 1;
    end += 2;
  }
  return end;
}

// What can be written as a word is one; anything else keeps a mark in front, so that it is not taken for a sign or for
// a word that means something.
std::string quoted_name(std::string_view quoted) {
  const char close = quoted[0] == '[' ? ']' : quoted[0];
  std::string name;
  for (std::size_t at = 1; at < quoted.size(); ++at) {
    if (quoted[at] == close && ++at >= quoted.size()) break;
    name += quoted[at];
  }
  name = lower(name);
  const bool as_a_word = !name.empty() && std::ranges::all_of(name, in_word);
  if (!as_a_word || is_one_of(kEndFrom, name) || is_one_of(kOtherWords, name)) name.insert(0, 1, '"');
  return name;
}

// ?1, :name, and Tcl's $name::of(index).
std::size_t end_of_parameter(std::string_view text, std::size_t at) {
  std::size_t end = at + 1;
  if (text[at] == '?') {
    while (end < text.size() && is_digit(text[end])) ++end;
    return end;
  }
  while (end < text.size()) {
    if (in_word(text[end])) {
      ++end;
    } else if (text.substr(end, 2) == "::") {
      end += 2;
    } else {
      break;
    }
  }
  if (end == at + 1 || end == text.size() || text[end] != '(') return end;
  end = std::min(text.find(')', end), text.find_first_of(kBlanks, end));
  return end >= text.size() ? text.size() : end + 1;
}

// As SQLite takes a text apart: words and quoted names in lower case, other characters one by one; without blanks and
// comments.
std::vector<std::string> tokens(std::string_view text) {
  std::vector<std::string> all;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at + 1;
    const char c = text[at];
    if (text.substr(at, 2) == "--") {
      end = std::min(text.find('\n', at), text.size());
    } else if (text.substr(at, 2) == "/*") {
      end = std::min(text.find("*/", at + 2), text.size() - 2) + 2;
    } else if (text.substr(at, 3) == kByteOrderMark) {
      end = at + kByteOrderMark.size();
    } else if (c == '\'' || c == '"' || c == '`' || c == '[') {
      end = end_of_quoted(text, at);
      all.push_back(quoted_name(text.substr(at, end - at)));
    } else if (c == '?' || c == ':' || c == '@' || c == '#' || c == '$') {
      end = end_of_parameter(text, at);
      all.emplace_back("?");
    } else if (in_word(c)) {
      while (end < text.size() && in_word(text[end])) ++end;
      all.push_back(lower(text.substr(at, end - at)));
    } else if (kBlanks.find(c) == std::string_view::npos) {
      all.emplace_back(1, c);
    }
    at = end;
  }
  return all;
}

class Expansions {
 public:
  explicit Expansions(std::vector<std::string> words) : words_(std::move(words)) {
    find_statements();
    match_parentheses();
    find_lists_of_tables();
    for (std::size_t at = 0; at < words_.size(); ++at) define(at);
  }
  // Of the statement that has most. One may fire all triggers, and then has what theirs have.
  double most() {
    if (too_many_) return HUGE_VAL;
    double most = 0;
    double of_triggers = 0;
    bool in_trigger = false;
    for (std::size_t at = 0; at < words_.size(); at = ends_[at] + 1) {
      in_trigger = in_trigger ? !is(at, "end") : begins_trigger(at);
      const double sum = of(at, ends_[at]);
      if (in_trigger) of_triggers += sum;
      most = std::max(most, sum);
    }
    return std::max(most, of_triggers);
  }

 private:
  struct Table {
    std::size_t begin;  // its body
    std::size_t end;
    bool is_view;           // all statements see it
    double weight = -1;     // not known yet
    std::size_t depth = 0;  // while it is counted: of how many that are
  };

  bool is(std::size_t at, std::string_view word) const { return at < words_.size() && words_[at] == word; }
  void find_statements() {
    ends_.assign(words_.size(), words_.size());
    for (std::size_t at = words_.size(); at-- > 0;) {
      ends_[at] = words_[at] == ";" ? at : at + 1 < words_.size() ? ends_[at + 1] : words_.size();
    }
  }
  void match_parentheses() {
    std::vector<std::size_t> open;
    closing_ = ends_;
    for (std::size_t at = 0; at < words_.size(); ++at) {
      if (words_[at] == ";") open.clear();
      if (words_[at] == "(") open.push_back(at);
      if (words_[at] != ")" || open.empty()) continue;
      closing_[open.back()] = at;
      open.pop_back();
    }
  }
  // Its statements end in semicolons, too; behind the last of them stands END.
  bool begins_trigger(std::size_t at) const {
    return is(at, "create") && (is(at + 1, "trigger") || is(at + 2, "trigger"));  // CREATE TEMP TRIGGER
  }
  // Of WITH: NAME [(columns)] AS [[NOT] MATERIALIZED] (body). Of CREATE VIEW: NAME [(columns)] AS body.
  void define(std::size_t name) {
    std::size_t at = name + 1;
    if (is(at, "(")) at = closing_[at] + 1;
    if (!is(at, "as")) return;
    ++at;
    const bool is_view = is(at, "select") || is(at, "with") || is(at, "values");
    if (is(at, "not")) ++at;
    if (is(at, "materialized")) ++at;
    if (!is_view && !is(at, "(")) return;
    tables_[words_[name]].push_back(is_view ? Table{at, ends_[at], true} : Table{at + 1, closing_[at], false});
    too_many_ = too_many_ || ++counts_[is_view ? SIZE_MAX : ends_[name]] > kMaxTables;
  }
  // Where a comma or a parenthesis stands between tables: behind FROM and JOIN, until another clause begins. A
  // parenthesis that does not stand there itself begins something else.
  void find_lists_of_tables() {
    in_tables_.assign(words_.size(), false);
    std::vector<bool> outside;
    bool inside = false;
    for (std::size_t at = 0; at < words_.size(); ++at) {
      const std::string& word = words_[at];
      if (word == "(") {
        const bool listed = at > 0 && (is(at - 1, "from") || is(at - 1, "join") || is(at - 1, ",") || is(at - 1, "("));
        outside.push_back(inside);
        inside = inside && listed;
      } else if (word == ")" && !outside.empty()) {
        inside = outside.back();
        outside.pop_back();
      } else if (word == ";") {
        outside.clear();
        inside = false;
      } else if (word == "from" || word == "join") {
        inside = true;
      } else if (is_one_of(kEndFrom, word)) {
        inside = false;
      }
      in_tables_[at] = inside;
    }
  }
  bool is_qualified(std::size_t at) const { return at > 2 && words_[at - 1] == "."; }
  bool names_table(std::size_t at) const {
    if (at == 0 || is(at + 1, ".") || is(at + 1, "(")) return false;
    const std::size_t before = is_qualified(at) ? at - 3 : at - 1;
    return is(before, "from") || is(before, "join") || is(before, "in") ||
           (in_tables_[before] && (is(before, ",") || is(before, "(")));
  }
  double of(std::size_t begin, std::size_t end) {
    double sum = 1;
    for (std::size_t at = begin; at < end; ++at) {
      if (++looks_ > kMaxLooks) return HUGE_VAL;
      if (!names_table(at)) continue;
      auto found = tables_.find(words_[at]);
      if (found != tables_.end()) sum += of(found->second, at);
    }
    return sum;
  }
  double of(std::vector<Table>& named, std::size_t at) {
    double most = 0;
    for (Table& table : named) {
      ++looks_;
      const bool seen = table.is_view || (!is_qualified(at) && ends_[table.begin - 1] == ends_[at]);
      if (seen) most = std::max(most, of(table));
    }
    return most;
  }
  // One that names itself, be it through others, is recursive, or two scopes use its name. What is counted below it
  // then counts without it, and is not kept: from elsewhere it is more.
  double of(Table& table) {
    if (table.depth > 0) {
      lowest_ = std::min(lowest_, table.depth);
      return 0;
    }
    if (table.weight >= 0) return table.weight;
    const std::size_t lowest_before = std::exchange(lowest_, SIZE_MAX);
    table.depth = ++depth_;
    const double weight = of(table.begin, table.end);
    if (lowest_ >= table.depth) {
      table.weight = weight;
      lowest_ = SIZE_MAX;
    }
    table.depth = 0;
    --depth_;
    lowest_ = std::min(lowest_, lowest_before);
    return weight;
  }

  const std::vector<std::string> words_;
  std::vector<std::size_t> ends_;              // of each word's statement
  std::vector<std::size_t> closing_;           // of each opening parenthesis
  std::vector<bool> in_tables_;                // of each word, whether it stands in a list of tables
  std::map<std::size_t, std::size_t> counts_;  // of the tables of each statement, by its end
  bool too_many_ = false;
  std::uint64_t looks_ = 0;
  std::size_t depth_ = 0;
  std::size_t lowest_ = SIZE_MAX;  // of those met while they were counted
  std::map<std::string, std::vector<Table>, std::less<>> tables_;
};

}  // namespace

double with_expansions(std::string_view text) { return Expansions(tokens(text)).most(); }

}  // namespace azoth
