// A store that is open for writing: its parts and how they are wired.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "admission.h"
#include "azoth/lockmgr/stripe_locks.h"
#include "azoth/lockmgr/transaction_lock.h"
#include "bulk_commit.h"
#include "commands.h"
#include "commit_state.h"
#include "environment.h"
#include "flusher.h"
#include "gate.h"
#include "group_commit.h"
#include "journal.h"
#include "sequencer.h"
#include "sequences.h"
#include "store_impl.h"
#include "syncer.h"
#include "transact.h"

namespace azoth {

class WritingStore : public StoreImpl {
 public:
  WritingStore(const std::filesystem::path& directory, const Options& options, FileSystem& fs);
  ~WritingStore() override;

  Outcome<Ticket> submit(WriteSet set, std::span<const Condition> conditions, const SubmitOptions& options);
  Outcome<Ticket> transact(const TransactionPlan& plan, TransactionWork& work);
  EventId seal(Deadline deadline);
  void unseal(Deadline deadline);
  void pause(const std::string& owner, Deadline deadline);
  const std::shared_ptr<Gate>& gate() const { return gate_; }
  // The first of n numbers that no crash takes back.
  std::uint64_t next_sequence(std::string_view name, std::uint64_t n, Durability level);

  void flush(Durability level);
  void checkpoint();

  WritingStore& writer() override { return *this; }
  std::unique_ptr<Snapshot> read(Durability level) override { return snapshot(mark(level)); }
  std::unique_ptr<SubscriptionState> subscribe(EventId after) override;
  std::unique_ptr<EventSource> event_source() override;
  std::shared_ptr<Environment> environment() override;
  BackupSite backup_site() override { return {fs_, paths_, identity_, created_, options_.delta_bytes}; }
  PinnedView pin() override;
  PinnedView pin_recent() override;
  Meta meta() override;
  Status status() override;
  void metrics(const MetricCallback& callback) override;
  VerifyReport verify(const Progress& progress) override;
  std::string digest(const Progress& progress) override;
  std::uint64_t peek_sequence(std::string_view name) override;
  std::vector<SequenceInfo> sequences() override;
  void close() override;

  // The first of n numbers, for use inside a transaction: it is sequenced behind their reservation and shares its fate.
  std::uint64_t allocate_sequence(std::string_view name, std::uint64_t n, Deadline until);

  // --- For WriteTxn.
  std::unique_ptr<Snapshot> snapshot(CommitSeq at) const;  // `at` was loaded before the call
  void begin_exclusive(Deadline deadline);
  void end_exclusive();
  // While the transaction lock is held.
  Ticket sequence(WriteSet& set, Durability level, Deadline until, Gate::Writer writer = Gate::Writer::User);
  const Options& options() const { return options_; }
  const StripeLocks& stripe_locks() const { return stripe_locks_; }
  CommitSeq applied() const { return state_.marks.applied.load(); }
  EventId next_event() const { return sequencer_->next_event(); }
  Deadline deadline(std::optional<std::chrono::nanoseconds> timeout) const;
  void check_limits(const WriteSet& set) const;
  void check_value(std::string_view key, std::string_view value) const;
  std::size_t check_event(const Event& event) const;              // its encoded size
  void check_room(const WriteSet& set, std::size_t bytes) const;  // for an entry of so many bytes

 private:
  std::shared_ptr<Environment> open_environment();
  void recover(const std::shared_ptr<Environment>& environment);
  void load_seal();
  void make_sequences();
  CommitSeq reserve(std::string_view name, const SequenceBlock& block, Durability level, Deadline deadline);
  void return_rests(Deadline until);
  std::optional<Error> close_sequences() noexcept;
  bool is_bulk(const WriteSet& set) const;
  void drain(Deadline deadline);
  void check_open() const;
  void check_not_nested() const;
  CommitSeq mark(Durability level) const;  // what a snapshot at this level shows
  std::unique_ptr<Snapshot> lmdb_snapshot() const { return snapshot(0); }

  // transact.cc
  class Locks;
  // A commit; a command's commit of before; what did not hold; what the user's code has thrown.
  using Answer = std::variant<Sequencer::Sequenced, CommitInfo, Sequencer::Rejected, std::exception_ptr>;
  Answer run(const TransactionPlan& plan, TransactionWork& work, LockedReads& reads);
  Answer place(WriteSet& set, const TransactionPlan& plan, LockedReads& reads);
  void wait_for_reason(CommitSeq commit, Durability level);
  void forget_old_commands(std::string_view carried_out);
  void forget(const std::vector<OldCommands::Found>& old, Deadline until);

  void shut_down();
  std::optional<Error> end_writing();
  std::optional<Error> end_journal();

  const Options options_;
  FileSystem& fs_;
  const StorePaths paths_;
  JournalIdentity identity_;
  Timestamp created_{};
  RecoveryReport recovery_;

  const std::shared_ptr<CommitState> shared_state_ = std::make_shared<CommitState>();
  CommitState& state_ = *shared_state_;
  Admission admission_;
  TransactionLock transaction_lock_;
  StripeLocks stripe_locks_;
  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::atomic<std::uint64_t> exclusive_thread_{0};  // its number, of the live WriteTxn
  std::mutex closing_;
  std::atomic<bool> closed_{false};
  std::atomic<std::uint64_t> rejections_{0};
  std::atomic<std::uint64_t> repeats_{0};  // of commands
  std::mutex returning_;                   // sequences' rests: by one of seal, pause and close at a time
  std::mutex forgetting_;                  // old_commands_
  OldCommands old_commands_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<RetainedJournal> retained_;
  std::unique_ptr<Sequencer> sequencer_;
  std::shared_ptr<GroupCommit> group_;
  std::unique_ptr<Syncer> syncer_;
  std::unique_ptr<Flusher> flusher_;
  std::unique_ptr<BulkCommit> bulk_commit_;
  std::unique_ptr<Sequences> sequences_;
};

}  // namespace azoth
