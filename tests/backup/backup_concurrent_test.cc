// Snapshots while a store is written to by several threads: each is of one commit, and has all of it.
//
// Covers of the defects that other stores had: writes that slip into a copy (R6), a tail of events that is missing
// (E1), what is not durable when it is copied (E15).
#include <atomic>
#include <thread>

#include "backup_support.h"
#include "support/child_process.h"
#include "support/patience.h"

namespace azoth::backup::test {
namespace {

constexpr std::size_t kThreads = 3;

class BackupConcurrent : public BackupTest {
 protected:
  // Writes until it ends: puts, deletes, events, now and then a bulk transaction and numbers of a sequence.
  class Writers {
   public:
    Writers(Store& store, Model& model, std::uint64_t seed) {
      for (std::size_t thread = 0; thread < kThreads; ++thread) {
        threads_.emplace_back([this, &store, &model, seed, thread] { write(store, model, seed + thread); });
      }
    }
    ~Writers() {
      over_ = true;
      for (std::thread& thread : threads_) thread.join();
    }
    void wait_for(int commits) const {
      for (const int until = commits_ + commits; commits_ < until;) std::this_thread::yield();
    }

   private:
    void write(Store& store, Model& model, std::uint64_t seed) {
      std::mt19937_64 random(seed);
      for (int step = 0; !over_; ++step) {
        Change change = random_change(random, 60);
        if (step % 40 == 0) change.writes.emplace_back("large", std::string(40'000, static_cast<char>(random())));
        const Durability level = step % 2 == 0 ? Durability::Written : Durability::Durable;
        unless_paused([&] { test::commit(store, model, std::move(change), level); });
        if (step % 10 == 0) unless_paused([&] { store.next_sequence("numbers", 3000, Durability::Written); });
        ++commits_;
        if (step % 8 == 0) std::this_thread::sleep_for(std::chrono::milliseconds{1});
      }
    }

    std::atomic<bool> over_{false};
    std::atomic<int> commits_{0};
    std::vector<std::thread> threads_;
  };
};

TEST_F(BackupConcurrent, EachSnapshotIsTheStoreAtItsCommitAndHasWhatWasDurableBefore) {
  std::mt19937_64 random(azoth::test::test_seed());
  std::vector<CommitSeq> commits;
  {
    const Writers writers(*store_, model_, random());
    for (int i = 0; i < rounds(8, 100); ++i) {
      writers.wait_for(20);
      store_->flush();
      const CommitSeq durable = store_->status().durable_seq;
      const BackupOptions options{.incremental = i % 3 != 0,
                                  .seal = i % 4 == 3 ? SealMode::Snapshot : SealMode::None,
                                  .shards = 1 + i % 3U,
                                  .threads = 1 + i % 3U};
      const Manifest taken = *back_up(options).snapshot.manifest;
      EXPECT_GE(taken.last_commit, durable);
      commits.push_back(taken.last_commit);
    }
  }
  EXPECT_THAT(store_->status().pauses, testing::IsEmpty());
  for (const CommitSeq commit : commits) {
    const RestoreReport restored = restore_to(RestoreTarget::commit(commit));
    EXPECT_EQ(restored.commit, commit);
    ASSERT_NO_FATAL_FAILURE(expect_restored(target(), model_, commit, options_));
  }
  EXPECT_TRUE(verify().ok());
}

TEST_F(BackupConcurrent, WhatIsTakenBesideAWriterByOneWhoOnlyReadsIsTheStoreAtItsCommit) {
  const std::uint64_t seed = azoth::test::test_seed();
  close();
  azoth::test::Pipe pipe;
  const azoth::test::ChildProcess writer([&] {
    std::mt19937_64 random(seed);
    for (open();; std::this_thread::sleep_for(std::chrono::milliseconds{1})) {
      pipe.send(azoth::test::commit(*store_, random_change(random, 60).set(), Durability::Durable));
    }
  });
  pipe.close_writing();
  std::mt19937_64 random(seed);  // the same changes as there
  const auto hear = [&] {
    CommitInfo info;
    EXPECT_TRUE(pipe.receive(info)) << "the writer has died";
    model_.add(info, random_change(random, 60));
    return info.commit_seq;
  };
  for (int i = 0; i < rounds(8, 100) && !HasFailure(); ++i) {
    CommitSeq heard = 0;
    for (int commits = 0; commits < 20; ++commits) heard = hear();
    using azoth::test::patiently;
    const std::unique_ptr<Store> reader = patiently([&] { return Store::open_read_only(store_path(), options_); });
    const BackupReport report = patiently(
        [&] { return backup::back_up(*reader, store_path(), nullptr, set_path(), {.incremental = i % 3 != 0}); });
    EXPECT_EQ(registrations().size(), 1u);
    const CommitSeq commit = report.snapshot.manifest->last_commit;
    EXPECT_GE(commit, heard);
    while (heard < commit && !HasFailure()) heard = hear();
    restore();
    ASSERT_NO_FATAL_FAILURE(expect_restored(target(), model_, commit, options_));
  }
  EXPECT_TRUE(verify().ok());
}

}  // namespace
}  // namespace azoth::backup::test
