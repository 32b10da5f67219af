// What apply, append, put and del have in common: conditions, commands, and saying why a transaction was rejected.
#pragma once

#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "context.h"

namespace azoth::cli {

// "none", "exists", "any", or the id of an event, from 1.
std::optional<ExpectedVersion> parse_expected(std::string_view text);

// Adds the members of a rejected transaction: "error", "message", and of the first failure its "key", "tag" and
// "event", where it has them.
void add_rejection(JsonObject& object, const Rejection& rejection);
// The same as a message on standard error; Refused.
Exit report_rejection(const Context& context, const Rejection& rejection);

// The command of --command ID. It borrows both.
std::optional<Command> command_of(const std::optional<std::string>& id, std::string_view fingerprint);
// A fingerprint of a request that is made of these texts.
std::string fingerprint_of(std::initializer_list<std::string_view> texts);

// If the commit is of a command that was carried out before: adds "already_applied" ...
JsonObject& add_repeat(JsonObject& object, const CommitInfo& commit);
// ... or, without --json, says on standard error that nothing was changed.
void report_repeat(const Context& context, const std::optional<std::string>& command, const CommitInfo& commit);

}  // namespace azoth::cli
