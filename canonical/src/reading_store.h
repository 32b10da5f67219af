// A store that is open for reading only, beside a writer in another process or without one.
//
// It keeps an overlay of its own: what the journal holds above LMDB, read with pread, synced by itself, and only then
// shown. Each read brings it up to date. It never cuts, repairs or creates anything, takes no lock that a writer wants,
// and holds no LMDB transaction while idle. With subscribers a thread follows the journal; it sleeps until the
// journal's directory changes.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "azoth/core/error.h"
#include "commit_state.h"
#include "directory_watch.h"
#include "environment.h"
#include "journal_follower.h"
#include "store_impl.h"
#include "store_metrics.h"
#include "view.h"

namespace azoth {

class ReadingStore : public StoreImpl {
 public:
  ReadingStore(const std::filesystem::path& directory, const Options& options, FileSystem& fs);
  ~ReadingStore() override;

  WritingStore& writer() override;
  std::unique_ptr<Snapshot> read(Durability level) override;  // all levels are Durable here
  std::unique_ptr<SubscriptionState> subscribe(EventId after) override;
  std::unique_ptr<EventSource> event_source() override;
  std::shared_ptr<Environment> environment() override;
  BackupSite backup_site() override { return {fs_, paths_, identity_, created_, options_.delta_bytes}; }
  PinnedView pin() override;
  PinnedView pin_recent() override { return pin(); }
  Meta meta() override;
  Status status() override;
  void metrics(const MetricCallback& callback) override { report_status(status(), callback); }
  VerifyReport verify(const Progress& progress) override;
  std::string digest(const Progress& progress) override;
  std::uint64_t peek_sequence(std::string_view name) override;
  std::vector<SequenceInfo> sequences() override;
  void close() override;

 private:
  void refresh();
  bool try_refresh();
  bool read_journal();
  CommitSeq stop() const;
  void start_over();
  void insert(std::string_view record);
  void drop_flushed(CommitSeq lmdb_commit);
  void publish();
  void start_following();  // with mutex_ held
  void follow();
  void follow_until_gone();
  void fail(const Error& error);

  // For those who may outlive the store and want it to look for more. Its mutex comes before mutex_.
  struct Self {
    explicit Self(ReadingStore* open) : store(open) {}
    std::mutex mutex;
    ReadingStore* store;  // null once it is closed
  };
  JournalFiles list_files();
  RecoveryReport to_be_recovered(Environment& environment, const JournalFiles& files) const;

  const Options options_;
  FileSystem& fs_;
  const StorePaths paths_;
  JournalIdentity identity_;
  Timestamp created_{};
  const std::shared_ptr<CommitState> state_ = std::make_shared<CommitState>();
  const std::shared_ptr<View> nothing_ = std::make_shared<View>();  // to close with: there may be no memory then
  const std::shared_ptr<ViewHolder> views_ = std::make_shared<ViewHolder>();

  const std::shared_ptr<Self> self_ = std::make_shared<Self>(this);

  std::mutex closing_;  // before mutex_: who comes second returns when it is closed
  std::mutex mutex_;    // everything below
  std::shared_ptr<Environment> environment_;
  JournalFollower follower_;
  bool started_ = false;
  std::optional<Error> unreadable_;            // why the last attempt could not read the journal
  std::deque<std::shared_ptr<Delta>> deltas_;  // newest first
  EventId next_event_ = 1;
  CommitSeq lmdb_commit_ = 0;
  CommitSeq stop_at_ = 0;     // where a writer that failed said that it was durable
  bool passed_over_ = false;  // commits above it: they are read again, because they may come back
  std::unique_ptr<DirectoryWatch> watch_;
  std::thread following_;
};

}  // namespace azoth
