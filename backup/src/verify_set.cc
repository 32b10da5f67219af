#include <algorithm>
#include <exception>
#include <mutex>

#include "azoth/backup/restore.h"
#include "azoth/canonical/content_digest.h"
#include "azoth/canonical/store.h"
#include "azoth/core/error.h"
#include "block_file.h"
#include "manifest.h"
#include "parallel.h"
#include "record_stream.h"
#include "scratch.h"
#include "snapshot_content.h"

namespace azoth::backup {

namespace {

using Path = std::filesystem::path;

class Verification {
 public:
  Verification(const Path& directory, const VerifyOptions& options)
      : directory_(resolved(directory)),
        options_(options),
        set_(SnapshotSet::open(directory_,
                               {.key = options.key, .read_only = true, .file_system = options.file_system})) {}

  SetReport run() {
    collect();
    read_snapshots();
    say_what_was_read();
    plan();
    if (options_.restore && report_.problems.empty() && any_whole_) restore_newest();
    return std::move(report_);
  }

 private:
  void collect() {
    for (const SnapshotInfo& info : set_.list()) {
      if (info.state == SnapshotState::Unfinished) {
        report_.unfinished.push_back(info.ordinal);
        continue;
      }
      SetReport::Snapshot& snapshot = report_.snapshots.emplace_back();
      snapshot.ordinal = info.ordinal;
      snapshot.manifest = info.manifest;
      if (info.state == SnapshotState::Broken) snapshot.problems.push_back(info.why);
      any_whole_ = any_whole_ || info.state == SnapshotState::Whole;
    }
    if (report_.snapshots.empty()) report_.problems.push_back("the set has no snapshot; make a full one");
  }

  // --- Reading

  void read_snapshots() {
    std::uint64_t bytes = 0;
    for (const SetReport::Snapshot& snapshot : report_.snapshots) {
      if (!snapshot.manifest || !snapshot.problems.empty()) continue;
      for (const ManifestFile& file : snapshot.manifest->files) {
        bytes += file.bytes;
        ++report_.files;
        report_.records += file.records;
      }
    }
    report_.bytes = bytes;
    StepMeter meter(options_.progress, "reading", "bytes", bytes);
    const ReadingOptions reading{.on_bytes = [&](std::uint64_t more) { tell(meter, more); }};
    std::vector<std::function<void(std::size_t)>> tasks;
    for (SetReport::Snapshot& snapshot : report_.snapshots) {
      if (snapshot.manifest && snapshot.problems.empty()) add_tasks(snapshot, reading, tasks);
    }
    run_parallel(options_.threads, tasks);
    meter.end();
  }

  // What the caller's progress throws ends all of it.
  void tell(StepMeter& meter, std::uint64_t bytes) {
    try {
      meter.add(bytes);
    } catch (...) {
      std::lock_guard lock(mutex_);
      stopped_ = std::current_exception();
      throw;
    }
  }

  // What is wrong is noted, each file by itself.
  template <class Check>
  void add_task(SetReport::Snapshot& snapshot, std::vector<std::function<void(std::size_t)>>& tasks, Check check) {
    tasks.emplace_back([this, &snapshot, check](std::size_t) {
      try {
        check(*snapshot.manifest);
      } catch (const Error& error) {
        if (error.code() == ErrorCode::Cancelled || error.code() == ErrorCode::OutOfMemory) throw;
        std::lock_guard lock(mutex_);
        if (stopped_) std::rethrow_exception(stopped_);
        snapshot.problems.push_back(error.what());
      }
    });
  }

  void add_tasks(SetReport::Snapshot& snapshot, const ReadingOptions& reading,
                 std::vector<std::function<void(std::size_t)>>& tasks) {
    if (snapshot.manifest->type == SnapshotType::Diff) {
      add_task(snapshot, tasks, [this](const Manifest& m) { set_.verify_base(m); });
      add_task(snapshot, tasks, [this, &reading](const Manifest& m) { check_commits(m, reading); });
      return;
    }
    add_task(snapshot, tasks, [this, &reading](const Manifest& m) { check_state(m, reading); });
    add_task(snapshot, tasks, [this, &reading](const Manifest& m) { check_events(m, reading); });
    add_task(snapshot, tasks, [this, &reading](const Manifest& m) {
      for_each_own_row(set_, m, reading, [](std::uint8_t space, std::string_view key, std::string_view value) {
        if (is_sequence_space(space)) sequence_of_row(key, value);
      });
    });
    add_task(snapshot, tasks, [this, &reading](const Manifest& m) {
      RecordStream records(set_, m, RecordStream::files_of(m, FileKind::Projections), reading.reads, reading.on_bytes);
      while (records.next()) {
      }
    });
  }

  static void compare(const Manifest& m, const std::string& expected, const std::string& found, const char* what) {
    if (expected.empty() || expected == found) return;
    throw Error(ErrorCode::Corruption, std::string(what) + " of snapshot " + std::to_string(m.ordinal) +
                                           " have another digest than its manifest says");
  }

  void check_state(const Manifest& m, const ReadingOptions& reading) const {
    StateDigest digest;
    std::string last;
    for_each_row(set_, m, reading, [&](std::string_view key, std::string_view value) {
      if (key <= last) throw Error(ErrorCode::Corruption, "key " + printable(key) + " is out of order");
      last = key;
      digest.add(key, value);
    });
    compare(m, m.state_digest, content_digest(digest.finish_hex(), options_.key), "the keys");
  }

  void check_events(const Manifest& m, const ReadingOptions& reading) const {
    EventsDigest digest;
    for_each_event(set_, m, reading, [&](const EventView& event) { digest.add(event); });
    compare(m, m.events_digest, content_digest(digest.finish_hex(), options_.key), "the events");
  }

  void check_commits(const Manifest& m, const ReadingOptions& reading) const {
    std::uint64_t operations = 0;
    for_each_commit(set_, m, reading, [&](const CommitFacts& commit, const std::string& record) {
      check_record(record);
      operations += commit.operations;
      if (commit.time < m.earliest || commit.time > m.latest) {
        throw Error(ErrorCode::Corruption, "commit " + std::to_string(commit.commit) + " is of a time that snapshot " +
                                               std::to_string(m.ordinal) + " does not bring");
      }
      return true;
    });
    if (operations != m.operations) {
      throw Error(ErrorCode::Corruption, "snapshot " + std::to_string(m.ordinal) + " has " +
                                             std::to_string(operations) + " operations and should have " +
                                             std::to_string(m.operations));
    }
  }

  void say_what_was_read() {
    report_.checked.push_back("read " + std::to_string(report_.files) + " files with " + std::to_string(report_.bytes) +
                              " bytes: every hash, every block's checksum" +
                              (set_.key_id().empty() ? "" : ", every authenticator"));
    report_.checked.push_back("decoded " + std::to_string(report_.records) +
                              " records: the order of keys, events and commits, their counts, their digests");
  }

  // --- Restoring

  void plan() {
    try {
      const Chain chain = set_.chain(RestoreTarget::newest());
      report_.checked.push_back("the newest state, commit " + std::to_string(chain.snapshots.back().last_commit) +
                                ", is led to by " + std::to_string(chain.snapshots.size()) +
                                " snapshots without a gap");
    } catch (const Error& error) {
      if (error.code() != ErrorCode::NotFound && !error.corruption()) throw;
      report_.problems.push_back(error.what());
    }
  }

  void restore_newest() {
    const Path place = options_.scratch.empty() ? directory_ : resolved(options_.scratch) / directory_.filename();
    ScratchDirectory scratch(place, ".verify-");
    const RestoreOptions options{.key = options_.key,
                                 .threads = options_.threads,
                                 .store = options_.store,
                                 .progress = options_.progress,
                                 .file_system = options_.file_system};
    try {
      RestoreReport restored = restore(directory_, scratch.path(), options);
      const std::unique_ptr<Store> store = Store::open_read_only(scratch.path(), options_.store);
      for (const std::string& problem : store->verify().problems) {
        report_.problems.push_back("in the restored store: " + problem);
      }
      report_.checked.push_back("restored commit " + std::to_string(restored.commit) + " with event " +
                                std::to_string(restored.event) +
                                " into a scratch directory, and verified every row of that store");
      report_.restored = std::move(restored);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::NotFound && !error.corruption()) throw;
      report_.problems.push_back(std::string("it does not restore: ") + error.what());
    }
  }

  Path directory_;
  const VerifyOptions& options_;
  const SnapshotSet set_;
  SetReport report_;
  bool any_whole_ = false;
  std::mutex mutex_;  // of what tasks note
  std::exception_ptr stopped_;
};

}  // namespace

bool SetReport::ok() const {
  return problems.empty() && std::all_of(snapshots.begin(), snapshots.end(),
                                         [](const Snapshot& snapshot) { return snapshot.problems.empty(); });
}

SetReport verify_set(const Path& set_directory, const VerifyOptions& options) {
  return Verification(set_directory, options).run();
}

}  // namespace azoth::backup
