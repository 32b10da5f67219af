// The lines that `export` writes: what `apply` reads back as the same events and the same state.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "azoth/canonical/read_txn.h"

namespace azoth::cli {

// A piece that would make a line longer than this begins a new one; a single piece may be longer.
inline constexpr std::size_t kExportLineBytes = std::size_t{1} << 20;

// An event as it stands in "events".
std::string exported_event(const EventView& event);

// Collects events, those of one commit in one line as far as they fit, and keys, as many in a line as fit.
class ExportLines {
 public:
  using Sink = std::function<void(std::string_view line)>;  // without the newline
  explicit ExportLines(Sink sink) : sink_(std::move(sink)) {}

  void add_event(const EventView& event);
  void add_key(std::string_view key, std::string_view value);
  void finish();

 private:
  void end_events();
  void end_keys();

  Sink sink_;
  CommitSeq commit_ = 0;
  std::string events_;    // inside the brackets of "events"
  std::string puts_;      // inside the braces of "put"
  std::string puts_hex_;  // ... of "put_hex"
};

}  // namespace azoth::cli
