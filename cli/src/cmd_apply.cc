#include <fmt/format.h>
#include <unistd.h>

#include <chrono>

#include "commands.h"
#include "commit_queue.h"
#include "json_reader.h"
#include "line_parser.h"
#include "line_reader.h"
#include "progress.h"
#include "submission.h"
#include "text.h"

namespace azoth::cli {
namespace {

// How long a line waits for memory and journal space before that is an error: the disk is slower than the input, and
// waiting is what apply is there for.
constexpr auto kPatience = std::chrono::minutes{5};

// Hex and JSON need at most about twice the bytes they stand for.
std::size_t longest_line(const Options& options) { return 2 * options.max_transaction_bytes + (std::size_t{1} << 20); }

// An error that is the line's own, not the store's.
bool about_the_line(const Error& error) {
  return error.code() <= ErrorCode::TooManyOperations || error.code() == ErrorCode::CommandMismatch;
}

class Applier {
 public:
  Applier(Context& context, const ApplyArgs& args, const InputFile& input, Db& db)
      : context_(context),
        args_(args),
        input_(input),
        db_(db),
        queue_(args.durability, args.pipeline, args.ack ? STDOUT_FILENO : -1),
        reader_(input, longest_line(context.globals.options), queue_.stop_fd()),
        progress_("lines") {}

  Exit run() {
    try {
      Exit exit = apply_lines();
      queue_.finish();
      summarize();
      return exit;
    } catch (const Error&) {
      // What reached the level before the trouble did so.
      settle_quietly();
      summarize();
      throw;
    }
  }

 private:
  Exit apply_lines();
  bool apply_line(const LineReader::Line& line);
  bool submit(const LineReader::Line& line, const TransactionLine& transaction);
  bool refuse(std::uint64_t number, std::string_view code, const std::string& message, Exit why = Exit::Failure);
  bool reject(std::uint64_t number, const Rejection& rejection);
  bool stop_or_go_on(JsonObject& object, const std::string& text, Exit why);
  void settle_quietly();
  void summarize();

  Context& context_;
  const ApplyArgs& args_;
  const InputFile& input_;
  Db& db_;
  CommitQueue queue_;
  LineReader reader_;
  Progress progress_;
  std::uint64_t refused_ = 0;
  Exit stopped_ = Exit::Ok;    // why it ends early
  std::uint64_t ends_at_ = 0;  // the line that the store has not taken
};

Exit Applier::apply_lines() {
  while (std::optional<LineReader::Line> line = reader_.next()) {
    if (!apply_line(*line) && !args_.keep_going) return stopped_;
    progress_.update(
        {.items = line->number, .bytes = reader_.bytes(), .done = reader_.bytes(), .total = input_.size()});
  }
  return refused_ == 0 ? Exit::Ok : Exit::Refused;
}

// Whether the line was taken.
bool Applier::apply_line(const LineReader::Line& line) {
  if (line.too_long) {
    return refuse(line.number, "invalid_line",
                  fmt::format("longer than {} bytes", longest_line(context_.globals.options)));
  }
  if (line.text.find_first_not_of(" \t\r") == std::string_view::npos) return true;
  try {
    return submit(line, parse_line(line.text));
  } catch (const JsonError& error) {
    return refuse(line.number, "invalid_line", error.what());
  } catch (const Error& error) {
    if (!about_the_line(error)) throw;
    ends_at_ = 0;
    return refuse(line.number, error_name(error.code()), error.what(), exit_for(error));
  }
}

bool Applier::submit(const LineReader::Line& line, const TransactionLine& transaction) {
  std::vector<Condition> conditions = conditions_of(transaction);
  SubmitOptions options{.level = args_.durability, .timeout = kPatience};
  if (transaction.command) options.command = Command{.id = *transaction.command, .fingerprint = line.text};
  ends_at_ = line.number;
  Outcome<Ticket> outcome = db_.submit(write_set_of(transaction), conditions, options);
  ends_at_ = 0;
  if (!outcome) return reject(line.number, outcome.rejection());
  queue_.push(line.number, *outcome);
  return true;
}

bool Applier::refuse(std::uint64_t number, std::string_view code, const std::string& message, Exit why) {
  JsonObject object;
  object.number("line", number).text("error", code).text("message", terminal_safe(message));
  return stop_or_go_on(object, fmt::format("line {}: {}", number, message), why);
}

bool Applier::reject(std::uint64_t number, const Rejection& rejection) {
  JsonObject object;
  add_rejection(object.number("line", number), rejection);
  return stop_or_go_on(object, fmt::format("line {}: rejected: {}", number, rejection.message()), Exit::Refused);
}

// Reports a line that was refused. If this is where it ends, everything before the line is settled and acknowledged
// first.
bool Applier::stop_or_go_on(JsonObject& object, const std::string& text, Exit why) {
  ++refused_;
  stopped_ = why;
  if (!args_.keep_going) queue_.finish();
  progress_.clear();
  report_object(context_, object, text);
  return false;
}

void Applier::settle_quietly() {
  try {
    queue_.finish();
  } catch (...) {  // the first one is being reported
  }
}

// Leaves it in the buffer: that it cannot be written must not take the place of an error that ends the command.
void Applier::summarize() {
  progress_.clear();
  const CommitQueue::Totals& totals = queue_.totals();
  // A commit that failed is one of a line that was taken before.
  const std::uint64_t ended = queue_.failed_line() != 0 ? queue_.failed_line() : ends_at_;
  double seconds = progress_.seconds();
  if (context_.json()) {
    return context_.out.json(JsonObject()
                                 .number("transactions", totals.transactions)
                                 .number("events", totals.events)
                                 .number_or_null("first_event", totals.first_event)
                                 .number_or_null("last_event", totals.last_event)
                                 .number("repeated", totals.repeated)
                                 .number("refused", refused_)
                                 .number_or_null("ended_at_line", ended)
                                 .decimal("seconds", seconds)
                                 .finish());
  }
  std::string text =
      fmt::format("applied {} transactions, {} events", grouped(totals.transactions), grouped(totals.events));
  if (totals.events != 0) text += fmt::format(" ({} to {})", totals.first_event, totals.last_event);
  if (totals.repeated != 0) text += fmt::format(", repeated {} lines", grouped(totals.repeated));
  if (refused_ != 0) text += fmt::format(", refused {} lines", grouped(refused_));
  text += fmt::format(" in {:.3f} s", seconds);
  if (ended != 0) text += fmt::format("; ended at line {}", grouped(ended));
  if (args_.ack) return write_message(text);
  context_.out.line(text);
}

}  // namespace

Exit run_apply(Context& context, const ApplyArgs& args) {
  InputFile input(args.file);
  Db db = open_store(context);
  Exit exit = Applier(context, args, input, db).run();
  db.close();
  return exit;
}

}  // namespace azoth::cli
