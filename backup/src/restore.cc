#include "azoth/backup/restore.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include "azoth/canonical/content_digest.h"
#include "azoth/canonical/store.h"
#include "azoth/canonical/store_builder.h"
#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "azoth/core/lock_file.h"
#include "azoth/projection/declarations.h"
#include "azoth/projection/projection_copy.h"
#include "block_file.h"
#include "content_sums.h"
#include "manifest.h"
#include "parallel.h"
#include "record_stream.h"
#include "records.h"
#include "scratch.h"
#include "snapshot_content.h"

namespace azoth::backup {

namespace {

using Path = std::filesystem::path;

void require_empty(const Path& target) {
  std::error_code error;
  const auto status = std::filesystem::symlink_status(target, error);
  if (status.type() == std::filesystem::file_type::not_found) return;
  const bool empty = status.type() == std::filesystem::file_type::directory && std::filesystem::is_empty(target, error);
  if (error) throw_errno(error.value(), "looking at " + target.string());
  if (empty) return;
  throw Error(
      ErrorCode::AlreadyExists,
      target.string() + " exists and is not an empty directory; nothing is restored " + "over data: name a new place");
}

// Where something else is mounted nothing can be renamed to.
bool is_mount_point(const Path& path) {
  struct statx status {};
  const bool known = ::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &status) == 0;
  return known && (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

bool may(const Path& path, int mode) { return ::faccessat(AT_FDCWD, path.c_str(), mode, AT_EACCESS) == 0; }

// What stands in the way at the end is better said at the beginning.
void require_movable(const Path& target) {
  Path parent = target.parent_path();
  while (!may(parent, F_OK) && parent.has_relative_path()) parent = parent.parent_path();
  std::error_code error;
  const bool is_directory = std::filesystem::is_directory(parent, error);  // else making one says so
  if (is_directory && !may(parent, W_OK | X_OK)) throw_errno(errno, "making something in " + parent.string());
  if (!is_mount_point(target)) return;
  throw Error(ErrorCode::InvalidArgument, target.string() +
                                              " is where a file system is mounted, which no store can be " +
                                              "moved to; name a new directory in it");
}

std::uint64_t bytes_of(const Chain& chain) {
  std::uint64_t bytes = 0;
  for (const Manifest& manifest : chain.snapshots) {
    for (const ManifestFile& file : manifest.files) bytes += file.bytes;
  }
  return bytes;
}

// Which of a diff's commits are wanted. Asked for each in its order, until the answer is no.
class Target {
 public:
  Target(const RestoreTarget& target, EventId last_event) : target_(target), last_event_(last_event) {}

  bool wants(const CommitFacts& commit) {
    const bool wanted = is_wanted(commit);
    if (wanted && commit.events != 0) last_event_ = commit.last_event();
    return wanted;
  }
  // Whether nothing behind what there is now can be wanted.
  bool reached(CommitSeq last_commit) const {
    if (target_.kind == RestoreTarget::Kind::Event) return last_event_ == target_.number;
    return target_.kind == RestoreTarget::Kind::Commit && last_commit == target_.number;
  }
  // Why the end is not what was asked for, if it is not.
  std::optional<std::string> rounded() const {
    if (target_.kind != RestoreTarget::Kind::Event || last_event_ == target_.number) return std::nullopt;
    return "event " + std::to_string(target_.number) + " lies inside of a transaction, which ends with event " +
           std::to_string(inside_of_) + "; the restored store ends before it, with event " +
           std::to_string(last_event_);
  }

 private:
  bool is_wanted(const CommitFacts& commit) {
    switch (target_.kind) {
      case RestoreTarget::Kind::Newest:
        return true;
      case RestoreTarget::Kind::Commit:
        return commit.commit <= target_.number;
      case RestoreTarget::Kind::Time:
        return commit.time <= target_.time;
      case RestoreTarget::Kind::Event:
        if (commit.last_event() > target_.number) inside_of_ = commit.last_event();
        return last_event_ < target_.number && commit.last_event() <= target_.number;
    }
    return false;
  }

  const RestoreTarget& target_;
  EventId last_event_;
  EventId inside_of_ = 0;
};

class Restore {
 public:
  Restore(const Path& set_directory, const Path& target, const RestoreOptions& options)
      : options_(options),
        given_(target.has_filename() ? target : target.parent_path()),
        target_(resolved(target)),
        set_(SnapshotSet::open(set_directory,
                               {.key = options.key, .read_only = true, .file_system = options.file_system})) {}

  RestoreReport run() {
    require_empty(given_);
    require_movable(target_);
    find_chain();
    if (!chain_.note.empty()) report_.notes.push_back(chain_.note + "; a timeline says which is meant");
    for (const Manifest& manifest : chain_.snapshots) report_.snapshots.push_back(manifest.ordinal);
    AZOTH_FAULT("restore.verified");
    const MissingDirectories parents(target_.parent_path());
    ScratchDirectory scratch(target_, ".restore-");
    build(scratch.path());
    AZOTH_FAULT("restore.built");
    bring_back_projections(scratch.path());
    read_later_sequences();
    finish(scratch.path());
    compare_sequences();
    AZOTH_FAULT("restore.finished");
    scratch.move_into_place(target_);
    return std::move(report_);
  }

 private:
  const Manifest& full() const { return chain_.snapshots.front(); }
  const Manifest& last() const { return chain_.snapshots.back(); }

  // --- Before anything is written

  struct Damage {
    std::uint64_t ordinal;
    Error error;
  };

  // What is damaged inside shows only when it is read. Then another way may lead there, as around what is missing.
  void find_chain() {
    std::vector<SnapshotInfo> snapshots = set_.list();
    std::optional<Error> first;
    while (true) {
      try {
        chain_ = set_.chain(options_.target, snapshots);
      } catch (const Error&) {
        if (first) throw *first;
        throw;
      }
      try {
        return verify_chain();
      } catch (const Error&) {
        if (!damage_) throw;
      }
      const Damage damage = *std::exchange(damage_, std::nullopt);
      if (!first) first = damage.error;
      for (SnapshotInfo& snapshot : snapshots) {
        if (snapshot.ordinal == damage.ordinal) snapshot.state = SnapshotState::Broken;
      }
      report_.notes.push_back("snapshot " + std::to_string(damage.ordinal) + " is gone around: " + damage.error.what());
    }
  }

  void verify_chain() {
    StepMeter meter(options_.progress, "verifying", "bytes", bytes_of(chain_));
    std::vector<std::function<void(std::size_t)>> tasks;
    for (const Manifest& manifest : chain_.snapshots) {
      if (manifest.type == SnapshotType::Diff) set_.verify_base(manifest);
      for (const ManifestFile& file : manifest.files) {
        tasks.emplace_back([&](std::size_t) {
          try {
            verify_file(manifest, file, meter);
          } catch (const Error& error) {
            if (error.corruption()) note_damage({manifest.ordinal, error});
            throw;
          }
        });
      }
    }
    run_parallel(options_.threads, tasks);
    meter.end();
  }

  void note_damage(const Damage& damage) {
    const std::lock_guard lock(damage_mutex_);
    if (!damage_) damage_ = damage;
  }

  void verify_file(const Manifest& manifest, const ManifestFile& file, StepMeter& meter) const {
    const auto reader = set_.read(manifest, file);
    std::uint64_t told = 0;
    while (reader->next()) {
      if (reader->offset() - told < (std::uint64_t{1} << 20)) continue;
      meter.add(reader->offset() - told);
      told = reader->offset();
    }
    meter.add(reader->offset() - told);
  }

  // --- The store

  void build(const Path& directory) {
    StepMeter meter(options_.progress, "restoring", "bytes", bytes_of(chain_));
    const ReadingOptions reading{.reads = SnapshotSet::Reads::HashedBefore,
                                 .on_bytes = [&](std::uint64_t bytes) { meter.add(bytes); }};
    StoreBuilder builder(directory, {full().store_id, full().created, last().lineage}, options_.store);
    build_content(builder, reading);
    builder.end_content(full().last_commit, full().latest);
    report_.time = full().last_commit == 0 ? std::nullopt : std::optional(full().latest);
    apply_diffs(builder, reading);
    meter.end();
    report_.timeline = Uuid::random();
    totals_ = builder.finish(report_.timeline);
    report_.store_id = full().store_id;
    report_.commit = totals_.last_commit;
    report_.event = totals_.last_event;
    check_totals();
  }

  // The digests are computed while the records go by, on the threads that read ahead. That LMDB holds what the builder
  // was given is what the sums say, which are compared at the end.
  void build_content(StoreBuilder& builder, const ReadingOptions& reading) const {
    StateDigest state;
    ReadingOptions of_state = reading;
    of_state.on_record = [&](std::string_view record) {
      const records::StateRow row = records::state_row(record);
      state.add(row.key, row.value);
    };
    for_each_row(set_, full(), of_state,
                 [&](std::string_view key, std::string_view value) { builder.put(key, value); });
    EventsDigest events;
    ReadingOptions of_events = reading;
    of_events.on_record = [&](std::string_view record) { events.add(records::event(record)); };
    for_each_event(set_, full(), of_events, [&](const EventView& event) { builder.append(event); });
    for_each_own_row(set_, full(), reading, [&](std::uint8_t space, std::string_view key, std::string_view value) {
      builder.put_own(space, key, value);
    });
    check_digest(full().state_digest, state.finish_hex());
    check_digest(full().events_digest, events.finish_hex());
  }

  void check_digest(const std::string& expected, const std::string& found) const {
    if (expected.empty() || expected == content_digest(found, options_.key)) return;
    throw Error(ErrorCode::Corruption,
                "what was restored has another digest than snapshot " + std::to_string(full().ordinal) + " says");
  }

  void apply_diffs(StoreBuilder& builder, const ReadingOptions& reading) {
    Target target(options_.target, full().last_event);
    CommitSeq reached = full().last_commit;
    for (std::size_t i = 1; i < chain_.snapshots.size() && !target.reached(reached); ++i) {
      for_each_commit(set_, chain_.snapshots[i], reading, [&](const CommitFacts& commit, std::string record) {
        if (!target.wants(commit)) return false;
        builder.apply(std::move(record));
        reached = commit.commit;
        report_.time = commit.time;
        return !target.reached(reached);
      });
      if (reached != chain_.snapshots[i].last_commit) break;
    }
    report_.rounded = target.rounded();
  }

  // What the builder has counted against what the manifest says; of an end inside of a diff none says anything.
  void check_totals() const {
    for (const Manifest& manifest : chain_.snapshots) {
      if (manifest.last_commit != totals_.last_commit) continue;
      const bool counts_fit = manifest.last_event == totals_.last_event &&
                              manifest.last_event_commit == totals_.last_event_commit &&
                              manifest.state_rows == totals_.state_rows;
      const bool sums_fit =
          manifest.content_sums.empty() || manifest.content_sums == content_digest(content_sums(totals_), options_.key);
      if (counts_fit && sums_fit) continue;
      throw Error(ErrorCode::Corruption, "what was restored is not what snapshot " + std::to_string(manifest.ordinal) +
                                             " says it is: it has " + std::to_string(totals_.state_rows) +
                                             " keys and " + std::to_string(totals_.last_event) + " events" +
                                             (counts_fit ? ", and their checksums do not add up" : ""));
    }
  }

  // --- Projections

  void bring_back_projections(const Path& directory) {
    const std::vector<ManifestFile> files = RecordStream::files_of(full(), FileKind::Projections);
    for (std::size_t i = 0; i < files.size(); ++i) bring_back(directory, full().projections[i], files[i]);
  }

  void bring_back(const Path& directory, const ProjectionCursor& cursor, const ManifestFile& file) {
    ProjectionParts parts{.name = cursor.name,
                          .tables = cursor.tables,
                          .cursor = cursor.cursor,
                          .version = static_cast<std::uint32_t>(cursor.version),
                          .fingerprint = cursor.fingerprint};
    if (kept_as_it_is(directory, parts.name, file)) return;
    if (parts.tables && !options_.projections) parts.tables = false;
    if (parts.tables && parts.cursor > totals_.last_event) {
      parts.tables = false;
      report_.notes.push_back("projection " + parts.name + " shows event " + std::to_string(parts.cursor) +
                              ", behind the end of what was restored");
    }
    if (parts.tables) {
      try {
        install(directory, parts, file);
        report_.projections.push_back(parts.name);
        return;
      } catch (const Error& error) {
        const bool of_tables =
            error.corruption() || error.code() == ErrorCode::SqlFailed || error.code() == ErrorCode::UnsupportedFormat;
        if (!of_tables) throw;
        report_.notes.push_back("the tables of projection " + parts.name + " cannot be used: " + error.what());
        parts.tables = false;
      }
    }
    install(directory, parts, file);
    report_.rebuilt.push_back(parts.name);
  }

  // Whether that had to be done with a declaration: one that another version of Azoth took is no reason to be left
  // without the store. It is small enough for one, or it would not be asked what it says.
  bool kept_as_it_is(const Path& directory, const std::string& name, const ManifestFile& file) {
    RecordStream records(set_, full(), {file});
    const std::string declaration = next_declaration(records, file);
    if (declaration.empty() || declaration.size() > Declarations::kMaxBytes) return false;
    try {
      Declarations::check(declaration, name + ".sql");
      return false;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::InvalidArgument) throw;
      keep_declaration(directory, name, declaration);
      report_.notes.push_back("projection " + name +
                              " has a declaration that this version of Azoth does not take; it is " +
                              "there as it was, without tables. Add one that it takes: " + error.what());
      return true;
    }
  }

  static std::string next_declaration(RecordStream& records, const ManifestFile& file) {
    const auto declaration = records.next();
    if (declaration) return std::string(*declaration);
    throw Error(ErrorCode::Corruption, file.name + " is damaged: it has no declaration");
  }

  void install(const Path& directory, ProjectionParts parts, const ManifestFile& file) {
    RecordStream records(set_, full(), {file});
    parts.declaration = next_declaration(records, file);
    if (!parts.tables && parts.declaration.empty()) return;  // one in C++ is made when the program adds it
    try {
      ProjectionInstall install(directory, parts);
      if (parts.tables) {
        while (const auto piece = records.next()) install.write(*piece);
      }
      install.finish();
    } catch (const Error& error) {
      if (error.code() != ErrorCode::InvalidArgument) throw;
      throw Error(ErrorCode::Corruption, file.name + " is damaged: " + error.what());
    }
  }

  // --- The last steps, in the store itself

  void finish(const Path& directory) {
    const std::unique_ptr<Store> store = Store::open(directory, options_.store);
    if (options_.advance_sequences > 0) {
      for (const SequenceInfo& sequence : store->sequences()) later_sequences_.try_emplace(sequence.name, 0);
      for (const auto& [name, next] : later_sequences_) store->next_sequence(name, options_.advance_sequences);
    }
    if (options_.sealed) report_.sealed_event = store->seal();
    for (const SequenceInfo& sequence : store->sequences()) restored_[sequence.name] = sequence.next;
    store->close();
  }

  // --- Sequences

  // What the newest snapshots of the same history say of them; those, too, that came into being after the target.
  void read_later_sequences() {
    RestoreTarget newest;
    newest.timeline = options_.target.timeline;
    try {
      const Chain all = set_.chain(newest);
      if (all.snapshots.back().last_commit == totals_.last_commit) return;
      for_each_own_row(set_, all.snapshots.front(), {},
                       [&](std::uint8_t space, std::string_view key, std::string_view value) {
                         if (!is_sequence_space(space)) return;
                         const SequenceInfo sequence = sequence_of_row(key, value);
                         later_sequences_[sequence.name] = sequence.next;
                       });
      for (std::size_t i = 1; i < all.snapshots.size(); ++i) {
        for_each_commit(set_, all.snapshots[i], {}, [&](const CommitFacts&, const std::string& record) {
          check_record(record, [&](const SequenceInfo& sequence) { later_sequences_[sequence.name] = sequence.next; });
          return true;
        });
      }
    } catch (const Error& error) {
      // What is restored does not need them, whatever the matter is.
      if (error.code() == ErrorCode::Cancelled) throw;
      report_.notes.push_back(std::string("whether sequences were moved back is not known: ") + error.what());
    }
  }

  void compare_sequences() {
    for (const auto& [name, was] : later_sequences_) {
      const auto restored = restored_.find(name);
      const std::uint64_t next = restored == restored_.end() ? 0 : restored->second;
      if (next < was) report_.sequences_moved_back.push_back({.name = name, .next = next, .was = was});
    }
  }

  const RestoreOptions& options_;
  const Path given_;  // not followed: a symbolic link is no directory
  const Path target_;
  const SnapshotSet set_;
  Chain chain_;
  std::mutex damage_mutex_;
  std::optional<Damage> damage_;  // that the last verification has found
  ContentTotals totals_;
  std::map<std::string, std::uint64_t> restored_;         // sequences
  std::map<std::string, std::uint64_t> later_sequences_;  // of the newest snapshots
  RestoreReport report_;
};

}  // namespace

RestoreReport restore(const Path& set_directory, const Path& target_directory, const RestoreOptions& options) {
  return Restore(set_directory, target_directory, options).run();
}

}  // namespace azoth::backup
