// Stores that are made of the content and the commits of others: equal to them in everything but the timeline.
#include "azoth/canonical/store_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "copied_content.h"
#include "kept_journal.h"
#include "open_tables.h"
#include "random_history.h"
#include "support/seed.h"
#include "write_path_support.h"

namespace azoth {
namespace {

using test::build;
using test::code_of;
using test::CopiedContent;
using test::copy_commits_since;
using test::copy_content;
using test::put;
using test::RandomHistory;
using test::test_seed;
using test::TestStore;

class StoreBuilderTest : public test::WritePath {
 protected:
  std::filesystem::path directory() const { return parent_.path() / "built"; }

  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& file : std::filesystem::directory_iterator(directory())) names.push_back(file.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  static void expect_as_good(Store& built, Store& original) {
    EXPECT_EQ(built.digest(), original.digest());
    const VerifyReport report = built.verify();
    const VerifyReport expected = original.verify();
    EXPECT_EQ(report.problems, std::vector<std::string>());
    EXPECT_EQ(report.state_keys, expected.state_keys);
    EXPECT_EQ(report.events, expected.events);
    EXPECT_EQ(report.tag_entries, expected.tag_entries);
    EXPECT_EQ(report.commits, expected.commits);
  }

  test::TempDir parent_;
};

TEST_F(StoreBuilderTest, OfContentAndCommitsIsEqualToTheirStore) {
  for (int commits : {0, 1, 40, 80}) {
    RandomHistory history(test_seed() + static_cast<std::uint64_t>(commits));
    TestStore store(history.options());
    test::keep_behind(*store, 0);
    ASSERT_NO_FATAL_FAILURE(history.steps(*store, 80 - commits));
    const auto source = store->backup_source();
    CopiedContent copy = copy_content(*source);
    ASSERT_NO_FATAL_FAILURE(history.steps(*store, commits));
    const ContentTotals totals = copy_commits_since(*source, copy);
    std::filesystem::remove_all(directory());
    ASSERT_EQ(build(copy, directory(), store.options()), totals);
    auto built = Store::open(directory(), store.options());
    EXPECT_TRUE(built->meta().store_id == store->meta().store_id);
    EXPECT_TRUE(built->status().recovery.clean);
    ASSERT_NO_FATAL_FAILURE(history.expect_reads_as(built->read()));
    ASSERT_NO_FATAL_FAILURE(expect_as_good(*built, *store));
    EXPECT_EQ(built->backup_source()->content(1).totals, totals);
    EXPECT_EQ(files(), (std::vector<std::string>{"canonical", "identity", "journal", "lock"}));
  }
}

TEST_F(StoreBuilderTest, IsWrittenToAndReopenedAndRecoveredLikeAnyOther) {
  RandomHistory history(test_seed());
  TestStore store(history.options());
  test::keep_behind(*store, 0);
  ASSERT_NO_FATAL_FAILURE(history.steps(*store, 30));
  const auto source = store->backup_source();
  CopiedContent copy = copy_content(*source);
  ASSERT_NO_FATAL_FAILURE(history.steps(*store, 10));
  copy_commits_since(*source, copy);
  build(copy, directory(), store.options());
  for (int life = 0; life < 3; ++life) {
    auto built = Store::open(directory(), store.options());
    ASSERT_NO_FATAL_FAILURE(history.note(*built));
    ASSERT_NO_FATAL_FAILURE(history.steps(*built, 20));
    test::copy_store(directory(), parent_.path() / "killed");
    auto killed = Store::open(parent_.path() / "killed", store.options());
    ASSERT_NO_FATAL_FAILURE(history.expect_reads_as(killed->read()));
    ASSERT_EQ(killed->verify().problems, std::vector<std::string>());
  }
}

TEST_F(StoreBuilderTest, BeginsATimelineOfItsOwnBehindItsLastCommit) {
  TestStore store;
  put(*store, "key", "1");
  put(*store, "key", "2");
  CopiedContent copy = copy_content(*store->backup_source());
  const Uuid grandparent = Uuid::random();
  copy.facts.lineage = {{.id = Uuid::random(), .parent = grandparent, .fork = 1}, {.id = grandparent}};
  copy.facts.created = Timestamp(std::chrono::seconds(77));
  const Uuid timeline = Uuid::random();
  build(copy, directory(), store.options(), timeline);
  auto built = Store::open(directory(), store.options());
  Lineage expected = copy.facts.lineage;
  expected.insert(expected.begin(), {.id = timeline, .parent = copy.facts.lineage.front().id, .fork = 2});
  EXPECT_EQ(built->meta().lineage, expected);
  EXPECT_EQ(built->meta().created, copy.facts.created);
  EXPECT_EQ(put(*built, "key", "3").commit_seq, 3u);
}

TEST_F(StoreBuilderTest, KeepsSequencesAndCommandsAndIsNotSealed) {
  TestStore store;
  store->next_sequence("invoice", 3);
  const auto command = [](Store& to) {
    WriteSet set;
    set.put("key", "value");
    return to.submit(std::move(set), {}, {.command = Command{.id = "request", .fingerprint = "f"}}).value().wait();
  };
  const CommitInfo first = command(*store);
  store->seal();
  CopiedContent content_sealed = copy_content(*store->backup_source());
  build(content_sealed, directory(), store.options());
  {
    auto built = Store::open(directory(), store.options());
    EXPECT_EQ(built->meta().sealed_event, std::nullopt);
    EXPECT_EQ(built->next_sequence("invoice"), 3u) << "the seal has returned the rest";
    const CommitInfo again = command(*built);
    EXPECT_TRUE(again.already_applied);
    EXPECT_EQ(again.commit_seq, first.commit_seq);
    EXPECT_TRUE(built->verify().ok()) << "nor does the sum of its rows know of a seal";
  }
}

TEST_F(StoreBuilderTest, ASealInTheCommitsDoesNotSealItEither) {
  TestStore store;
  test::keep_behind(*store, 0);
  const auto source = store->backup_source();
  CopiedContent copy = copy_content(*source);
  put(*store, "key", "value");
  store->seal();
  ASSERT_TRUE(copy_commits_since(*source, copy).sealed_event.has_value());
  EXPECT_EQ(build(copy, directory(), store.options()).sealed_event, std::nullopt);
  auto built = Store::open(directory(), store.options());
  EXPECT_EQ(built->meta().sealed_event, std::nullopt);
  EXPECT_TRUE(built->verify().ok());
  put(*built, "key", "again");
}

TEST_F(StoreBuilderTest, OfNothingIsAnEmptyStore) {
  TestStore store;
  const CopiedContent copy = copy_content(*store->backup_source());
  EXPECT_EQ(build(copy, directory(), store.options()), (ContentTotals{.latest = Timestamp::min()}));
  auto built = Store::open(directory(), store.options());
  EXPECT_EQ(built->digest(), store->digest());
  EXPECT_TRUE(built->verify().ok());
  EXPECT_EQ(put(*built, "key", "value").commit_seq, 1u);
}

TEST_F(StoreBuilderTest, TakesTheLargestAndTheSmallestThatAStoreTakes) {
  TestStore store;
  test::keep_behind(*store, 0);
  const auto fill = [&](char with) {
    put(*store, std::string(511, with), "");
    put(*store, std::string(1, with), std::string(std::size_t{16} << 20, with));
    WriteSet set;
    const std::string tag(255, with);
    const std::string payload(std::size_t{3} << 20, with);
    set.append({.type = std::string(255, with), .tags = {tag}, .payload = payload, .metadata = "m"});
    set.append({.type = "t", .tags = {}, .payload = "", .time = Timestamp::min()});
    test::commit(*store, std::move(set));
  };
  fill('a');
  const auto source = store->backup_source();
  CopiedContent copy = copy_content(*source);
  fill('b');
  copy_commits_since(*source, copy);
  build(copy, directory(), store.options());
  expect_as_good(*Store::open(directory(), store.options()), *store);
}

TEST_F(StoreBuilderTest, SortsMoreTagsThanMemoryHolds) {
  CopiedContent copy;
  copy.facts = {.store_id = Uuid::random(), .lineage = {{.id = Uuid::random()}}};
  StoreBuilder builder(directory(), copy.facts, test::quiet_options());
  std::vector<std::string> tags;
  for (int i = 0; i < 64; ++i) tags.push_back(std::string(250, static_cast<char>('a' + i % 26)) + std::to_string(i));
  std::string body;
  event_codec::append(body, {.type = "t", .tags = {tags.begin(), tags.end()}, .payload = ""});
  constexpr EventId kEvents = 1200;  // with 16 KiB of tags each
  for (EventId id = 1; id <= kEvents; ++id) builder.append(EventView(id, id, Timestamp{}, body));
  EXPECT_TRUE(std::filesystem::exists(directory() / "tags.0.tmp"));
  builder.end_content(kEvents, Timestamp{});
  EXPECT_FALSE(std::filesystem::exists(directory() / "tags.0.tmp"));
  builder.finish(Uuid::random());
  auto built = Store::open(directory(), test::quiet_options());
  EXPECT_EQ(built->verify().problems, std::vector<std::string>());
  EXPECT_EQ(built->read().tag_version(tags.back()), kEvents);
}

// --- Where

TEST_F(StoreBuilderTest, TakesADirectoryThatIsMissingOrEmptyAndNoOther) {
  TestStore store;
  const CopiedContent copy = copy_content(*store->backup_source());
  EXPECT_EQ(code_of([&] { build(copy, store.directory(), store.options()); }), ErrorCode::AlreadyExists);
  std::filesystem::create_directory(directory());
  std::ofstream(directory() / "file") << "of somebody";
  EXPECT_EQ(code_of([&] { build(copy, directory(), store.options()); }), ErrorCode::AlreadyExists);
  EXPECT_EQ(files(), (std::vector<std::string>{"file"}));
  std::filesystem::remove(directory() / "file");
  build(copy, directory(), store.options());
  EXPECT_EQ(code_of([&] { build(copy, directory(), store.options()); }), ErrorCode::AlreadyExists);
}

TEST_F(StoreBuilderTest, OneThatWasGivenUpIsStartedOver) {
  TestStore store;
  put(*store, "key", "value");
  const CopiedContent copy = copy_content(*store->backup_source());
  {
    StoreBuilder builder(directory(), copy.facts, store.options());
    test::feed(builder, copy);
  }
  EXPECT_FALSE(Store::exists(directory()));
  build(copy, directory(), store.options());
  EXPECT_EQ(Store::open(directory(), store.options())->digest(), store->digest());
}

}  // namespace
}  // namespace azoth
