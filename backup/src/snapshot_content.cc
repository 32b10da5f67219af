#include "snapshot_content.h"

#include <utility>

#include "azoth/core/error.h"
#include "record_stream.h"
#include "records.h"

namespace azoth::backup {

namespace {

[[noreturn]] void damaged(const Manifest& manifest, const std::string& why) {
  throw Error(ErrorCode::Corruption, "snapshot " + std::to_string(manifest.ordinal) + " is damaged: " + why);
}

template <class Each>
void for_each_record(const SnapshotSet& set, const Manifest& manifest, FileKind kind, const ReadingOptions& options,
                     Each each) {
  std::vector<ManifestFile> files = RecordStream::files_of(manifest, kind);
  if (files.empty()) damaged(manifest, "it has no file of " + std::string(kind_name(kind)));
  RecordStream stream(set, manifest, std::move(files), options.reads, options.on_bytes, options.on_record);
  while (const auto record = stream.next()) each(*record);
}

// A record is allocated as its pieces come, not by what it says of itself.
class RecordJoiner {
 public:
  explicit RecordJoiner(const Manifest& diff)
      : diff_(diff), next_commit_(diff.after_commit + 1), next_event_(diff.after_event + 1) {}

  // Whether the record is whole now.
  bool add(const records::CommitPiece& piece) {
    if (record_.empty()) begin(piece.bytes);
    if (piece.bytes.size() > facts_.record_bytes - record_.size()) damaged(diff_, "a commit is longer than it says");
    record_.append(piece.bytes);
    if (piece.last && record_.size() != facts_.record_bytes) damaged(diff_, "a commit is shorter than it says");
    return piece.last;
  }

  const CommitFacts& facts() const { return facts_; }
  std::string take() {
    ++next_commit_;
    next_event_ += facts_.events;
    return std::exchange(record_, {});
  }

  void check_end() const {
    if (!record_.empty()) damaged(diff_, "it ends in the middle of a commit");
    if (next_commit_ != diff_.last_commit + 1 || next_event_ != diff_.last_event + 1) {
      damaged(diff_, "it ends with commit " + std::to_string(next_commit_ - 1) + " and event " +
                         std::to_string(next_event_ - 1) + " and should end with commit " +
                         std::to_string(diff_.last_commit) + " and event " + std::to_string(diff_.last_event));
    }
  }

 private:
  void begin(std::string_view bytes) {
    facts_ = commit_facts(bytes);
    if (facts_.commit != next_commit_ || (facts_.events != 0 && facts_.first_event != next_event_)) {
      damaged(diff_, "it has commit " + std::to_string(facts_.commit) + " where commit " +
                         std::to_string(next_commit_) + " belongs");
    }
  }

  const Manifest& diff_;
  CommitSeq next_commit_;
  EventId next_event_;
  CommitFacts facts_;
  std::string record_;
};

}  // namespace

void for_each_row(const SnapshotSet& set, const Manifest& full, const ReadingOptions& options,
                  const std::function<void(std::string_view, std::string_view)>& each) {
  std::uint64_t rows = 0;
  for_each_record(set, full, FileKind::State, options, [&](std::string_view record) {
    const records::StateRow row = records::state_row(record);
    each(row.key, row.value);
    ++rows;
  });
  if (rows != full.state_rows) {
    damaged(full, "it has " + std::to_string(rows) + " keys and should have " + std::to_string(full.state_rows));
  }
}

void for_each_event(const SnapshotSet& set, const Manifest& full, const ReadingOptions& options,
                    const std::function<void(const EventView&)>& each) {
  EventId next = 1;
  for_each_record(set, full, FileKind::Events, options, [&](std::string_view record) {
    const EventView event = records::event(record);
    if (event.id() != next) {
      damaged(full, "it has event " + std::to_string(event.id()) + " where event " + std::to_string(next) + " belongs");
    }
    each(event);
    ++next;
  });
  if (next != full.last_event + 1) {
    damaged(full, "it has " + std::to_string(next - 1) + " events and should have " + std::to_string(full.last_event));
  }
}

void for_each_own_row(const SnapshotSet& set, const Manifest& full, const ReadingOptions& options,
                      const std::function<void(std::uint8_t, std::string_view, std::string_view)>& each) {
  for_each_record(set, full, FileKind::System, options, [&](std::string_view record) {
    const records::OwnRow row = records::own_row(record);
    each(row.space, row.key, row.value);
  });
}

void for_each_commit(const SnapshotSet& set, const Manifest& diff, const ReadingOptions& options,
                     const std::function<bool(const CommitFacts&, std::string)>& each) {
  RecordJoiner joiner(diff);
  RecordStream stream(set, diff, RecordStream::files_of(diff, FileKind::Commits), options.reads, options.on_bytes,
                      options.on_record);
  while (const auto record = stream.next()) {
    if (!joiner.add(records::commit_piece(*record))) continue;
    const CommitFacts facts = joiner.facts();
    if (!each(facts, joiner.take())) return;
  }
  joiner.check_end();
}

}  // namespace azoth::backup
