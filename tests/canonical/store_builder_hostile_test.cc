// What no store has ever held is refused, whoever gives it, and leaves no store.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <limits>
#include <string>

#include "azoth/core/codec.h"
#include "copied_content.h"
#include "kept_journal.h"
#include "sequences.h"
#include "support/memory_dir.h"

namespace azoth {
namespace {

using test::CopiedContent;
using test::put;
using test::TestStore;

// A command's row that says so.
std::string command_row(const CommitInfo& info) {
  std::string row;
  codec::append(row, info.commit_seq);
  codec::append(row, info.first_event);
  codec::append(row, static_cast<std::int64_t>(info.time.time_since_epoch().count()));
  codec::append(row, info.events);
  codec::append(row, info.keys_written);
  codec::append(row, info.keys_deleted);
  return row;
}

constexpr std::uint8_t kSequence = 1;
constexpr std::uint8_t kCommand = 2;
constexpr std::uint8_t kMeta = 3;

class StoreBuilderHostileTest : public test::WritePath {
 protected:
  StoreBuilderHostileTest() {
    test::keep_behind(*store_, 0);
    for (const char* key : {"a", "b", "c"}) put(*store_, key, "value");
    for (const char* payload : {"1", "2", "3"}) test::append(*store_, "type", {"tag:1"}, payload);
    store_->next_sequence("first");
    store_->next_sequence("second");
    const auto source = store_->backup_source();
    good_ = test::copy_content(*source);
    test::append(*store_, "type", {"tag:1"}, "4");
    put(*store_, "d", "value");
    store_->next_sequence("third");
    test::append(*store_, "type", {"tag:1"}, "5");
    test::copy_commits_since(*source, good_);
  }

  // Of the good content with something changed.
  void expect_refused(const std::string& why, const std::function<void(CopiedContent&)>& change) {
    CopiedContent bad = good_;
    change(bad);
    const std::filesystem::path directory = parent_.path() / "built";
    const std::optional<Error> error = test::error_of([&] { test::build(bad, directory, store_.options()); });
    ASSERT_TRUE(error.has_value()) << why << " was taken";
    EXPECT_EQ(error->code(), ErrorCode::Corruption) << why << ": " << error->what();
    EXPECT_FALSE(Store::exists(directory)) << why;
    EXPECT_EQ(test::code_of([&] { Store::open(directory, store_.options()); }), ErrorCode::NotFound) << why;
  }

  // A record like those of commits, of these entries.
  std::string record(const std::string& entries, std::uint32_t operations, std::uint32_t events) const {
    const CommitFacts facts = commit_facts(good_.records.front());
    std::string bytes;
    codec::append(bytes, static_cast<std::uint32_t>(kRecordHeaderBytes + entries.size()));
    codec::append(bytes, operations);
    codec::append(bytes, events);
    codec::append(bytes, std::uint32_t{0});
    codec::append(bytes, facts.commit);
    codec::append(bytes, std::int64_t{0});
    codec::append(bytes, facts.first_event);
    return bytes + entries;
  }
  // What the row of a command in that record says, if there are no events.
  CommitInfo command_of_the_record() const {
    const CommitFacts facts = commit_facts(good_.records.front());
    return {.commit_seq = facts.commit, .first_event = facts.first_event};
  }
  static std::string set_entry(std::uint8_t space, const std::string& key, const std::string& value) {
    std::string bytes("\1");
    codec::append(bytes, space);
    codec::append(bytes, static_cast<std::uint16_t>(key.size()));
    codec::append(bytes, static_cast<std::uint32_t>(value.size()));
    return bytes + key + value;
  }
  static std::string event_entry(const std::string& body) {
    std::string bytes("\3");
    codec::append(bytes, static_cast<std::uint32_t>(body.size()));
    return bytes + body;
  }
  void expect_record_refused(const std::string& why, const std::string& entries, std::uint32_t operations,
                             std::uint32_t events = 0) {
    expect_refused(why, [&](CopiedContent& bad) { bad.records = {record(entries, operations, events)}; });
  }

  test::MemoryDir parent_;
  TestStore store_;
  CopiedContent good_;
};

TEST_F(StoreBuilderHostileTest, KeysThatAreNotInOrderOrNoKeys) {
  expect_refused("keys out of order", [](auto& bad) { std::swap(bad.state[0], bad.state[1]); });
  expect_refused("a key twice", [](auto& bad) { bad.state[1] = bad.state[0]; });
  expect_refused("an empty key", [](auto& bad) { bad.state[0].first = ""; });
  expect_refused("a key of 512 bytes", [](auto& bad) { bad.state[2].first = std::string(512, 'x'); });
}

TEST_F(StoreBuilderHostileTest, EventsThatAreNoLog) {
  expect_refused("a gap", [](auto& bad) { bad.events.erase(bad.events.begin() + 1); });
  expect_refused("an event twice", [](auto& bad) { bad.events.insert(bad.events.begin(), bad.events[0]); });
  expect_refused("no first event", [](auto& bad) { bad.events.erase(bad.events.begin()); });
  expect_refused("event 0", [](auto& bad) { bad.events[0].id = 0; });
  expect_refused("descending commits", [](auto& bad) { bad.events[1].commit = bad.events[0].commit - 1; });
  expect_refused("commit 0", [](auto& bad) { bad.events[0].commit = 0; });
  expect_refused("a commit behind the last one", [](auto& bad) { bad.events[2].commit = bad.totals.last_commit + 1; });
  expect_refused("a time behind the last one",
                 [](auto& bad) { bad.events[0].time = bad.totals.latest + std::chrono::microseconds(1); });
  expect_refused("fewer than the commits need", [](auto& bad) { bad.events.pop_back(); });
}

TEST_F(StoreBuilderHostileTest, EventBodiesThatNobodyHasEncoded) {
  const auto with = [&](const std::string& why, const std::string& body) {
    expect_refused(why, [&](CopiedContent& bad) { bad.events[1].body = body; });
    expect_record_refused(why, event_entry(body), 0, 1);
  };
  with("nothing", "");
  with("no type", std::string("\0\0\0payload", 10));
  with("a type that ends behind it", std::string("\0\xFF\0t", 4));
  with("a tag that ends behind it", std::string("\0\1\1t\xFFx", 6));
  with("an empty tag", std::string("\0\1\1t\0", 5));
  with("a tag with a zero", std::string("\0\1\1t\2a\0", 7));
  with("a tag twice", std::string("\0\1\2t\1a\1a", 8));
  with("65 tags", std::string("\0\1\x41t", 4) + std::string(130, '\1'));
  with("unknown flags", std::string("\x10\1\0t", 4));
  with("metadata that is empty", std::string("\2\1\0t\0\0\0\0", 8));
  with("a time that is cut", std::string("\1\1\0t", 4));
}

TEST_F(StoreBuilderHostileTest, OwnRowsThatAreNotInOrderOrOfNoStore) {
  ASSERT_EQ(good_.own.size(), 2u);
  expect_refused("rows out of order", [](auto& bad) { std::swap(bad.own[0], bad.own[1]); });
  expect_refused("a row twice", [](auto& bad) { bad.own[1] = bad.own[0]; });
  expect_refused("a row without a name", [](auto& bad) { bad.own[0].key = ""; });
  for (std::uint8_t space : {std::uint8_t{0}, std::uint8_t{4}, std::uint8_t{0xF0}, std::uint8_t{0xFF}}) {
    expect_refused("space " + std::to_string(space), [&](auto& bad) {
      bad.own.push_back({space, "head", std::string(16, '\0')});
    });
  }
  expect_refused("a sequence's row that is cut", [](auto& bad) { bad.own[0].value.pop_back(); });
  expect_refused("a sequence that ends behind the greatest number", [](auto& bad) {
    bad.own[0].value = encode_block({.base = std::numeric_limits<std::uint64_t>::max() - 1, .size = 2});
  });
  expect_refused("a command's row that is cut", [](auto& bad) { bad.own.push_back({kCommand, "id", "value"}); });
  expect_record_refused("a command's row that is cut", set_entry(kCommand, "id", "value"), 1);
  for (std::size_t size : {129u, 510u, 511u}) {
    const std::string name(size, 'x');
    const std::string why = "a name of " + std::to_string(size) + " bytes";
    const std::string block = encode_block({.base = 1, .size = 1});
    const std::string row = command_row({.commit_seq = 1, .time = good_.totals.latest});
    expect_refused(why, [&](auto& bad) { bad.own.push_back({kSequence, name, block}); });
    expect_refused(why, [&](auto& bad) { bad.own.push_back({kCommand, name, row}); });
    expect_refused(why, [&](auto& bad) { bad.own.push_back({kMeta, name, "value"}); });
  }
  expect_refused("a row that nobody knows", [](auto& bad) { bad.own.push_back({kMeta, "other", "12345678"}); });
}

// Whoever repeats a command waits for the commit that its row names.
TEST_F(StoreBuilderHostileTest, CommandsOfCommitsThatThereAreNot) {
  const ContentTotals& totals = good_.totals;
  const auto with = [](const CommitInfo& info) {
    return [info](CopiedContent& bad) { bad.own.push_back({kCommand, "id", command_row(info)}); };
  };
  const CommitInfo good{.commit_seq = 4, .first_event = 1, .events = 1, .time = totals.latest};
  CopiedContent taken = good_;
  with(good)(taken);
  test::build(taken, parent_.path() / "taken", store_.options());

  CommitInfo bad = good;
  bad.commit_seq = 0;
  expect_refused("a command of commit 0", with(bad));
  bad.commit_seq = totals.last_commit + 1;
  expect_refused("a command of a commit behind the last one", with(bad));
  bad.commit_seq = std::numeric_limits<CommitSeq>::max();
  expect_refused("a command of the last commit that can be", with(bad));
  bad = good;
  bad.time += std::chrono::microseconds(1);
  expect_refused("a command of a time behind the last one", with(bad));
  bad = good;
  bad.events = 4;
  expect_refused("a command with more events than there are", with(bad));
  bad = good;
  bad.first_event = 0;
  expect_refused("a command with event 0", with(bad));
  bad.first_event = std::numeric_limits<EventId>::max();
  bad.events = 3;
  expect_refused("a command whose events cannot be counted", with(bad));
  bad.events = 0;
  expect_refused("a command with a first event and no events", with(bad));
}

TEST_F(StoreBuilderHostileTest, CommitsThatDoNotFollowEachOther) {
  expect_refused("a commit is missing", [](auto& bad) { bad.records.erase(bad.records.begin() + 1); });
  expect_refused("a commit twice", [](auto& bad) { bad.records.insert(bad.records.begin(), bad.records[0]); });
  expect_refused("commits out of order", [](auto& bad) { std::swap(bad.records[1], bad.records[2]); });
  expect_refused("the first one is missing", [](auto& bad) { bad.records.erase(bad.records.begin()); });
  expect_refused("events that do not follow",
                 [](auto& bad) { codec::store(bad.records[0].data() + 32, std::uint64_t{5}); });
  expect_refused("content that ends elsewhere", [](auto& bad) { ++bad.totals.last_commit; });
  expect_refused("a number that cannot be counted on", [](auto& bad) {
    bad.totals.last_commit = std::numeric_limits<CommitSeq>::max();
    bad.records.clear();
  });
}

TEST_F(StoreBuilderHostileTest, RecordsThatNobodyHasWritten) {
  for (std::size_t size = 0; size < good_.records[1].size(); size += 3) {
    CopiedContent bad = good_;
    bad.records = {good_.records[0], good_.records[1].substr(0, size)};
    const std::filesystem::path directory = parent_.path() / "cut";
    ASSERT_EQ(test::code_of([&] { test::build(bad, directory, store_.options()); }), ErrorCode::Corruption) << size;
  }
  expect_refused("more behind it", [](auto& bad) { bad.records[1] += "x"; });
  expect_record_refused("fewer operations than it says", set_entry(0, "key", "value"), 2);
  expect_record_refused("more operations than it says", set_entry(0, "a", "1") + set_entry(0, "b", "2"), 1);
  expect_record_refused("fewer events than it says", set_entry(0, "a", "1"), 1, 1);
  expect_record_refused("an empty key", set_entry(0, "", "value"), 1);
  expect_record_refused("a key of 512 bytes", set_entry(0, std::string(512, 'x'), "value"), 1);
  expect_record_refused("a space that is none", set_entry(4, "key", "value"), 1);
  expect_record_refused("an entry that is none", std::string("\7key"), 1);
  expect_record_refused("an own row's name of 511 bytes", set_entry(kCommand, std::string(511, 'x'), "value"), 1);
  expect_record_refused("a command's name of 129 bytes",
                        set_entry(kCommand, std::string(129, 'x'), command_row(command_of_the_record())), 1);
  expect_record_refused("a sequence's name of 129 bytes",
                        set_entry(kSequence, std::string(129, 'x'), encode_block({.base = 1, .size = 1})), 1);
  expect_record_refused("a row that nobody knows", set_entry(kMeta, "other", "12345678"), 1);
  expect_record_refused("a sequence's row that is cut", set_entry(kSequence, "name", "value"), 1);
  expect_record_refused("a sequence without end",
                        set_entry(kSequence, "name", encode_block({.base = ~std::uint64_t{0}, .size = 1})), 1);
}

TEST_F(StoreBuilderHostileTest, RecordsWithTheCommandOfAnotherCommit) {
  const CommitInfo good = command_of_the_record();
  CopiedContent taken = good_;
  taken.records = {record(set_entry(kCommand, "id", command_row(good)), 1, 0)};
  test::build(taken, parent_.path() / "taken", store_.options());

  const auto with = [this](const std::string& why, const CommitInfo& info) {
    expect_record_refused(why, set_entry(kCommand, "id", command_row(info)), 1);
  };
  CommitInfo bad = good;
  bad.commit_seq = 0;
  with("a command of commit 0", bad);
  bad.commit_seq = good.commit_seq - 1;
  with("a command of the commit before", bad);
  bad.commit_seq = good.commit_seq + 1;
  with("a command of the commit behind it", bad);
  bad = good;
  bad.time += std::chrono::microseconds(1);
  with("a command of another time", bad);
  bad = good;
  bad.first_event += 1;
  with("a command with another first event", bad);
  bad = good;
  bad.events = 1;
  with("a command with other events", bad);
}

TEST_F(StoreBuilderHostileTest, FactsOfNoTimeline) {
  expect_refused("no timeline", [](auto& bad) { bad.facts.lineage.clear(); });
}

TEST_F(StoreBuilderHostileTest, ARefusalIsNotInTheWayOfTheGoodOne) {
  expect_refused("a key twice", [](auto& bad) { bad.state[1] = bad.state[0]; });
  test::build(good_, parent_.path() / "built", store_.options());
  EXPECT_EQ(Store::open(parent_.path() / "built", store_.options())->digest(), store_->digest());
}

}  // namespace
}  // namespace azoth
