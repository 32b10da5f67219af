// Projections declared in SQL, without any code.
//
//   -- azoth:projection accounts version 1
//   CREATE TABLE accounts (owner TEXT PRIMARY KEY, cents INTEGER NOT NULL) WITHOUT ROWID;
//   -- azoth:on deposited
//   INSERT INTO accounts VALUES (:account, :amount)
//     ON CONFLICT (owner) DO UPDATE SET cents = cents + excluded.cents;
//   -- azoth:on withdrawn
//   -- azoth:optional memo
//   UPDATE accounts SET cents = cents - :amount, memo = :memo WHERE owner = :account;
//
// The schema stands before the first `on`. Behind each `on TYPE` (or `on PREFIX*`, or `on *`) stand the statements that
// are run for such an event, in order. `:name` is a field of the event's payload, a JSON object; `:a_b` is the field
// a_b or, if there is none, field b of the object a. A missing field is the event's error, unless it is declared
// `optional` for that `on`: then it is NULL. Numbers are integers of 64 bits or doubles (a larger integer is the
// event's error), true and false are 1 and 0, objects and arrays their JSON text.
//
// The schema is run once more when the declaration is read, on a database in memory, within limits: 64 MiB, values of
// 100 kB, a second or so of work. It makes tables, and may fill them with what is always the same.
//
// Always there, and reserved: :event_id :commit_seq :event_type :event_time (RFC 3339) :tags (a JSON array) :payload.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "azoth/projection/projection.h"

namespace azoth {

struct SqlProjection {
  // Throws InvalidArgument naming file and line for a directive that is unknown or misplaced, for SQL that does not
  // prepare or goes beyond the limits, and for names that clash.
  static Projection from_file(const std::filesystem::path& file);
  static Projection from_text(std::string_view text, const std::string& file = "declaration");
};

}  // namespace azoth
