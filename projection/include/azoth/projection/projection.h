// A projection: tables in a SQLite file of its own, kept up to date from the log by handlers, each effect exactly once.
//
//   azoth::Projection accounts("accounts", 1);
//   accounts.schema("CREATE TABLE accounts (owner TEXT PRIMARY KEY, cents INTEGER NOT NULL)")
//       .on("deposited", [](const azoth::EventView& event, azoth::Sql& sql) { ... })
//       .on("audit.*", ...);                      // types that begin with "audit."
//
// Raise the version whenever a handler does something else than before: the tables are then built anew from the first
// event, beside the old ones, which serve queries until the new ones have caught up. A changed schema or changed
// patterns have the same effect.
//
// A handler runs inside the transaction of its batch. What it throws is the event's error (ErrorPolicy); what it has
// done is then undone. It may be called more than once for an event, each time after all that it had done was undone:
// it should touch nothing but its Sql, and depend on nothing but the event and the tables.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/core/event.h"
#include "azoth/projection/sql.h"

namespace azoth {

// How long to wait before attempt 1, 2, ... again: initial, initial * factor, ..., never more than max; of which a part
// is random, so that what failed together does not come back together.
struct Backoff {
  std::chrono::nanoseconds initial = std::chrono::milliseconds{100};
  double factor = 2;
  std::chrono::nanoseconds max = std::chrono::seconds{30};
  double jitter = 0.2;  // 0 to 1: the wait is between (1 - jitter) times that and all of it

  // After the `failures`-th failure, from 1. `random` is in [0, 1).
  std::chrono::nanoseconds delay(std::uint32_t failures, double random) const;
  // InvalidArgument, which begins with `whose`, unless 0 <= initial <= max, factor >= 1 and jitter is what it may be.
  void check(std::string_view whose) const;
};

// What happens to an event whose handler fails.
struct ErrorPolicy {
  enum class Then {
    Fail,       // the projection stops in front of it, and says why
    DeadLetter  // it is put aside with its error, and the projection goes on
  };
  Then then = Then::Fail;
  std::uint32_t retries = 0;  // attempts after the first one, before that
  Backoff backoff = {};
};

// A batch is one transaction of the projection's file. It ends with the event that reaches one of these.
struct BatchLimits {
  std::size_t events = 1000;
  std::size_t bytes = std::size_t{4} << 20;
  std::chrono::nanoseconds time = std::chrono::milliseconds{100};
};

class Projection {
 public:
  using Handler = std::function<void(const EventView& event, Sql& sql)>;
  using BatchHook = std::function<void(Sql& sql)>;

  // The name is a part of file names: 1 to 64 letters, digits, _ and -; versions begin at 1. Throws InvalidArgument.
  Projection(std::string name, std::uint32_t version);
  static void check_name(std::string_view name);
  static bool is_name(std::string_view name);

  // Run once, in an empty database. Names that begin with azoth_ are taken.
  Projection& schema(std::string sql);
  // For events of a type, of all types with a prefix ("file.*"), or of all ("*"). All handlers whose pattern matches
  // run, in the order in which they were given. The same pattern twice, or a * elsewhere, is an InvalidArgument.
  Projection& on(std::string pattern, Handler handler);
  // Once for each batch in which a handler ran, after the last event and before the commit.
  Projection& before_commit(BatchHook hook);
  Projection& on_error(ErrorPolicy policy);
  Projection& batch(BatchLimits limits);
  // Each batch survives a power cut as soon as it is committed. Otherwise a power cut may take the last batches back,
  // effects and cursor together, and they are applied again: nothing is lost either way.
  Projection& synced(bool on = true);
  // What tells it from the same version of something else; a declaration gives its hash.
  Projection& fingerprint(std::string text);

  const std::string& name() const { return name_; }
  std::uint32_t version() const { return version_; }
  const std::string& schema() const { return schema_; }
  const BatchHook& hook() const { return hook_; }
  const ErrorPolicy& policy() const { return policy_; }
  const BatchLimits& limits() const { return limits_; }
  bool is_synced() const { return synced_; }
  std::string fingerprint() const;  // of version, schema, patterns and what was given

  // The handlers for a type, in order.
  std::vector<const Handler*> handlers(std::string_view type) const;

 private:
  struct Entry {
    std::string pattern;
    Handler handler;
  };

  std::string name_;
  std::uint32_t version_;
  std::string schema_;
  std::vector<Entry> entries_;
  BatchHook hook_;
  ErrorPolicy policy_;
  BatchLimits limits_;
  bool synced_ = false;
  std::string given_fingerprint_;
};

}  // namespace azoth
