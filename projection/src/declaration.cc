// Parsing a declaration, and the handlers that it stands for.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "azoth/core/error.h"
#include "azoth/core/file.h"
#include "azoth/projection/sql_projection.h"
#include "json_fields.h"
#include "query_expansion.h"
#include "sqlite.h"

namespace azoth {

namespace {

constexpr std::string_view kMark = "-- azoth:";
constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;

enum class Parameter { EventId, CommitSeq, EventType, EventTime, Tags, Payload, Field };

struct Reserved {
  std::string_view name;
  Parameter parameter;
};
constexpr Reserved kReserved[] = {{"event_id", Parameter::EventId},
                                  {"commit_seq", Parameter::CommitSeq},
                                  {"event_type", Parameter::EventType},
                                  {"event_time", Parameter::EventTime},
                                  {"tags", Parameter::Tags},
                                  {"payload", Parameter::Payload}};

Parameter parameter_named(std::string_view name) {
  for (const Reserved& reserved : kReserved) {
    if (reserved.name == name) return reserved.parameter;
  }
  return Parameter::Field;
}

struct Statement {
  struct Bound {
    Parameter parameter;
    std::string field;
    bool optional = false;
  };
  std::string text;
  std::vector<Bound> bound;  // by index, from 1
};

// What is run for one `on`.
class SqlHandler {
 public:
  explicit SqlHandler(std::vector<Statement> statements) : statements_(std::move(statements)) {
    for (const Statement& statement : statements_) {
      for (const Statement::Bound& bound : statement.bound) needs_fields_ |= bound.parameter == Parameter::Field;
    }
  }

  void operator()(const EventView& event, Sql& sql) const {
    std::optional<JsonFields> fields;
    if (needs_fields_) fields.emplace(event.payload());
    for (const Statement& statement : statements_) {
      SqlStatement prepared = sql.prepare(statement.text);
      int index = 0;
      for (const Statement::Bound& bound : statement.bound) bind(prepared, ++index, bound, event, fields);
      prepared.run();
    }
  }

 private:
  static void bind(SqlStatement& statement, int index, const Statement::Bound& bound, const EventView& event,
                   const std::optional<JsonFields>& fields) {
    switch (bound.parameter) {
      case Parameter::EventId:
        statement.bind(index, static_cast<std::int64_t>(event.id()));
        return;
      case Parameter::CommitSeq:
        statement.bind(index, static_cast<std::int64_t>(event.commit_seq()));
        return;
      case Parameter::EventType:
        statement.bind(index, event.type());
        return;
      case Parameter::EventTime:
        statement.bind(index, format_time(event.time()));
        return;
      case Parameter::Tags:
        statement.bind(index, json_array(event.tags()));
        return;
      case Parameter::Payload:
        statement.bind(index, event.payload());
        return;
      case Parameter::Field:
        if (fields->bind(statement, index, bound.field)) return;
        if (!bound.optional) throw Error(ErrorCode::InvalidArgument, "its payload has no field " + bound.field);
        statement.bind(index, nullptr);
    }
  }

  std::vector<Statement> statements_;
  bool needs_fields_ = false;
};

// A part of the text between two directives that begin something: the schema, or what stands behind an `on`.
struct Section {
  std::string pattern;  // empty: the schema
  int line = 0;         // of its directive
  std::size_t begin = 0;
  std::size_t end = 0;
  struct Optional {
    std::string field;
    int line;
  };
  std::vector<Optional> optional;
};

class Parser {
 public:
  Parser(std::string_view text, std::string file) : text_(text), file_(std::move(file)) {}

  Projection parse() {
    read_directives();
    if (!projection_) fail(1, "it does not begin with -- azoth:projection NAME version N");
    check_expansions();
    Section& schema = sections_.front();
    run_schema(schema);
    projection_->schema(std::string(text_.substr(schema.begin, schema.end - schema.begin)));
    for (std::size_t i = 1; i < sections_.size(); ++i) add_handler(sections_[i]);
    projection_->fingerprint(std::string(text_));
    return *std::move(projection_);
  }

 private:
  // A section's last statement may do without its semicolon.
  void check_expansions() const {
    std::string statements;
    for (const Section& section : sections_) {
      statements.append(text_.substr(section.begin, section.end - section.begin)).append("\n;\n");
    }
    if (with_expansions(statements) > kMaxWithExpansions) {
      fail(1, "its views or the tables of a WITH name each other too often: written out they would be more than 10000");
    }
    for (const Columns columns : {Columns::AsTheyAre, Columns::Flattened}) {
      if (column_copies(statements, columns) <= kMaxColumnCopies) continue;
      fail(1,
           "columns of SELECTs in one another name each other too often: written out they would be more than 200000");
    }
  }
  [[noreturn]] void fail(int line, const std::string& why) const {
    throw Error(ErrorCode::InvalidArgument, file_ + ":" + std::to_string(line) + ": " + why);
  }

  int line_at(std::size_t offset) const {
    int line = 1;
    for (char c : text_.substr(0, offset)) line += c == '\n';
    return line;
  }

  // Where a statement really begins, behind blanks and comments.
  std::size_t first_token(std::size_t at) const {
    while (at < text_.size()) {
      if (std::isspace(static_cast<unsigned char>(text_[at])) != 0) {
        ++at;
      } else if (text_.substr(at).starts_with("--")) {
        at = std::min(text_.find('\n', at), text_.size());
      } else if (text_.substr(at).starts_with("/*")) {
        const std::size_t close = text_.find("*/", at + 2);
        at = close == std::string_view::npos ? text_.size() : close + 2;
      } else {
        break;
      }
    }
    return at;
  }

  static std::vector<std::string> words_of(std::string_view line) {
    std::vector<std::string> words;
    std::size_t at = 0;
    while ((at = line.find_first_not_of(" \t\r", at)) != std::string_view::npos) {
      const std::size_t end = std::min(line.find_first_of(" \t\r", at), line.size());
      words.emplace_back(line.substr(at, end - at));
      at = end;
    }
    return words;
  }

  void read_directives() {
    int number = 0;
    for (std::size_t at = 0; at < text_.size();) {
      const std::size_t end = std::min(text_.find('\n', at), text_.size());
      std::string_view line = text_.substr(at, end - at);
      ++number;
      const std::size_t mark = line.find_first_not_of(" \t");
      if (mark != std::string_view::npos && line.substr(mark).starts_with(kMark)) {
        directive(words_of(line.substr(mark + kMark.size())), number, at, end);
      }
      at = end + 1;
    }
    if (!sections_.empty()) sections_.back().end = text_.size();
  }

  void directive(const std::vector<std::string>& words, int line, std::size_t begin, std::size_t end) {
    const std::string what = words.empty() ? "" : words[0];
    if (what == "projection") {
      if (projection_) fail(line, "a declaration has one projection");
      if (const std::size_t first = first_token(0); first < begin) {
        fail(line_at(first),
             "this stands in front of -- azoth:projection NAME version N, with which a declaration begins");
      }
      name_projection(words, line);
      sections_.push_back({"", line, end, end, {}});
    } else if (!projection_) {
      fail(line, "a declaration begins with -- azoth:projection NAME version N");
    } else if (what == "on") {
      if (words.size() != 2) fail(line, "it is -- azoth:on TYPE, or a prefix with a * at its end");
      sections_.back().end = begin;
      sections_.push_back({words[1], line, end, end, {}});
    } else if (what == "optional") {
      if (words.size() != 2) fail(line, "it is -- azoth:optional FIELD");
      if (sections_.size() < 2) fail(line, "an optional field belongs behind an -- azoth:on");
      if (parameter_named(words[1]) != Parameter::Field) fail(line, words[1] + " is always there, and reserved");
      sections_.back().optional.push_back({words[1], line});
    } else {
      fail(line, "there is no directive azoth:" + what + "; there are projection, on and optional");
    }
  }

  void name_projection(const std::vector<std::string>& words, int line) {
    std::uint32_t version = 0;
    bool right = words.size() == 4 && words[2] == "version";
    if (right) {
      const std::string& number = words[3];
      auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), version);
      right = error == std::errc{} && end == number.data() + number.size();
    }
    if (!right) fail(line, "it is -- azoth:projection NAME version N, and N is a number");
    try {
      projection_.emplace(words[1], version);
    } catch (const Error& error) {
      fail(line, error.what());
    }
  }

  template <class Each>
  void for_each_statement(const Section& section, Each each) {
    std::string_view rest = text_.substr(section.begin, section.end - section.begin);
    while (!rest.empty()) {
      const int line = line_at(first_token(static_cast<std::size_t>(rest.data() - text_.data())));
      try {
        Connection::UserMode user(database_);
        Connection::First first = database_.first_statement(rest);
        rest = first.rest;
        if (!first.empty) each(first, line);
      } catch (const Error& error) {
        if (error.code() != ErrorCode::SqlFailed) throw;
        fail(line, error.what());
      }
    }
  }

  void run_schema(const Section& schema) {
    for_each_statement(schema, [&](const Connection::First& first, int line) {
      if (!first.parameters.empty()) fail(line, "the schema cannot have parameters: there is no event");
      database_.run_script(first.text);
    });
  }

  void add_handler(const Section& section) {
    std::vector<Statement> statements;
    std::set<std::string> unused;
    for (const Section::Optional& optional : section.optional) unused.insert(optional.field);
    const std::set<std::string> optional = unused;
    for_each_statement(section, [&](const Connection::First& first, int line) {
      Statement statement{std::string(first.text), {}};
      for (const std::string& parameter : first.parameters) {
        if (parameter[0] != ':') fail(line, "parameters are written :name, and this is " + parameter);
        std::string field = parameter.substr(1);
        unused.erase(field);
        const bool may_be_missing = optional.contains(field);
        statement.bound.push_back({parameter_named(field), std::move(field), may_be_missing});
      }
      statements.push_back(std::move(statement));
    });
    if (statements.empty()) fail(section.line, "nothing is done on " + section.pattern);
    for (const Section::Optional& declared : section.optional) {
      if (unused.contains(declared.field)) fail(declared.line, "no statement here uses :" + declared.field);
    }
    try {
      projection_->on(section.pattern, SqlHandler(std::move(statements)));
    } catch (const Error& error) {
      fail(section.line, error.what());
    }
  }

  const std::string_view text_;
  const std::string file_;
  Connection database_{Connection::Bounded{}};   // empty but for the schema: what prepares here prepares in the file
  const SqlTransaction transaction_{database_};  // as there
  std::optional<Projection> projection_;
  std::vector<Section> sections_;
};

}  // namespace

Projection SqlProjection::from_text(std::string_view text, const std::string& file) {
  return Parser(text, file).parse();
}

Projection SqlProjection::from_file(const std::filesystem::path& file) {
  return from_text(read_file(FileSystem::posix(), file, kMaxFileBytes), file.string());
}

}  // namespace azoth
