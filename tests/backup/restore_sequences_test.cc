// Sequences and command ids across a restore: no number is handed out twice if that is asked for, no command is carried
// out twice.
#include "backup_support.h"
#include "support/watched_files.h"

namespace azoth::backup::test {
namespace {

using testing::IsEmpty;

class RestoreSequences : public BackupTest {
 protected:
  static Options with_block(std::uint64_t block) {
    Options options = azoth::test::tiny_options();
    options.sequence_block = block;
    return options;
  }
  RestoreSequences() : BackupTest(with_block(10)) {}

  std::vector<std::string> moved_back(const RestoreReport& report) {
    std::vector<std::string> moved;
    for (const RestoreReport::MovedBack& sequence : report.sequences_moved_back) {
      moved.push_back(sequence.name + " " + std::to_string(sequence.next) + " " + std::to_string(sequence.was));
    }
    return moved;
  }
  std::map<std::string, std::uint64_t> next_in(const Path& directory) const {
    std::map<std::string, std::uint64_t> next;
    for (const SequenceInfo& sequence : Store::open_read_only(directory, options_)->sequences()) {
      next[sequence.name] = sequence.next;
    }
    return next;
  }
};

TEST_F(RestoreSequences, GoOnBehindWhatWasReserved) {
  EXPECT_EQ(store_->next_sequence("invoice", 7), 0u);
  back_up();
  EXPECT_THAT(restore().sequences_moved_back, IsEmpty());
  EXPECT_GE(Store::open(target(), options_)->next_sequence("invoice"), 7u);
}

TEST_F(RestoreSequences, OfASealedSnapshotLeaveNoGap) {
  store_->next_sequence("invoice", 7);
  back_up({.seal = SealMode::Snapshot});
  restore();
  EXPECT_EQ(Store::open(target(), options_)->next_sequence("invoice"), 7u);
}

TEST_F(RestoreSequences, ThatWereFurtherOnInLaterSnapshotsAreListed) {
  store_->next_sequence("invoice", 5);
  store_->next_sequence("order", 5);
  const CommitSeq early = back_up().snapshot.manifest->last_commit;
  store_->next_sequence("invoice", 100);
  store_->next_sequence("later", 3);
  incremental();
  EXPECT_THAT(restore().sequences_moved_back, IsEmpty());
  const std::vector<std::string> expected{"invoice 10 105", "later 0 10"};
  EXPECT_EQ(moved_back(restore_to(RestoreTarget::commit(early))), expected);
  back_up();  // the same, of a full
  EXPECT_EQ(moved_back(restore_to(RestoreTarget::commit(early))), expected);
}

// Those that came into being later, too.
TEST_F(RestoreSequences, AdvancedFarEnoughAreNeverHandedOutTwice) {
  store_->next_sequence("invoice", 5);
  const CommitSeq early = back_up().snapshot.manifest->last_commit;
  std::map<std::string, std::uint64_t> furthest;
  for (int i = 0; i < 20; ++i) {
    for (const std::string name : {"invoice", "later"}) furthest[name] = store_->next_sequence(name, 3) + 2;
  }
  incremental();
  const RestoreReport report = restore({.target = RestoreTarget::commit(early), .advance_sequences = 100});
  EXPECT_THAT(report.sequences_moved_back, IsEmpty());
  const std::unique_ptr<Store> store = Store::open(target(), options_);
  for (const auto& [name, last] : furthest) EXPECT_GT(store->next_sequence(name), last) << name;
  EXPECT_EQ(moved_back(restore({.target = RestoreTarget::commit(early), .advance_sequences = 1})),
            (std::vector<std::string>{"invoice 11 70", "later 1 60"}));
}

TEST_F(RestoreSequences, AreTheSameWhetherAFullOrADiffBringsThem) {
  back_up();
  for (const std::string name : {"one", "two"}) store_->next_sequence(name, 25);
  incremental();
  restore();
  const auto of_diff = next_in(target());
  back_up();
  restore();
  EXPECT_EQ(next_in(target()), of_diff);
  EXPECT_GE(of_diff.at("two"), 25u);
}

TEST_F(RestoreSequences, WhatCannotBeReadOfLaterSnapshotsIsANote) {
  store_->next_sequence("invoice");
  const CommitSeq early = back_up().snapshot.manifest->last_commit;
  put("a", "b");
  incremental();
  const std::string name = list()[1].files[0];
  std::string bytes = get_file(FileSystem::posix(), set_path() / name);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  replace_file(FileSystem::posix(), set_path() / name, bytes);
  EXPECT_THAT(restore_to(RestoreTarget::commit(early)).notes,
              testing::ElementsAre(testing::HasSubstr("whether sequences were moved back is not known: ")));
}

// What is restored does not need them.
TEST_F(RestoreSequences, ADiskThatFailsUnderLaterSnapshotsIsANoteToo) {
  const CommitSeq early = back_up().snapshot.manifest->last_commit;
  put("a", "b");
  incremental();
  const std::string name = list()[1].files[0];
  azoth::test::WatchedFiles files({.read = [&](const Path& path, std::size_t) {
    if (path.filename() == name) throw Error(ErrorCode::Io, "a bad sector");
  }});
  EXPECT_THAT(restore({.target = RestoreTarget::commit(early), .file_system = &files}).notes,
              testing::ElementsAre(testing::HasSubstr("a bad sector")));
}

TEST_F(RestoreSequences, CommandsThatWereCarriedOutAreKnown) {
  const auto order = [](Store& store, const std::string& id, const std::string& fingerprint = "") {
    WriteSet set;
    set.put("order", id);
    set.append({.type = "ordered", .tags = {}, .payload = id});
    return store.submit(std::move(set), {}, {.command = Command{.id = id, .fingerprint = fingerprint}}).value().wait();
  };
  const CommitInfo first = order(*store_, "one", "a");
  back_up();
  const CommitInfo second = order(*store_, "two");
  incremental();
  restore();
  const std::unique_ptr<Store> store = Store::open(target(), options_);
  for (const auto& [id, was] : {std::pair("one", first), std::pair("two", second)}) {
    const CommitInfo again = order(*store, id);
    EXPECT_TRUE(again.already_applied) << id;
    EXPECT_EQ(again.commit_seq, was.commit_seq);
    EXPECT_EQ(again.last_event, was.last_event);
    EXPECT_EQ(again.time, was.time);
  }
  EXPECT_EQ(azoth::test::code_of([&] { order(*store, "one", "b"); }), ErrorCode::CommandMismatch);
  EXPECT_FALSE(order(*store, "three").already_applied);
}

}  // namespace
}  // namespace azoth::backup::test
