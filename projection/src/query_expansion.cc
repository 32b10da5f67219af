#include "query_expansion.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace azoth {

namespace {

constexpr std::size_t kMaxTables = 500;         // of one statement, and of views
constexpr std::uint64_t kMaxLooks = 5'000'000;  // so that looking at it does not take long either
constexpr int kMaxNesting = 200;                // SELECTs in one another; SQLite itself ends there, or before
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::string_view kBlanks = " \t\n\v\f\r";

// Behind these a list of tables is over; names are not told from them by their quotation marks only.
constexpr std::array<std::string_view, 12> kEndFrom = {"except", "group",     "having", "intersect", "limit",  "order",
                                                       "select", "returning", "set",    "union",     "values", "where"};
constexpr std::array<std::string_view, 7> kOtherWords = {"as", "from", "in", "join", "materialized", "not", "with"};

// These, too, cannot be names without quotation marks, and are no operands.
constexpr std::array<std::string_view, 23> kReserved = {
    "all", "and",    "as",   "between", "case",    "collate", "distinct", "else", "escape", "exists", "from", "in",
    "is",  "isnull", "join", "not",     "notnull", "null",    "on",       "or",   "then",   "using",  "when"};
// These may have an operand behind them, too, though they could be names.
constexpr std::array<std::string_view, 6> kBeforeOperand = {"by", "glob", "like", "match", "offset", "regexp"};

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

bool is_reserved(std::string_view word) { return is_one_of(kEndFrom, word) || is_one_of(kReserved, word); }

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
  if (!as_a_word || is_reserved(name) || is_one_of(kOtherWords, name)) name.insert(0, 1, '"');
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
  explicit Expansions(std::vector<std::string> words, Columns columns = Columns::AsTheyAre)
      : words_(std::move(words)), flattened_(columns == Columns::Flattened) {
    find_statements();
    match_parentheses();
    find_lists_of_tables();
    for (std::size_t at = 0; at < words_.size(); ++at) define(at);
  }
  double most_tables() {
    if (too_many_) return HUGE_VAL;
    return most([&](std::size_t begin, std::size_t end) { return of(begin, end); });
  }
  // Making a view writes nothing out.
  double most_copies() {
    if (too_many_ && flattened_) return HUGE_VAL;
    return most([&](std::size_t begin, std::size_t end) {
      const bool makes_view = is(begin, "create") && (is(begin + 1, "view") || is(begin + 2, "view"));
      return makes_view ? 0 : weigh(begin, end, 1).copies;
    });
  }

 private:
  // Of a SELECT: how many operands it has when all is written out, how many of these its text does not have, how many
  // its largest result column has; and the SELECTs that it is a compound of.
  struct Weight {
    double size = 0;
    double copies = 0;
    double column = 1;
    double selects = 1;
  };
  struct Table {
    std::size_t begin;  // its body
    std::size_t end;
    bool is_view;  // all statements see it
    std::optional<double> tables = {};
    std::optional<Weight> weight = {};
    std::size_t depth = 0;  // while it is counted: of how many that are
  };

  // Of the statement that has most. One may fire all triggers, and then has what theirs have.
  template <class Count>
  double most(Count count) {
    double most = 0;
    double of_triggers = 0;
    bool in_trigger = false;
    for (std::size_t at = 0; at < words_.size(); at = ends_[at] + 1) {
      in_trigger = in_trigger ? !is(at, "end") : begins_trigger(at);
      const double sum = count(at, ends_[at]);
      if (in_trigger) of_triggers += sum;
      most = std::max(most, sum);
    }
    return std::max(most, of_triggers);
  }

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
    tables_[words_[name]].push_back(is_view ? Table{.begin = at, .end = ends_[at], .is_view = true}
                                            : Table{.begin = at + 1, .end = closing_[at], .is_view = false});
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
      if (is_seen(table, at)) most = std::max(most, of(table));
    }
    return most;
  }
  bool is_seen(const Table& table, std::size_t at) const {
    return table.is_view || (!is_qualified(at) && ends_[table.begin - 1] == ends_[at]);
  }
  double of(Table& table) {
    return counted(table, table.tables, [&] { return of(table.begin, table.end); });
  }
  // One that names itself, be it through others, is recursive, or two scopes use its name. What is counted below it
  // then counts without it, and is not kept: from elsewhere it is more.
  template <class Value, class Count>
  Value counted(Table& table, std::optional<Value>& known, Count count) {
    if (table.depth > 0) {
      lowest_ = std::min(lowest_, table.depth);
      return {};
    }
    if (known) return *known;
    const std::size_t lowest_before = std::exchange(lowest_, SIZE_MAX);
    table.depth = ++depth_;
    const Value value = count();
    if (lowest_ >= table.depth) {
      known = value;
      lowest_ = SIZE_MAX;
    }
    table.depth = 0;
    --depth_;
    lowest_ = std::min(lowest_, lowest_before);
    return value;
  }

  // --- Columns

  bool begins_select(std::size_t at) const {
    return at < words_.size() && words_[at] == "(" &&
           (is(at + 1, "select") || is(at + 1, "with") || is(at + 1, "values"));
  }
  bool is_name(std::size_t at) const {
    const std::string& word = words_[at];
    return (in_word(word[0]) && !is_reserved(word)) || word[0] == '"';
  }
  // What may stand for a column: no keyword, number, function or table; no new name, be it without AS.
  bool is_operand(std::size_t at) const {
    if (words_[at] == "*") return at > 0 && !is_operand_before_sign(at);
    if (!is_name(at) || is_digit(words_[at][0]) || is(at + 1, "(") || is(at + 1, ".")) return false;
    if (at == 0) return true;
    const std::string& before = words_[at - 1];
    if (before == "as" || before == "collate" || before == ")") return false;
    return !is_name(at - 1) || is_one_of(kBeforeOperand, before);
  }
  // Whether a * multiplies; else it is all columns.
  bool is_operand_before_sign(std::size_t at) const {
    const std::string& before = words_[at - 1];
    return before == ")" || before == "?" || before == "null" || is_name(at - 1);
  }
  // Those that are tables of their own: of FROM, and of WITH.
  bool is_table(std::size_t select) const {
    return in_tables_[select] || (select > 0 && (is(select - 1, "as") || is(select - 1, "materialized")));
  }
  static double bounded(double number) { return std::min(number, 1e100); }  // the largest is not multiplied with 0
  // An operand stands for as much as the largest column of the tables or, behind the result columns, of these. `outer`:
  // as much as those of the SELECTs around it.
  Weight weigh(std::size_t begin, std::size_t end, double outer) {
    if (nesting_ >= kMaxNesting) return {.copies = flattened_ ? HUGE_VAL : 0};
    ++nesting_;
    const Weight tables = weigh_tables(begin, end, outer);
    Weight all;
    double selects = 0;
    double item = 0;
    bool in_items = false;
    std::size_t depth = 0;
    for (std::size_t at = begin; at < end; ++at) {
      if (++looks_ > kMaxLooks) return {.copies = HUGE_VAL};
      const std::string& word = words_[at];
      const double each = bounded(std::max(tables.column, in_items ? 1 : all.column));
      if (begins_select(at)) {
        const std::size_t closing = std::min(closing_[at], end);
        if (!is_table(at)) {
          const Weight inner = weigh(at + 1, closing, each);
          item += inner.size;
          all.size += inner.size;
          all.copies += inner.copies;
        }
        at = closing;
      } else if (word == "(") {
        ++depth;
      } else if (word == ")") {
        if (depth > 0) --depth;
      } else if (is_operand(at)) {
        item += each;
        all.size += each;
        all.copies += each - 1;
      } else if (depth == 0 && (word == "," || is_one_of(kEndFrom, word) || ends_items(at))) {
        if (in_items) all.column = std::max(all.column, item);
        item = 0;
        in_items = word == "select" || word == "values" || (word == "," && in_items);
        if (word == "select") ++selects;
      }
    }
    if (in_items) all.column = std::max(all.column, item);
    --nesting_;
    all.copies = all.copies * tables.selects + (tables.selects - 1) * all.size + tables.copies;
    all.selects = std::max(selects, 1.0) * tables.selects;
    return all;
  }
  bool ends_items(std::size_t at) const { return is(at, "from") && !(at > 0 && is(at - 1, "distinct")); }
  // SQLite writes the columns of a SELECT in FROM out where they are named, and what names them once for each SELECT of
  // a compound.
  Weight weigh_tables(std::size_t begin, std::size_t end, double outer) {
    Weight all{.column = outer};
    const auto add = [&](const Weight& table) {
      all.copies += table.copies;
      if (!flattened_) return;
      all.column = std::max(all.column, table.column);
      all.selects = bounded(all.selects * table.selects);
    };
    for (std::size_t at = begin; at < end; ++at) {
      if (++looks_ > kMaxLooks) return {.copies = HUGE_VAL};
      if (begins_select(at)) {
        const std::size_t closing = std::min(closing_[at], end);
        if (in_tables_[at]) add(weigh(at + 1, closing, outer));
        at = closing;
      } else if (names_table(at)) {
        if (auto found = tables_.find(words_[at]); found != tables_.end()) add(weigh(found->second, at, outer));
      }
    }
    return all;
  }
  Weight weigh(std::vector<Table>& named, std::size_t at, double outer) {
    Weight most;
    for (Table& table : named) {
      ++looks_;
      if (!is_seen(table, at)) continue;
      std::optional<Weight> unknown;
      const Weight one = counted(table, outer == 1 || table.is_view ? table.weight : unknown,
                                 [&] { return weigh(table.begin, table.end, table.is_view ? 1 : outer); });
      most.copies = std::max(most.copies, one.copies);
      most.column = std::max(most.column, one.column);
      most.selects = std::max(most.selects, one.selects);
    }
    return most;
  }

  const std::vector<std::string> words_;
  const bool flattened_;
  std::vector<std::size_t> ends_;              // of each word's statement
  std::vector<std::size_t> closing_;           // of each opening parenthesis
  std::vector<bool> in_tables_;                // of each word, whether it stands in a list of tables
  std::map<std::size_t, std::size_t> counts_;  // of the tables of each statement, by its end
  bool too_many_ = false;
  std::uint64_t looks_ = 0;
  int nesting_ = 0;
  std::size_t depth_ = 0;
  std::size_t lowest_ = SIZE_MAX;  // of those met while they were counted
  std::map<std::string, std::vector<Table>, std::less<>> tables_;
};

}  // namespace

double with_expansions(std::string_view text) { return Expansions(tokens(text)).most_tables(); }

namespace {

// Most queries are one SELECT, and short. An operand and what is between it and the next take two bytes at least, so
// that there are at most so many, and half of them may be written out for each of the others.
bool is_short_and_plain(std::string_view text) {
  constexpr std::size_t kShortBytes = 1'700;
  static_assert(kShortBytes / 4 * (kShortBytes / 4) < kMaxColumnCopies);
  if (text.size() > kShortBytes) return false;
  const std::string all = lower(text);
  const std::size_t first = all.find("select");
  return all.find("select", first + 1) == std::string::npos && all.find("values") == std::string::npos;
}

}  // namespace

double column_copies(std::string_view text, Columns columns) {
  return is_short_and_plain(text) ? 0 : Expansions(tokens(text), columns).most_copies();
}

}  // namespace azoth
