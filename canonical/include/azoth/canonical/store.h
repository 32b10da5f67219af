// The canonical store: ordered state and event log in one directory, changed together by atomic commits.
//
// A commit goes through a redo journal and an in-memory Delta; LMDB is filled from the Delta in the background
// (docs/architecture.md). All members may be called from any thread, except that a store must not be destroyed while
// other threads are inside its members.
//
// One process writes at a time, and one Store per directory in it: open() fails with Locked (naming the other process)
// or AlreadyOpen.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "azoth/canonical/backup_source.h"
#include "azoth/canonical/command.h"
#include "azoth/canonical/commit.h"
#include "azoth/canonical/condition.h"
#include "azoth/canonical/metrics.h"
#include "azoth/canonical/options.h"
#include "azoth/canonical/outcome.h"
#include "azoth/canonical/pause.h"
#include "azoth/canonical/read_txn.h"
#include "azoth/canonical/repair.h"
#include "azoth/canonical/sequence.h"
#include "azoth/canonical/subscription.h"
#include "azoth/canonical/transaction.h"
#include "azoth/canonical/write_set.h"
#include "azoth/canonical/write_txn.h"
#include "azoth/core/event_source.h"
#include "azoth/core/file.h"
#include "azoth/core/timeline.h"

namespace azoth {

struct Meta {
  Uuid store_id;
  std::uint32_t format_version = 0;
  Timestamp created{};
  Uuid timeline;    // lineage.front().id
  Lineage lineage;  // the current timeline, then its ancestors
  CommitSeq last_commit = 0;  // the newest visible one
  EventId last_event = 0;
  std::optional<EventId> sealed_event;  // if the store is sealed
};

// What opening had to do. Of a store that was opened for reading only: what opening it for writing will have to do; it
// means nothing while another process has it open for writing.
struct RecoveryReport {
  bool clean = true;                // the store had been closed
  CommitSeq recovered_commits = 0;  // commits that only the journal held
  CommitSeq last_commit = 0;
  std::vector<std::string> damage;  // in journal bytes that are no longer needed; `verify` names it too
};

// Where the store stands; numbers of one moment, not of one instant.
struct Status {
  Meta meta;
  bool read_only = false;     // then the numbers of Deltas, readers, batches, syncs and flushes are this process's own
  bool has_writer = true;     // a process, this one or another, has the store open for writing
  CommitSeq flushed_seq = 0;  // in LMDB
  CommitSeq durable_seq = 0;
  CommitSeq visible_seq = 0;
  CommitSeq applied_seq = 0;
  std::uint64_t state_keys = 0;  // in a snapshot taken for this
  std::uint64_t delta_bytes = 0;  // memory of all live Deltas
  std::uint32_t live_deltas = 0;
  std::uint64_t pinned_delta_bytes = 0;  // of Deltas that are in LMDB already and that only snapshots keep alive
  std::uint32_t waiting_writers = 0;  // for memory, for keys, or for the end of a bulk transaction
  std::uint64_t journal_bytes = 0;  // on disk, spares included
  std::uint32_t journal_segments = 0;
  std::uint64_t map_bytes = 0;       // reserved
  std::uint64_t map_used_bytes = 0;  // used by LMDB, free pages subtracted
  std::uint64_t map_soft_limit_bytes = 0;  // above it, less twice what the live Deltas hold, only deletions pass
  std::uint32_t readers = 0;         // snapshots alive in this process
  std::chrono::milliseconds oldest_reader_age{0};
  std::uint32_t all_readers = 0;  // snapshots that hold pages of LMDB, in all processes
  std::uint64_t oldest_reader_lag = 0;  // LMDB's transactions since the oldest of these began: their pages cannot be reused
  std::uint64_t commits = 0;         // since open
  std::uint64_t batches = 0;
  std::uint64_t syncs = 0;  // fdatasync calls on the journal
  std::uint64_t flushes = 0;
  std::optional<std::string> failure;  // why writes are refused for good
  struct PausedBy {
    std::string owner;
    std::uint32_t times;
  };
  std::vector<PausedBy> pauses;
  RecoveryReport recovery;
};

struct VerifyReport {
  bool pages_whole = false;      // of LMDB; nothing else is looked at before they are
  std::uint64_t pages = 0;       // in use
  std::uint64_t lost_pages = 0;  // neither in use nor free
  std::uint64_t commits = 0;
  std::uint64_t state_keys = 0;
  std::uint64_t events = 0;
  std::uint64_t tag_entries = 0;
  std::uint64_t journal_batches = 0;
  std::uint64_t journal_segments = 0;
  std::uint64_t registered_sets = 0;
  std::uint64_t projections = 0;  // looked at by Db::verify()
  std::vector<std::string> problems;  // empty: everything is as it was written
  std::vector<std::string> notes;     // damage in bytes that are no longer needed; what could not be looked at
  bool ok() const { return problems.empty(); }
};

struct SubmitOptions {
  Durability level = Durability::Durable;                 // what Ticket::wait() waits for
  std::optional<std::chrono::nanoseconds> timeout = {};   // Options::timeout if not given
  std::optional<Command> command = {};                    // see azoth/canonical/command.h
};

// Called now and then by long work with how far it is; `total` is 0 while unknown.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

class StoreImpl;  // canonical/src/store_impl.h

class Store {
 public:
  // Makes a new, empty store in a directory that does not exist or is empty. AlreadyExists if there is one; what an
  // interrupted creation left is started over.
  static void create(const std::filesystem::path& directory, const Options& options = {},
                     FileSystem& fs = FileSystem::posix());
  // Opens an existing store and recovers what a crash left in its journal. NotFound if there is none (never creates).
  static std::unique_ptr<Store> open(const std::filesystem::path& directory, const Options& options = {},
                                     FileSystem& fs = FileSystem::posix());
  // Opens an existing store for reading, beside a writer in another process or without one. Each read sees what was
  // durable when it began. It changes nothing, not even after a crash, and takes nothing that a writer wants but a
  // reader slot; whatever writes fails with ReadOnly. AlreadyOpen if this process has the store open.
  static std::unique_ptr<Store> open_read_only(const std::filesystem::path& directory, const Options& options = {},
                                               FileSystem& fs = FileSystem::posix());
  // Finds out why a store cannot be opened, what of it can be kept, and with `accept_loss` keeps that and gives up the
  // rest. See azoth/canonical/repair.h.
  static RepairReport repair(const std::filesystem::path& directory, const Options& options = {},
                             const RepairOptions& repair = {}, FileSystem& fs = FileSystem::posix());
  // Whether there is a store in this directory.
  static bool exists(const std::filesystem::path& directory, FileSystem& fs = FileSystem::posix());

  ~Store();  // close(), with its error logged
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // A transaction that reads, checks and writes keys that it declares: the usual way to write. See
  // azoth/canonical/transaction.h.
  Transaction transaction();

  // Commits a WriteSet if all conditions hold, without waiting for the journal: the ticket does that. Everything that
  // can go wrong is checked before anything changes: limits (their own codes), NestedUse, Closed, StoreFailed,
  // Backpressure or LockTimeout on the deadline, NoSpace. An empty set commits nothing and succeeds. A rejection, and
  // the answer to a command that was carried out before, come when what they rest on has reached the level.
  //
  // A bulk transaction (Options, "Journal") is durable when submit returns. If LMDB fails while it is committed,
  // StoreFailed says so with outcome_unknown().
  Outcome<Ticket> submit(WriteSet set, std::span<const Condition> conditions = {}, const SubmitOptions& options = {});

  // Begins an exclusive transaction; LockTimeout when others do not end in time.
  WriteTxn begin(std::optional<std::chrono::nanoseconds> timeout = {});

  // A snapshot. At Written, the default: everything acknowledged as Written or Durable so far, and perhaps not all that
  // was acknowledged as Applied. At Applied: everything sequenced so far, which a crash may take back. At Durable: what
  // a power cut cannot take back.
  ReadTxn read(Durability level = Durability::Written) const;

  // The events after this one, commit by commit, as they become durable.
  Subscription subscribe(EventId after = 0) const;

  // The log for those who know nothing of stores: projections. It may outlive the store and then says Closed.
  std::unique_ptr<EventSource> event_source() const;

  // For those who back the store up: see azoth/canonical/backup_source.h.
  std::unique_ptr<BackupSource> backup_source();

  // Returns when everything submitted before is that safe.
  void flush(Durability level = Durability::Durable);
  // Returns when everything submitted before is also in LMDB.
  void checkpoint();

  // Waits for the transactions that are under way and then refuses every write with Sealed, from this process and any
  // other, until unseal(). Both are commits, and return when durable; a seal also returns what sequences have reserved
  // and not used. Answers the id of the last event; sealing a sealed store answers the same. LockTimeout, with nothing
  // changed, if transactions do not end in time.
  EventId seal(std::optional<std::chrono::nanoseconds> timeout = {});
  void unseal(std::optional<std::chrono::nanoseconds> timeout = {});

  // Waits for the transactions that are under way and then refuses others with Paused while the Pause lives. Reading,
  // flushing, sealing and closing go on. A commit returns what sequences have reserved and not used, if there is any.
  // LockTimeout, with the store left open, if transactions do not end in time; likewise what that commit throws.
  Pause pause(std::string owner, std::optional<std::chrono::nanoseconds> timeout = {});

  // The first of n new numbers of a sequence, which are first, first + 1, ... (sequence.h). Returns when their
  // reservation has reached the level: a number that was handed out at Durable is never handed out again, one at Written
  // only after a power cut, one at Applied after any crash. For n = 0 the next number, which nobody has then.
  //
  // Inside a WriteTxn use its own next_sequence. Throws InvalidArgument for the name, SequenceExhausted, NestedUse,
  // Sealed, Paused, Closed, and Backpressure or NoSpace as submit does: then no number is used up. StoreFailed if the
  // reservation can no longer become so safe.
  std::uint64_t next_sequence(std::string_view name, std::uint64_t n = 1, Durability level = Durability::Durable);
  // The number that will be handed out next, which is not used up by this; 0 for a name that was never used. After a
  // crash it is the end of the block that was in use. In a store that is open for reading only, while another process
  // writes or after a crash, it is the end of the current block.
  std::uint64_t peek_sequence(std::string_view name) const;
  // All sequences by name, each with what peek_sequence() answers.
  std::vector<SequenceInfo> sequences() const;

  Meta meta() const;
  Status status() const;
  // What this object has counted and timed since it was opened.
  void metrics(const MetricCallback& callback) const;
  std::vector<Metric> metrics() const;

  // Checks everything that is stored: structure, gapless ids, every checksum, the tag index against the events, counts,
  // sequences, command ids and the seal against the log, the journal's chain, what snapshot sets have registered, the
  // journal that is kept for them. Works on a snapshot; writers go on.
  VerifyReport verify(const Progress& progress = {});
  // A hash over the sorted state and over every event's id, time, type, tags, metadata and payload, in hex. Equal
  // content gives equal digests, whatever the history.
  std::string digest(const Progress& progress = {});

  // Refuses new work, returns what sequences have reserved and not used, makes everything that was sequenced durable,
  // moves it to LMDB. Everything fails with Closed afterwards; tickets keep their results and snapshots their content.
  // Calling it again does nothing; beside a thread that is closing it, it returns when that is done. Throws NestedUse, or
  // StoreFailed if something could not be made durable.
  void close();

 private:
  explicit Store(std::unique_ptr<StoreImpl> impl);

  std::unique_ptr<StoreImpl> impl_;
};

}  // namespace azoth
