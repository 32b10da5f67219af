// What the commands about backups have in common: keys, progress, and snapshots as text and JSON.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "azoth/db.h"
#include "interruption.h"
#include "json_writer.h"
#include "progress.h"

namespace azoth::cli {

// The key in the file, if one is named.
std::optional<backup::Key> load_key(const std::optional<std::string>& file);
inline const backup::Key* key_or_null(const std::optional<backup::Key>& key) { return key ? &*key : nullptr; }

// Shows each step of long work on a line of its own, while it lasts; and ends the work, with what it has begun taken
// back, on SIGINT or SIGTERM. Made before there are other threads.
class StepLine {
 public:
  // What the error of an interruption says.
  explicit StepLine(std::string interrupted = "interrupted; what was begun was taken back");
  backup::StepProgress callback();
  void clear() { progress_.reset(); }

 private:
  void update(const backup::Step& step);

  const std::string interrupted_;
  std::string what_;
  std::unique_ptr<Progress> progress_;
  std::unique_ptr<Interruption> interruption_;
};

std::string_view state_name(backup::SnapshotState state);
std::uint64_t bytes_of(const backup::Manifest& manifest);
std::uint64_t events_of(const backup::Manifest& manifest);  // that it brings
// "through commit 12 and event 34" of a full, "commits 13 to 20, events 35 to 40" of a diff.
std::string content_text(const backup::Manifest& manifest);
// "commit 12, event 34 (2026-11-21T09:30:00.000000Z)", without what is not known.
std::string point_text(CommitSeq commit, EventId event, const std::optional<Timestamp>& time);

// All that is known of a snapshot, as members.
void add_snapshot(JsonObject& object, const backup::SnapshotInfo& info);

std::string retained_json(const RetainedSet& set);
std::string retained_text(const RetainedSet& set);  // "through commit 12, up to 1.0 GiB of journal, in /backups/ledger"

std::string json_numbers(const std::vector<std::uint64_t>& numbers);
std::string numbers_text(const std::vector<std::uint64_t>& numbers);  // "3, 2, 1"

}  // namespace azoth::cli
