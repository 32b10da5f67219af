// azoth::Db, the database: what a program opens, and all that the command line uses.
//
//   azoth::Db db = azoth::Db::open_or_create("ledger");
//
//   azoth::WriteSet set;
//   set.put("balance/alice", "100").append({.type = "deposited", .tags = {"account:alice"},
//                                           .payload = R"({"account":"alice","amount":100})"});
//   azoth::CommitInfo commit = db.submit(std::move(set))->wait();       // durable
//
//   azoth::ReadTxn snapshot = db.read();
//   for (auto [key, value] : snapshot.scan("balance/")) ...
//   for (const azoth::EventView& event : snapshot.events({.after = 0})) ...
//
// A Db is a movable handle; its members may be called from any thread. What they do and throw is described where they
// are declared: azoth/canonical/store.h.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/backup/backup.h"
#include "azoth/backup/restore.h"
#include "azoth/canonical/store.h"
#include "azoth/projection/declarations.h"
#include "azoth/projection/projector.h"
#include "azoth/projection/query.h"
#include "azoth/projection/sql_projection.h"

namespace azoth {

class Db {
 public:
  // Opens an existing store; NotFound if there is none.
  static Db open(const std::filesystem::path& directory, const Options& options = {});
  // Opens an existing store for reading only, beside a writer in another process or without one.
  static Db open_read_only(const std::filesystem::path& directory, const Options& options = {});
  // Creates a new one; AlreadyExists if there is one.
  static Db create(const std::filesystem::path& directory, const Options& options = {});
  static Db open_or_create(const std::filesystem::path& directory, const Options& options = {});
  // Explains why a store cannot be opened, and with `accept_loss` mends it by giving up what is damaged.
  static RepairReport repair(const std::filesystem::path& directory, const Options& options = {},
                             const RepairOptions& repair = {});

  Transaction transaction() { return store_->transaction(); }
  Outcome<Ticket> submit(WriteSet set, std::span<const Condition> conditions = {}, const SubmitOptions& options = {}) {
    return store_->submit(std::move(set), conditions, options);
  }
  WriteTxn begin(std::optional<std::chrono::nanoseconds> timeout = {}) { return store_->begin(timeout); }
  ReadTxn read(Durability level = Durability::Written) const { return store_->read(level); }

  EventId seal(std::optional<std::chrono::nanoseconds> timeout = {}) { return store_->seal(timeout); }
  void unseal(std::optional<std::chrono::nanoseconds> timeout = {}) { store_->unseal(timeout); }
  Pause pause(std::string owner, std::optional<std::chrono::nanoseconds> timeout = {}) {
    return store_->pause(std::move(owner), timeout);
  }

  std::uint64_t next_sequence(std::string_view name, std::uint64_t n = 1, Durability level = Durability::Durable) {
    return store_->next_sequence(name, n, level);
  }
  std::uint64_t peek_sequence(std::string_view name) const { return store_->peek_sequence(name); }
  std::vector<SequenceInfo> sequences() const { return store_->sequences(); }

  Subscription subscribe(EventId after = 0) const { return store_->subscribe(after); }

  void flush(Durability level = Durability::Durable) { store_->flush(level); }
  void checkpoint() { store_->checkpoint(); }

  Meta meta() const { return store_->meta(); }
  Status status() const { return store_->status(); }
  void metrics(const MetricCallback& callback) const { store_->metrics(callback); }
  std::vector<Metric> metrics() const { return store_->metrics(); }
  // The store (azoth/canonical/store.h), and of each projection that its tables can be read and show this store's log
  // up to their cursor. Of its declaration nothing.
  VerifyReport verify(const Progress& progress = {});
  std::string digest(const Progress& progress = {}) { return store_->digest(progress); }

  // The read models of this store, in its directory: see azoth/projection/projector.h. Made at the first call. Works
  // beside a writer in another process, too, on a store that was opened for reading only.
  Projector& projections();

  // Rows of one projection, or of several: see azoth/projection/query.h. Values are bound in their order, or by name
  // with named(). Needs no projector in this process, and takes charge of no projection.
  template <class... Values>
  SqlResult sql(std::string_view projection, std::string_view text, const Values&... values) {
    return sql(std::vector{std::string(projection)}, text, values...);
  }
  template <class... Values>
  SqlResult sql(std::initializer_list<std::string_view> projections, std::string_view text, const Values&... values) {
    return sql(std::vector<std::string>(projections.begin(), projections.end()), text, values...);
  }
  template <class... Values>
  SqlResult sql(const std::vector<std::string>& projections, std::string_view text, const Values&... values) {
    return queries().sql(projections, text, values...);
  }
  // For parameters and limits that are known at run time only: queries().run(projections, text, arguments, options).
  Queries& queries();

  // A snapshot of this store into a snapshot set, while writers go on: see azoth/backup/backup.h.
  backup::BackupReport backup(const std::filesystem::path& set_directory, const backup::BackupOptions& options = {});
  // A new store out of a snapshot set: see azoth/backup/restore.h.
  static backup::RestoreReport restore(const std::filesystem::path& set_directory,
                                       const std::filesystem::path& target_directory,
                                       const backup::RestoreOptions& options = {});
  // Proves that a snapshot set restores, or says what is wrong with it.
  static backup::SetReport verify_backup(const std::filesystem::path& set_directory,
                                         const backup::VerifyOptions& options = {});
  // What snapshot sets still need of this store's journal, and giving one of them up: see azoth/canonical/retention.h.
  // Needs no Db: these work on any store's directory.
  static std::vector<RetainedSet> retained_sets(const std::filesystem::path& directory);
  static bool forget_set(const std::filesystem::path& directory, const Uuid& set_id);

  const std::filesystem::path& directory() const { return directory_; }

  // Stops the projections, then closes the store. Batches that have begun are waited for; what waits for a projection
  // on other threads ends with Closed. NestedUse from a handler.
  void close();

  Db(Db&&) noexcept;
  Db& operator=(Db&&) noexcept;
  ~Db();

 private:
  struct ReadModels;

  Db(std::unique_ptr<Store> store, const std::filesystem::path& directory);

  std::filesystem::path directory_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ReadModels> read_models_;  // ends before the store
};

}  // namespace azoth
