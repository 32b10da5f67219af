#include "azoth/backup/backup.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "azoth/core/log.h"
#include "azoth/projection/declarations.h"
#include "azoth/projection/projection_copy.h"
#include "block_file.h"
#include "compression.h"
#include "content_sums.h"
#include "diff_snapshot.h"
#include "full_snapshot.h"
#include "manifest.h"
#include "parallel.h"

namespace azoth::backup {

namespace {

using Path = std::filesystem::path;

// Registered before a commit is chosen, moved on when the snapshot is published. If there is none, what was registered
// for it is taken back. What the set has registered before stays meanwhile if it keeps enough: for a differential
// snapshot that is what this continues; for a full one as much as before and, behind its own commit, as much as it
// asks. That is twice what it asks, not what is registered and more: one that is killed leaves it, and the next must
// not add to that.
class Registration {
 public:
  Registration(Retention& retention, RetainedSet set, SnapshotType type)
      : retention_(retention), set_(std::move(set)), before_(retention_.find(set_.set_id)) {
    const bool keeps_enough = before_ && before_->timeline == set_.timeline && before_->commit <= set_.commit;
    if (keeps_enough && type == SnapshotType::Diff) return;
    RetainedSet meanwhile = set_;
    if (keeps_enough) {
      meanwhile.commit = before_->commit;
      constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
      const std::uint64_t twice = set_.limit_bytes > kMost / 2 ? kMost : 2 * set_.limit_bytes;
      meanwhile.limit_bytes = std::max(before_->limit_bytes, twice);
    }
    changed_ = true;
    try {
      retention_.set(meanwhile);
    } catch (...) {  // it may be there all the same
      take_back();
      throw;
    }
  }
  ~Registration() {
    if (changed_ && !published_) take_back();
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

  const std::optional<RetainedSet>& before() const { return before_; }

  // The snapshot is there, whatever becomes of this: answers what could not be done. More is kept then than is needed.
  std::optional<std::string> published(const Uuid& timeline, CommitSeq commit) {
    published_ = true;
    set_.timeline = timeline;
    set_.commit = commit;
    try {
      retention_.set(set_);
    } catch (const std::exception& error) {
      return std::string("the store goes on keeping the journal that this snapshot has: ") + error.what();
    }
    return std::nullopt;
  }

 private:
  void take_back() noexcept {
    try {
      if (before_) {
        retention_.set(*before_);
      } else {
        retention_.forget(set_.set_id);
      }
    } catch (const std::exception& error) {
      log(LogLevel::Warning, "a backup has failed, and the journal is still kept for it: ", error.what());
    }
  }

  Retention& retention_;
  RetainedSet set_;
  const std::optional<RetainedSet> before_;
  bool changed_ = false;
  bool published_ = false;
};

// Brings projections up to date: those of the projector and, for as long as this lives, the declared ones that nobody
// has charge of. One that cannot go on is no reason not to back up what it is made of: it is noted, and left as it is.
class CatchUp {
 public:
  CatchUp(Projector* projector, std::vector<std::string>& notes) : projector_(projector), notes_(notes) {}
  ~CatchUp() {
    for (const std::string& name : added_) release(name);
  }
  CatchUp(const CatchUp&) = delete;
  CatchUp& operator=(const CatchUp&) = delete;

  // With all there is, however long that takes: back-offs and rebuilds come before anybody is kept from writing.
  void begin(const Path& store_directory) {
    if (projector_ == nullptr) return;
    for (const std::string& name : projector_->names()) catch_up(name);
    const Declarations declarations(store_directory);
    for (const std::string& name : declarations.names()) add(name, declarations);
  }

  // With what was written since, while nobody can write: what takes longer is not waited for.
  void finish(EventId last) {
    const Deadline end = deadline_after(kLongestPause);
    for (const std::string& name : caught_up_) {
      const std::chrono::nanoseconds left = end - std::chrono::steady_clock::now();
      bool in_time = true;
      trying(name, [&] {
        in_time = left.count() > 0 ? projector_->run_until(name, last, left) : projector_->status(name).cursor >= last;
      });
      if (!in_time) note(name, "what is left would have kept everybody from writing for too long");
    }
  }

 private:
  static constexpr std::chrono::seconds kLongestPause{2};
  static constexpr std::string_view kNotReleased = "a projection was not released after a backup: ";

  template <class Call>
  bool trying(const std::string& name, Call call) {
    try {
      call();
      return true;
    } catch (const Error& error) {
      note(name, error.what());
      return false;
    }
  }

  void note(const std::string& name, const std::string& why) {
    notes_.push_back("projection " + name + " is in the snapshot as far as it is: " + why);
  }

  void catch_up(const std::string& name) {
    if (trying(name, [&] { projector_->catch_up(name); })) caught_up_.push_back(name);
  }

  // Somebody else, of this process or another, may have charge of it.
  void add(const std::string& name, const Declarations& declarations) {
    const std::vector<std::string> there = projector_->names();
    if (std::ranges::find(there, name) != there.end()) return;
    if (!trying(name, [&] { projector_->add(declarations.load(name)); })) return;
    added_.push_back(name);
    catch_up(name);
  }

  void release(const std::string& name) noexcept {
    try {
      projector_->release(name);
    } catch (const Error& error) {
      const bool somebody_else_has = error.code() == ErrorCode::NotFound || error.code() == ErrorCode::Closed;
      if (!somebody_else_has) log(LogLevel::Warning, kNotReleased, error.what());
    } catch (const std::bad_alloc&) {
      log(LogLevel::Warning, kNotReleased, "there is no memory");
    }
  }

  Projector* const projector_;
  std::vector<std::string>& notes_;
  std::vector<std::string> added_;
  std::vector<std::string> caught_up_;
};

class Backup {
 public:
  Backup(Store& store, const Path& store_directory, Projector* projector, const Path& set_directory,
         const BackupOptions& options)
      : store_(store),
        store_directory_(store_directory),
        projector_(projector),
        set_directory_(absolute_path(set_directory)),
        options_(options),
        source_(store.backup_source()) {}

  BackupReport run() {
    check_compression_level(options_.compression_level);
    if (options_.shards > kMaxShards) {
      throw Error(ErrorCode::InvalidArgument,
                  "a snapshot has at most " + std::to_string(kMaxShards) + " shards for state and events each");
    }
    if (options_.seal != SealMode::None && store_.status().read_only) {
      throw Error(ErrorCode::ReadOnly,
                  "the store was opened for reading only, and sealing stops those who write; open "
                  "it for writing");
    }
    SnapshotSet set = open_set();
    set.require_store(source_->store_id());
    set.require_key();
    std::optional<SnapshotInfo> base;
    if (options_.incremental) {
      base = base_for_diff(set, source_->lineage());
    } else {
      source_->check_pages();
    }

    const CommitSeq from = base ? base->manifest->last_commit : source_->flushed_commit();
    const Uuid timeline = base ? base->manifest->timeline() : source_->lineage().front().id;
    Registration registration(source_->retention(),
                              {.set_id = set.id(),
                               .timeline = timeline,
                               .commit = from,
                               .limit_bytes = options_.retain_bytes,
                               .place = set_directory_.string()},
                              base ? SnapshotType::Diff : SnapshotType::Full);
    AZOTH_FAULT("backup.registered");
    pin();
    if (base) {
      require_same_history(*source_, content_, *base, registration.before(), options_.key);
    } else {
      refuse_older_copy(*source_, content_, set, options_.key);
    }
    if (base && base->manifest->last_commit == content_.totals.last_commit) {
      if (sealed_at_ && !base->manifest->sealed) {
        throw Error(ErrorCode::InvalidArgument, "nothing was committed since snapshot " +
                                                    std::to_string(base->ordinal) +
                                                    ", which does not say that the history ends with it; make a full "
                                                    "one that does");
      }
      report_.notes.push_back("nothing was committed since snapshot " + std::to_string(base->ordinal) +
                              "; no snapshot was added");
      report_.snapshot = *base;
    } else {
      report_.snapshot = take(set, base);
      AZOTH_FAULT("backup.published");
    }
    if (auto note = registration.published(source_->lineage().front().id, content_.totals.last_commit)) {
      report_.notes.push_back(std::move(*note));
    }
    return std::move(report_);
  }

 private:
  SnapshotSet open_set() {
    const SnapshotSet::Options options{
        .key = options_.key, .file_system = options_.file_system, .clock = options_.clock};
    try {
      return SnapshotSet::open(set_directory_, options);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::NotFound) throw;
      if (options_.incremental) {
        throw Error(ErrorCode::NotFound, std::string("a differential snapshot continues another one, and ") +
                                             error.what() + "; make a full one");
      }
    }
    make_directories(*options_.file_system, set_directory_.parent_path());
    SnapshotSet set = SnapshotSet::create(set_directory_, source_->store_id(), options);
    report_.made_set = true;
    return set;
  }

  // --- The moment that the snapshot is of

  // Copies of projections come first: then none is ahead of the commit.
  void pin() {
    std::optional<CatchUp> catch_up;
    std::optional<Pause> pause;
    if (options_.seal == SealMode::Store) store_.seal();
    if (options_.seal != SealMode::None) {
      store_.flush();  // projections see what is durable
      catch_up.emplace(projector_, report_.notes);
      catch_up->begin(store_directory_);
      AZOTH_FAULT("backup.caught_up");
    }
    if (options_.seal == SealMode::Snapshot) {
      pause = store_.pause("backup");
      store_.flush();
      catch_up->finish(store_.read(Durability::Durable).last_event());
    }
    catch_up.reset();
    if (!options_.incremental) copy_projections();
    AZOTH_FAULT("backup.pinning");
    content_ = options_.incremental ? source_->recent_content() : source_->content(std::max(options_.threads, 1U));
    if (options_.seal == SealMode::Snapshot) sealed_at_ = content_.totals.last_event;
  }

  // With their tables if they are wanted and can be had; their declarations always.
  void copy_projections() {
    const std::vector<std::string> names = ProjectionCopy::names(store_directory_);
    if (names.size() > kMaxManifestProjections) {
      throw Error(ErrorCode::InvalidArgument,
                  "the store has " + std::to_string(names.size()) + " projections, and a snapshot has room for " +
                      std::to_string(kMaxManifestProjections) + "; drop those that nobody needs");
    }
    for (const std::string& name : names) {
      if (!options_.projections || !try_copying(name, true)) try_copying(name, false);
    }
  }

  // Tables that cannot be copied can be built anew; a declaration that nobody could install is of no use.
  bool try_copying(const std::string& name, bool tables) {
    try {
      projections_.emplace_back(store_directory_, name, tables);
      return true;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::NotFound) return false;  // there is none, or it was dropped since it was listed
      const bool useless = error.code() == ErrorCode::InvalidArgument || error.corruption();
      if (error.code() == ErrorCode::NoSpace || (!tables && !useless)) throw;
      const std::string what = tables ? "the tables of projection " + name + " are" : "projection " + name + " is";
      report_.notes.push_back(what + " left out: " + error.what());
      return false;
    }
  }

  // --- The snapshot

  SnapshotInfo take(SnapshotSet& set, const std::optional<SnapshotInfo>& base) {
    PendingSnapshot pending = set.begin(base ? SnapshotType::Diff : SnapshotType::Full,
                                        {.compression_level = options_.compression_level, .threads = options_.threads});
    Manifest facts;
    if (base) {
      facts = write_diff(*source_, content_, pending, *base->manifest, options_);
    } else {
      facts = FullSnapshot(*source_, content_, pending, options_, sealed_at_).write();
      write_projections(pending, facts);
    }
    const ContentTotals totals = content_.totals;
    content_.readers.clear();  // LMDB's old pages are no longer needed
    facts.store_id = source_->store_id();
    facts.created = source_->created();
    facts.lineage = source_->lineage();
    facts.taken = options_.clock->now();
    facts.content_sums = content_digest(content_sums(totals), options_.key);
    facts.state_digest = content_digest(facts.state_digest, options_.key);
    facts.events_digest = content_digest(facts.events_digest, options_.key);
    facts.sealed = sealed_at_ || totals.sealed_event;
    AZOTH_FAULT("backup.written");
    return pending.publish(facts);
  }

  void write_projections(PendingSnapshot& pending, Manifest& facts) {
    std::uint64_t bytes = 0;
    for (const ProjectionCopy& copy : projections_) bytes += copy.bytes();
    StepMeter meter(options_.progress, "copying projections", "bytes", bytes);
    std::uint32_t shard = 0;
    for (const ProjectionCopy& copy : projections_) {
      const ProjectionParts& parts = copy.parts();
      auto file = pending.add_file(FileKind::Projections, shard++, static_cast<std::uint32_t>(projections_.size()));
      file->add(parts.declaration);
      ProjectionCursor cursor{.name = parts.name};
      if (parts.cursor > facts.last_event) {  // of a history that a repair has cut; they are built anew when it is run
        report_.notes.push_back("the tables of projection " + parts.name + " are left out: they show event " +
                                std::to_string(parts.cursor) + ", behind the end of the store");
      } else if (parts.tables) {
        cursor = {.name = parts.name,
                  .tables = true,
                  .cursor = parts.cursor,
                  .version = parts.version,
                  .fingerprint = parts.fingerprint};
        copy.read([&](std::string_view piece) {
          file->add(piece);
          meter.add(piece.size());
        });
      }
      facts.projections.push_back(std::move(cursor));
      pending.close_file(std::move(file));
    }
    projections_.clear();
    meter.end();
  }

  Store& store_;
  const Path store_directory_;
  Projector* const projector_;
  const Path set_directory_;
  const BackupOptions& options_;
  const std::unique_ptr<BackupSource> source_;
  BackupReport report_;
  std::vector<ProjectionCopy> projections_;
  BackupSource::Content content_;
  std::optional<EventId> sealed_at_;
};

}  // namespace

BackupReport back_up(Store& store, const Path& store_directory, Projector* projector, const Path& set_directory,
                     const BackupOptions& options) {
  return Backup(store, store_directory, projector, set_directory, options).run();
}

}  // namespace azoth::backup
