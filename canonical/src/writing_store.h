// A store that is open for writing: its parts and how they are wired.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "admission.h"
#include "azoth/lockmgr/transaction_lock.h"
#include "bulk_commit.h"
#include "commit_state.h"
#include "environment.h"
#include "flusher.h"
#include "gate.h"
#include "group_commit.h"
#include "journal.h"
#include "sequencer.h"
#include "store_impl.h"
#include "syncer.h"

namespace azoth {

class WritingStore : public StoreImpl {
 public:
  WritingStore(const std::filesystem::path& directory, const Options& options, FileSystem& fs);
  ~WritingStore() override;

  Outcome<Ticket> submit(WriteSet set, std::span<const Condition> conditions, const SubmitOptions& options);
  EventId seal(Deadline deadline);
  void unseal(Deadline deadline);
  void pause(const std::string& owner, Deadline deadline);
  const std::shared_ptr<Gate>& gate() const { return gate_; }

  void flush(Durability level);
  void checkpoint();

  WritingStore& writer() override { return *this; }
  std::unique_ptr<Snapshot> read(Durability level) override { return snapshot(mark(level)); }
  std::unique_ptr<SubscriptionState> subscribe(EventId after) override;
  std::unique_ptr<EventSource> event_source() override;
  Meta meta() override;
  Status status() override;
  void metrics(const MetricCallback& callback) override;
  VerifyReport verify(const Progress& progress) override;
  std::string digest(const Progress& progress) override;
  void close() override;

  // --- For WriteTxn.
  std::unique_ptr<Snapshot> snapshot(CommitSeq at) const;  // `at` was loaded before the call
  void begin_exclusive(Deadline deadline);
  void end_exclusive();
  // While the transaction lock is held.
  Ticket sequence(WriteSet& set, Durability level, Gate::Writer writer = Gate::Writer::User);
  const Options& options() const { return options_; }
  CommitSeq applied() const { return state_.marks.applied.load(); }
  EventId next_event() const { return sequencer_->next_event(); }
  Deadline deadline(std::optional<std::chrono::nanoseconds> timeout) const;
  void check_limits(const WriteSet& set) const;

 private:
  std::shared_ptr<Environment> open_environment();
  void recover(const std::shared_ptr<Environment>& environment);
  void load_seal();
  bool is_bulk(const WriteSet& set) const;
  void drain(Deadline deadline);
  void check_open() const;
  void check_not_nested() const;
  CommitSeq mark(Durability level) const;  // what a snapshot at this level shows
  std::unique_ptr<Snapshot> lmdb_snapshot() const { return snapshot(0); }
  std::optional<Rejection> evaluate(std::span<const Condition> conditions, CommitSeq& at) const;
  void shut_down();

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
  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::atomic<std::thread::id> exclusive_thread_{};  // of the live WriteTxn
  std::atomic<bool> closed_{false};
  std::atomic<std::uint64_t> rejections_{0};
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Sequencer> sequencer_;
  std::shared_ptr<GroupCommit> group_;
  std::unique_ptr<Syncer> syncer_;
  std::unique_ptr<Flusher> flusher_;
  std::unique_ptr<BulkCommit> bulk_commit_;
};

}  // namespace azoth
