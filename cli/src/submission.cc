#include "submission.h"

#include <fmt/format.h>

#include "azoth/core/bytes.h"
#include "text.h"

namespace azoth::cli {

std::optional<ExpectedVersion> parse_expected(std::string_view text) {
  if (text == "none") return ExpectedVersion::none();
  if (text == "exists") return ExpectedVersion::exists();
  if (text == "any") return ExpectedVersion::any();
  EventId id = parse_number(text).value_or(0);
  if (id == 0) return std::nullopt;
  return ExpectedVersion::exactly(id);
}

void add_rejection(JsonObject& object, const Rejection& rejection) {
  object.text("error", error_name(ErrorCode::Rejected)).text("message", terminal_safe(rejection.message()));
  if (rejection.failures.empty()) return;
  const FailedCondition& first = rejection.failures.front();
  if (!first.key.empty()) object.bytes("key", first.key);
  if (!first.tag.empty()) object.bytes("tag", first.tag);
  if (first.event != 0) object.number("event", first.event);
}

Exit report_rejection(const Context& context, const Rejection& rejection) {
  JsonObject object;
  add_rejection(object, rejection);
  report_object(context, object, "rejected: " + rejection.message());
  return Exit::Refused;
}

std::optional<Command> command_of(const std::optional<std::string>& id, std::string_view fingerprint) {
  if (!id) return std::nullopt;
  return Command{.id = *id, .fingerprint = fingerprint};
}

std::string fingerprint_of(std::initializer_list<std::string_view> texts) {
  std::string fingerprint;
  for (std::string_view text : texts) fingerprint += fmt::format("{}:{}", text.size(), text);
  return fingerprint;
}

JsonObject& add_repeat(JsonObject& object, const CommitInfo& commit) {
  if (commit.already_applied) object.boolean("already_applied", true);
  return object;
}

void report_repeat(const Context& context, const std::optional<std::string>& command, const CommitInfo& commit) {
  if (!commit.already_applied || context.json()) return;
  write_message(fmt::format("azoth: command {} was carried out before, by commit {}; nothing was changed",
                            printable(*command), commit.commit_seq));
}

}  // namespace azoth::cli
