// Sealed snapshots, which stop writing for a moment, and backups of sealed stores.
//
// Covers of the defects that other stores had: a seal or pause that stays when a backup fails or ends (E2, E11, R7),
// two backups that take each other's pause and seal away (R8), a restored store that is sealed unasked (E3), waiting
// for projections that never get there (E1).
#include <atomic>
#include <thread>

#include "azoth/projection/declarations.h"
#include "backup_support.h"

namespace azoth::backup::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class SealedSnapshot : public BackupTest {
 protected:
  SealedSnapshot() {
    put("a", "b");
    append("{}", 2);
  }
  BackupReport sealed(bool incremental = false) {
    return back_up({.incremental = incremental, .seal = SealMode::Snapshot});
  }
};

TEST_F(SealedSnapshot, SaysThatItsHistoryEndsThereAndTheStoreGoesOn) {
  const Manifest full = *sealed().snapshot.manifest;
  EXPECT_TRUE(full.sealed);
  expect_usable();
  EXPECT_TRUE(sealed(true).snapshot.manifest->sealed);
  expect_usable();
  EXPECT_FALSE(incremental().snapshot.manifest->sealed);
}

TEST_F(SealedSnapshot, TheRestoredStoreIsSealedOnlyIfThatIsAskedFor) {
  sealed();
  EXPECT_EQ(restore().sealed_event, std::nullopt);
  azoth::test::put(*Store::open(target(), options_), "goes", "on");
  const RestoreReport report = restore({.sealed = true});
  EXPECT_EQ(report.sealed_event, 2u);
  const std::unique_ptr<Store> store = Store::open(target(), options_);
  EXPECT_EQ(store->meta().sealed_event, 2u);
  EXPECT_EQ(azoth::test::code_of([&] { azoth::test::put(*store, "a", "c"); }), ErrorCode::Sealed);
  ASSERT_NO_FATAL_FAILURE(expect_holds(*store, model_, report.commit));
  store->unseal();
  azoth::test::put(*store, "a", "c");
}

TEST_F(SealedSnapshot, OfAnUnchangedStoreIsTheSameAgain) {
  store_->next_sequence("invoice");
  const Manifest one = *sealed().snapshot.manifest;
  const Manifest two = *sealed().snapshot.manifest;
  ASSERT_EQ(one.files.size(), two.files.size());
  const SnapshotSet set = SnapshotSet::open(set_path(), {.read_only = true});
  for (std::size_t i = 0; i < one.files.size(); ++i) {
    EXPECT_EQ(read_records(*set.read(one, one.files[i])), read_records(*set.read(two, two.files[i])));
  }
  EXPECT_EQ(one.last_commit, two.last_commit);
  EXPECT_EQ(one.state_digest, two.state_digest);
  EXPECT_EQ(one.events_digest, two.events_digest);
}

// Two at once, into two sets, while others write.
TEST_F(SealedSnapshot, TwoAtOnceLeaveTheStoreNeitherPausedNorSealed) {
  std::atomic<bool> over{false};
  std::thread writer([&] {
    for (int i = 0; !over; ++i) {
      unless_paused([&] { put("writer", std::to_string(i)); });
      std::this_thread::yield();
    }
  });
  const auto back_up_into = [&](const std::string& name) {
    for (int i = 0; i < rounds(5, 50); ++i) {
      backup::back_up(*store_, store_path(), nullptr, dir_.path() / name,
                      {.incremental = i % 2 == 1, .seal = SealMode::Snapshot});
    }
  };
  std::thread other([&] { back_up_into("other"); });
  back_up_into("set");
  other.join();
  over = true;
  writer.join();
  expect_usable();
  for (const std::string name : {"set", "other"}) {
    const SetReport report = verify_set(dir_.path() / name, {.scratch = targets().parent_path(), .store = options_});
    EXPECT_TRUE(report.ok());
    std::filesystem::remove_all(target());
    backup::restore(dir_.path() / name, target(), {.store = options_});
    ASSERT_NO_FATAL_FAILURE(expect_restored(target(), model_, report.restored->commit, options_));
  }
}

// Not when everything has been compressed and written (E10).
TEST_F(SealedSnapshot, WritingGoesOnAsSoonAsItsCommitIsPinned) {
  bool written = false;
  fault::arm("backup.pinning", {.run = [&] { EXPECT_EQ(store_->status().pauses.size(), 1u); }});
  fault::arm("backup.written", {.run = [&] {
               put("a", "meanwhile");
               written = true;
             }});
  const Manifest taken = *sealed().snapshot.manifest;
  EXPECT_TRUE(written);
  EXPECT_EQ(taken.last_commit + 1, store_->status().visible_seq);
}

// Another one's pause is not this one's to end.
TEST_F(SealedSnapshot, AStoreThatIsPausedBySomebodyElseStaysSo) {
  const Pause pause = store_->pause("maintenance");
  EXPECT_TRUE(sealed().snapshot.manifest->sealed);
  ASSERT_EQ(store_->status().pauses.size(), 1u);
  EXPECT_EQ(store_->status().pauses[0].owner, "maintenance");
}

TEST_F(SealedSnapshot, WhateverFailsTheStoreIsNeitherPausedNorSealed) {
  for (const bool incremental : {false, true}) {
    if (incremental) back_up();
    for (const std::string point : {"backup.registered", "backup.pinning", "backup.written"}) {
      put("a", point);
      fault::arm(point, {.run = [] { throw Error(ErrorCode::Io, "given up"); }});
      expect_error([&] { sealed(incremental); }, ErrorCode::Io, "given up");
      expect_usable(point);
    }
  }
}

TEST_F(SealedSnapshot, ATransactionThatIsHeldForTooLongIsATimeoutAndTheStoreGoesOn) {
  close();
  options_.timeout = std::chrono::milliseconds{50};
  open();
  {
    WriteTxn held = store_->begin();
    std::thread([&] { expect_error([&] { sealed(); }, ErrorCode::LockTimeout, ""); }).join();
    held.put("a", "held");
    held.append({.type = "held", .tags = {}, .payload = ""});
    held.commit();
  }
  EXPECT_THAT(registrations(), IsEmpty());
  EXPECT_THAT(list(), IsEmpty());
  EXPECT_THAT(store_->status().pauses, IsEmpty());
  EXPECT_EQ(store_->read().get("a"), "held");
  EXPECT_TRUE(sealed().snapshot.manifest->sealed);
}

TEST_F(SealedSnapshot, AProjectionThatFailsIsNotedAndHoldsNothingUp) {
  const auto source = store_->event_source();
  Projector projector(store_path(), *source);
  Projection broken("broken", 1);
  broken.schema("CREATE TABLE t (x)").on("count", [](const EventView&, Sql&) { throw std::runtime_error("no"); });
  projector.add(std::move(broken));
  Declarations(store_path())
      .add("-- azoth:projection fine version 1\nCREATE TABLE t (x);\n-- azoth:on count\nINSERT INTO t VALUES (1);\n",
           "fine.sql");
  const BackupReport report =
      backup::back_up(*store_, store_path(), &projector, set_path(), {.seal = SealMode::Snapshot});
  EXPECT_THAT(report.notes, testing::ElementsAre(HasSubstr("projection broken is in the snapshot as far as it is")));
  ASSERT_EQ(report.snapshot.manifest->projections.size(), 2u);
  EXPECT_EQ(report.snapshot.manifest->projections[0].cursor, 0u);
  EXPECT_EQ(report.snapshot.manifest->projections[1].name, "fine");
  EXPECT_EQ(report.snapshot.manifest->projections[1].cursor, 2u);  // brought up to date, though nobody ran it
  EXPECT_THAT(projector.names(), testing::ElementsAre("broken"));
  expect_usable();
}

// Time passes at once, and nobody is kept from writing meanwhile.
class WritersPacer : public Pacer {
 public:
  explicit WritersPacer(Store& store) : store_(store) {}
  Deadline now() override { return now_; }
  void wait(std::unique_lock<std::mutex>&, std::condition_variable&, Deadline until,
            const std::function<bool()>&) override {
    ++waits;
    EXPECT_THAT(store_.status().pauses, IsEmpty());
    now_ = until;
  }
  int waits = 0;

 private:
  Store& store_;
  Deadline now_{std::chrono::hours{1}};
};

TEST_F(SealedSnapshot, NobodyIsKeptFromWritingByABackoff) {
  const auto source = store_->event_source();
  WritersPacer pacer(*store_);
  Projector projector(store_path(), *source, {.pacer = &pacer});
  int failures = 3;
  Projection slow("slow", 1);
  slow.schema("CREATE TABLE t (x)").on_error({.retries = 5}).on("*", [&](const EventView&, Sql&) {
    if (failures-- > 0) throw std::runtime_error("not yet");
  });
  projector.add(std::move(slow));
  const BackupReport report =
      backup::back_up(*store_, store_path(), &projector, set_path(), {.seal = SealMode::Snapshot});
  EXPECT_EQ(pacer.waits, 3);
  EXPECT_THAT(report.notes, IsEmpty());
  EXPECT_EQ(report.snapshot.manifest->projections.at(0).cursor, 2u);
  expect_usable();
}

TEST_F(SealedSnapshot, NobodyIsKeptFromWritingByARebuild) {
  const auto source = store_->event_source();
  Projector projector(store_path(), *source);
  int events = 0;
  Projection rebuilt("rebuilt", 1);
  rebuilt.schema("CREATE TABLE t (x)").on("*", [&](const EventView&, Sql&) {
    ++events;
    EXPECT_THAT(store_->status().pauses, IsEmpty());
  });
  projector.add(std::move(rebuilt));
  store_->flush();
  projector.catch_up("rebuilt");
  projector.rebuild("rebuilt");
  const BackupReport report =
      backup::back_up(*store_, store_path(), &projector, set_path(), {.seal = SealMode::Snapshot});
  EXPECT_EQ(events, 4);
  EXPECT_THAT(report.notes, IsEmpty());
  EXPECT_EQ(report.snapshot.manifest->projections.at(0).cursor, 2u);
}

// Its first attempt at what comes in the last moment fails, and the next one is an hour away.
TEST_F(SealedSnapshot, WhatCannotBeAppliedWhileNobodyCanWriteIsNoted) {
  const auto source = store_->event_source();
  Projector projector(store_path(), *source);
  for (const std::string name : {"fine", "slow"}) {
    Projection projection(name, 1);
    ErrorPolicy policy{.retries = 1};
    policy.backoff = {.initial = std::chrono::hours{1}, .factor = 1, .max = std::chrono::hours{1}, .jitter = 0};
    projection.schema("CREATE TABLE t (x)").on_error(policy).on("*", [name](const EventView& event, Sql&) {
      if (name == "slow" && event.id() > 2) throw std::runtime_error("not yet");
    });
    projector.add(std::move(projection));
  }
  fault::arm("backup.caught_up", {.run = [&] { append("meanwhile", 1); }});
  const BackupReport report =
      backup::back_up(*store_, store_path(), &projector, set_path(), {.seal = SealMode::Snapshot});
  EXPECT_THAT(report.notes, testing::ElementsAre(HasSubstr("projection slow is in the snapshot as far as it is")));
  ASSERT_EQ(report.snapshot.manifest->projections.size(), 2u);
  EXPECT_EQ(report.snapshot.manifest->projections[0].cursor, 3u);
  EXPECT_EQ(report.snapshot.manifest->projections[1].cursor, 2u);
  EXPECT_THAT(store_->status().pauses, IsEmpty());
  expect_usable();
}

TEST_F(SealedSnapshot, TheStoreIsSealedForGoodIfThatIsAskedFor) {
  const Manifest full = *back_up({.seal = SealMode::Store}).snapshot.manifest;
  EXPECT_TRUE(full.sealed);
  EXPECT_EQ(store_->meta().sealed_event, 2u);
  EXPECT_EQ(azoth::test::code_of([&] { put("a", "c"); }), ErrorCode::Sealed);
  EXPECT_THAT(store_->status().pauses, IsEmpty());
  close();
  open();
  EXPECT_EQ(store_->meta().sealed_event, 2u);
  EXPECT_TRUE(back_up().snapshot.manifest->sealed);  // a sealed store can be backed up, and stays so
  EXPECT_TRUE(sealed().snapshot.manifest->sealed);
  EXPECT_EQ(store_->meta().sealed_event, 2u);
  const RestoreReport report = restore();
  EXPECT_EQ(report.sealed_event, std::nullopt);
  EXPECT_EQ(Store::open(target(), options_)->meta().sealed_event, std::nullopt);
  store_->unseal();
  expect_usable();
}

TEST_F(SealedSnapshot, ADiffThatBringsASealRestoresAStoreThatIsNotSealed) {
  back_up();
  append("last", 1);
  EXPECT_TRUE(back_up({.incremental = true, .seal = SealMode::Store}).snapshot.manifest->sealed);
  EXPECT_EQ(restore().sealed_event, std::nullopt);
  const std::unique_ptr<Store> store = Store::open(target(), options_);
  EXPECT_EQ(store->meta().sealed_event, std::nullopt);
  azoth::test::put(*store, "goes", "on");
}

TEST_F(SealedSnapshot, AStoreThatIsOpenForReadingOnlyCannotBeStopped) {
  close();
  const std::unique_ptr<Store> reader = Store::open_read_only(store_path(), options_);
  for (const SealMode seal : {SealMode::Snapshot, SealMode::Store}) {
    expect_error([&] { backup::back_up(*reader, store_path(), nullptr, set_path(), {.seal = seal}); },
                 ErrorCode::ReadOnly, "open it for writing");
  }
  EXPECT_FALSE(std::filesystem::exists(set_path()));
  EXPECT_FALSE(std::filesystem::exists(store_path() / "retain"));
}

TEST_F(SealedSnapshot, WhatIsAskedForInVainIsRefusedBeforeTheStoreIsSealed) {
  const BackupOptions bad{.seal = SealMode::Store, .compression_level = 20};
  expect_error([&] { back_up(bad); }, ErrorCode::InvalidArgument, "compression level");
  expect_error([&] { back_up({.incremental = true, .seal = SealMode::Store}); }, ErrorCode::NotFound, "full one");
  EXPECT_FALSE(std::filesystem::exists(set_path()));
  expect_usable();
}

}  // namespace
}  // namespace azoth::backup::test
