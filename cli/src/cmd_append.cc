#include <fmt/format.h>

#include "azoth/core/limits.h"
#include "commands.h"
#include "json_reader.h"
#include "line_reader.h"
#include "submission.h"

namespace azoth::cli {
namespace {

std::string read_standard_input(std::size_t limit) {
  std::string bytes = read_all(InputFile("-"), limit + 1);
  if (bytes.size() > limit) {
    throw Error(ErrorCode::EventTooLarge, fmt::format("the payload on standard input exceeds {} bytes", limit));
  }
  if (bytes.ends_with('\n')) bytes.pop_back();
  return bytes;
}

// TAG=VERSION, where the tag may have a = of its own.
Condition expectation_of(const std::string& text) {
  std::size_t equals = text.rfind('=');
  std::optional<ExpectedVersion> version;
  if (equals != std::string::npos) version = parse_expected(std::string_view(text).substr(equals + 1));
  if (!version) {
    throw UsageError(fmt::format(
        "--expect takes TAG=VERSION, where VERSION is the id of an event (from 1), none, exists or any, not {}", text));
  }
  return Condition::tag_version(std::string_view(text).substr(0, equals), *version);
}

std::vector<Condition> conditions_of(const AppendArgs& args) {
  std::vector<Condition> conditions;
  if (!args.if_none_tags.empty()) {
    EventPattern pattern{.types = args.if_none_types, .tags = args.if_none_tags};
    conditions.push_back(Condition::no_event({std::move(pattern)}, args.after.value_or(0)));
  } else if (!args.if_none_types.empty()) {
    throw UsageError("--if-none-type needs at least one --if-none-tag");
  } else if (args.after) {
    throw UsageError("--after says since when there must be no event with --if-none-tag, which is not given");
  }
  for (const std::string& text : args.expect) conditions.push_back(expectation_of(text));
  return conditions;
}

// Of what is to be appended; its conditions are no part of it.
std::string event_fingerprint(const Event& event, const AppendArgs& args) {
  std::string fingerprint = fingerprint_of({"append", event.type, event.payload, event.metadata});
  fingerprint += fingerprint_of({args.time.value_or("")});
  for (std::string_view tag : event.tags) fingerprint += fingerprint_of({tag});
  return fingerprint;
}

std::string payload_of(const AppendArgs& args, const Options& options) {
  std::string given = args.payload ? *args.payload : args.payload_option.value_or("");
  // Twice the limit, as the payload may be hex; the store checks the limit itself.
  if (given == "-") given = read_standard_input(2 * options.max_event_bytes + 1);
  return argument_bytes(given, args.hex, "PAYLOAD");
}

void print(Context& context, const AppendArgs& args, const CommitInfo& commit) {
  if (context.json()) {
    JsonObject result;
    result.number_or_null("event", commit.last_event).number("commit", commit.commit_seq);
    context.out.json(add_repeat(result, commit).finish());
  } else {
    context.out.line(fmt::format("{}", commit.last_event));
  }
  report_repeat(context, args.command, commit);
}

}  // namespace

Exit run_append(Context& context, const AppendArgs& args) {
  Event event{.type = args.type, .tags = {args.tags.begin(), args.tags.end()}, .payload = {}};
  if (args.metadata) {
    if (!inspect_json(*args.metadata).object) throw UsageError("--metadata must be a JSON object on one line");
    event.metadata = *args.metadata;
  }
  if (args.time) {
    event.time = parse_time(*args.time);
    if (!event.time) throw UsageError("--time must be an RFC 3339 time such as 2026-11-21T09:30:00Z");
  }
  std::string payload = payload_of(args, context.globals.options);
  event.payload = payload;
  std::vector<Condition> conditions = conditions_of(args);
  std::string fingerprint = event_fingerprint(event, args);
  WriteSet set;
  set.append(event);
  Db db = open_store(context);
  Outcome<Ticket> outcome = db.submit(std::move(set), conditions, {.command = command_of(args.command, fingerprint)});
  if (!outcome) return report_rejection(context, outcome.rejection());
  const CommitInfo& commit = outcome->wait();
  context.done = fmt::format("event {} was appended and is not to be sent again", commit.last_event);
  print(context, args, commit);
  db.close();
  return Exit::Ok;
}

}  // namespace azoth::cli
