#include "lmdb_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "azoth/core/codec.h"
#include "store_support.h"

namespace azoth {
namespace {

using test::code_of;
using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::string_literals;

Uuid uuid(std::uint8_t byte) {
  Uuid uuid;
  uuid.bytes.fill(byte);
  return uuid;
}

Timestamp at(int seconds) { return Timestamp(std::chrono::seconds(seconds)); }

class LmdbTables : public testing::Test {
 protected:
  LmdbTables() {
    LmdbWriteTxn txn(env_);
    rows_.put_head(txn, {});
    txn.commit(0);
  }
  ~LmdbTables() override { fault::disarm_all(); }

  // The raw row that put_value makes.
  std::string value_row(std::string_view key, std::string_view value) {
    LmdbWriteTxn txn(env_);
    rows_.put_value(txn, Table::System, key, value);
    return std::string(*txn.get(Table::System, key));
  }
  std::string event_row(EventId id, const Event& event, CommitSeq commit = 3, Timestamp time = at(9)) {
    std::string body;
    event_codec::append(body, event);
    LmdbWriteTxn txn(env_);
    rows_.append_event(txn, EventView(id, commit, time, body));
    return std::string(*txn.get(Table::Events, event_key(id)));
  }

  void insert(Delta& delta, WriteSet set) {
    CommitSeq commit = delta.last_commit() + 1;
    RecordBuilder::seal(set, commit, at(static_cast<int>(commit)), delta.last_event(delta.last_commit()) + 1);
    delta.insert(RecordBuilder::take(std::move(set)));
  }
  Head head() { return rows_.head(env_.begin_read()); }
  test::Entries table(Table table) {
    LmdbReadTxn txn = env_.begin_read();
    LmdbCursor cursor = txn.cursor(table);
    test::Entries entries;
    for (bool more = cursor.first(); more; more = cursor.next()) entries.emplace_back(cursor.key(), cursor.value());
    return entries;
  }
  std::vector<std::string> state() {
    std::vector<std::string> pairs;
    for (const auto& [key, row] : table(Table::State)) {
      pairs.push_back(key + "=" + std::string(rows_.value(key, row, true)));
    }
    return pairs;
  }
  std::vector<std::string> tag_entries() {
    std::vector<std::string> entries;
    for (const auto& [key, row] : table(Table::Tags)) {
      EXPECT_EQ(row, "");
      entries.push_back(key.substr(0, key.size() - 9) + "/" +
                        std::to_string(codec::load_big(key.data() + key.size() - 8)));
    }
    return entries;
  }

  test::TempDir directory_;
  LmdbEnv env_{directory_.path(), {std::uint64_t{64} << 20, 16}, LmdbEnv::Mode::Create};
  Rows rows_{uuid(1)};
};

// --- Rows

TEST_F(LmdbTables, ValuesComeBack) {
  for (const std::string& value : {""s, "v"s, std::string(100'000, '\0')}) {
    EXPECT_EQ(rows_.value("key", value_row("key", value), true), value);
  }
}

TEST_F(LmdbTables, EveryFlippedBitOfAValueIsFound) {
  std::string row = value_row("key", "some value");
  for (std::size_t bit = 0; bit < row.size() * 8; ++bit) {
    std::string damaged = row;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    ASSERT_EQ(code_of([&] { rows_.value("key", damaged, true); }), ErrorCode::Corruption) << bit;
    ASSERT_EQ(code_of([&] { rows_.value("key", damaged, false); }), ErrorCode{}) << bit;
  }
}

TEST_F(LmdbTables, ARowUnderAnotherKeyOrOfAnotherStoreIsFound) {
  std::string row = value_row("key", "value");
  EXPECT_EQ(code_of([&] { rows_.value("kez", row, true); }), ErrorCode::Corruption);
  EXPECT_EQ(code_of([&] { rows_.value("ke", row, true); }), ErrorCode::Corruption);
  EXPECT_EQ(code_of([&] { Rows(uuid(2)).value("key", row, true); }), ErrorCode::Corruption);
}

TEST_F(LmdbTables, ARowTooShortForItsPrefixIsFoundEvenUnverified) {
  std::string row = value_row("key", "");
  std::string event = event_row(1, {.type = "t", .tags = {}, .payload = ""});
  for (bool verify : {false, true}) {
    EXPECT_EQ(code_of([&] { rows_.value("key", row.substr(0, 3), verify); }), ErrorCode::Corruption);
    EXPECT_EQ(code_of([&] { rows_.value("key", "", verify); }), ErrorCode::Corruption);
    for (std::size_t size = 0; size <= kEventPrefixBytes; ++size) {
      EXPECT_EQ(code_of([&] { rows_.event(1, event.substr(0, size), verify); }), ErrorCode::Corruption) << size;
    }
  }
}

TEST_F(LmdbTables, EventsComeBack) {
  Event event{.type = "moved", .tags = {"a:1", "b:2"}, .payload = "payload", .metadata = "meta", .time = at(5)};
  std::string row = event_row(77, event);
  for (bool verify : {false, true}) {
    EventView view = rows_.event(77, row, verify);
    EXPECT_EQ(view.id(), 77u);
    EXPECT_EQ(view.commit_seq(), 3u);
    EXPECT_EQ(view.commit_time(), at(9));
    EXPECT_EQ(view.time(), at(5));
    EXPECT_EQ(view.type(), "moved");
    EXPECT_EQ(view.tags().size(), 2u);
    EXPECT_EQ(view.payload(), "payload");
    EXPECT_EQ(view.metadata(), "meta");
  }
}

TEST_F(LmdbTables, EveryFlippedBitOfAnEventIsFound) {
  std::string row = event_row(77, {.type = "t", .tags = {"a:1"}, .payload = "p"});
  for (std::size_t bit = 0; bit < row.size() * 8; ++bit) {
    std::string damaged = row;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    ASSERT_EQ(code_of([&] { rows_.event(77, damaged, true); }), ErrorCode::Corruption) << bit;
    // Unverified it may pass, but nothing outside of it is read.
    ErrorCode unverified = code_of([&] { rows_.event(77, damaged, false); });
    ASSERT_TRUE(unverified == ErrorCode{} || unverified == ErrorCode::Corruption) << bit;
  }
  EXPECT_EQ(code_of([&] { rows_.event(78, row, true); }), ErrorCode::Corruption);
}

TEST_F(LmdbTables, HalfOfACommitThatThereWasNoMemoryForHidesNothing) {
  Delta delta(1, 1);
  WriteSet set;
  set.put("k", "v1");
  insert(delta, std::move(set));
  WriteSet half;
  half.put("k", "v2");
  half.put("l", "x");
  RecordBuilder::seal(half, 2, at(2), 1);
  std::string record = RecordBuilder::take(std::move(half));
  record.pop_back();
  EXPECT_ANY_THROW(delta.insert(std::move(record)));
  ASSERT_EQ(delta.last_commit(), 1u);
  flush_delta(env_, rows_, delta, {});
  EXPECT_THAT(state(), ElementsAre("k=v1"));
}

TEST_F(LmdbTables, TheHeadComesBackWithAndWithoutTheMarkOfACleanClose) {
  for (bool clean : {false, true}) {
    Head head{.last_commit = 1, .last_event = 2, .state_keys = 3, .tag_entries = 4, .clean = std::nullopt};
    if (clean) head.clean = JournalTail{.segment_number = 5, .valid_bytes = 6, .checksum = 7, .last_commit = 8};
    LmdbWriteTxn txn(env_);
    rows_.put_head(txn, head);
    Head read = rows_.head(txn);
    EXPECT_EQ(read.last_commit, 1u);
    EXPECT_EQ(read.last_event, 2u);
    EXPECT_EQ(read.state_keys, 3u);
    EXPECT_EQ(read.tag_entries, 4u);
    ASSERT_EQ(read.clean.has_value(), clean);
    if (clean) {
      EXPECT_EQ(read.clean->segment_number, 5u);
      EXPECT_EQ(read.clean->valid_bytes, 6u);
      EXPECT_EQ(read.clean->checksum, 7u);
      EXPECT_EQ(read.clean->last_commit, 8u);
    }
  }
}

TEST_F(LmdbTables, AHeadThatIsMissingOrOfAnotherSizeIsCorruption) {
  std::string full(12 * 8, '\0');
  for (std::size_t size = 0; size <= full.size() + 1; ++size) {
    LmdbWriteTxn txn(env_);
    rows_.put_value(txn, Table::System, Rows::head_key(), std::string(size, '\0'));
    bool right = size == 8 * 8 || size == 12 * 8;
    EXPECT_EQ(code_of([&] { rows_.head(txn); }), right ? ErrorCode{} : ErrorCode::Corruption) << size;
  }
  LmdbWriteTxn txn(env_);
  txn.del(Table::System, Rows::head_key());
  EXPECT_EQ(code_of([&] { rows_.head(txn); }), ErrorCode::Corruption);
}

TEST_F(LmdbTables, TheStoreRowComesBackAndIsRequired) {
  LmdbWriteTxn txn(env_);
  EXPECT_EQ(code_of([&] { rows_.store(txn); }), ErrorCode::Corruption);
  rows_.put_store(txn, {.store_id = uuid(1), .created = at(3), .lineage = {{.id = uuid(2)}}});
  StoreRow row = rows_.store(txn);
  EXPECT_EQ(row.store_id, uuid(1));
  EXPECT_EQ(row.timeline(), uuid(2));
  EXPECT_EQ(row.created, at(3));
  EXPECT_FALSE(row.repair_keeps_through);
  EXPECT_EQ(row.lineage, (Lineage{{.id = uuid(2)}}));
}

TEST_F(LmdbTables, TheStoreRowNamesEveryAncestorAndARepairUnderWay) {
  LmdbWriteTxn txn(env_);
  Lineage lineage = {{uuid(4), uuid(3), 7}, {uuid(3), uuid(2), 9}, {.id = uuid(2)}};
  for (std::optional<CommitSeq> keeps : {std::optional<CommitSeq>(), std::optional<CommitSeq>(0), std::optional<CommitSeq>(5)}) {
    rows_.put_store(txn, {.store_id = uuid(1),
                          .created = at(3),
                          .repair_keeps_through = keeps,
                          .first_segment = 12,
                          .lineage = lineage});
    EXPECT_EQ(rows_.store(txn).lineage, lineage);
    EXPECT_EQ(rows_.store(txn).first_segment, 12u);
    EXPECT_EQ(rows_.store(txn).repair_keeps_through, keeps);
  }
}

TEST_F(LmdbTables, AStoreRowOfAnotherLengthIsCorruption) {
  LmdbWriteTxn txn(env_);
  rows_.put_store(txn, {.store_id = uuid(1), .created = at(3), .lineage = {{uuid(3), uuid(2), 9}, {.id = uuid(2)}}});
  std::string whole(rows_.value(Rows::store_key(), *txn.get(Table::System, Rows::store_key()), true));
  ASSERT_EQ(whole.size(), 40u + 2 * 40u);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    rows_.put_value(txn, Table::System, Rows::store_key(), whole.substr(0, size));
    EXPECT_EQ(code_of([&] { rows_.store(txn); }), size == 40u + 40u ? ErrorCode{} : ErrorCode::Corruption) << size;
  }
}

TEST_F(LmdbTables, KeysOfEventsAndTagsSortByNumber) {
  EXPECT_LT(event_key(255), event_key(256));
  EXPECT_LT(event_key(1), event_key(std::uint64_t{1} << 63));
  EXPECT_LT(tag_key("a", 255), tag_key("a", 256));
  EXPECT_EQ(tag_key("a", 1), "a\0\0\0\0\0\0\0\0\1"s);
  EXPECT_LT(tag_key("a", UINT64_MAX), tag_key("a\1", 1));  // all of a tag lie together
  EXPECT_EQ(tag_key(std::string(255, 't'), 1).size(), 264u);
}

// --- Flushing

TEST_F(LmdbTables, AFlushBringsTheNewestVersionOfEachKey) {
  Delta first(1, 1);
  insert(first, WriteSet().put("a", "1").put("b", "1").put("c", "1"));
  insert(first, WriteSet().put("a", "2").del("b").put("d", ""));
  flush_delta(env_, rows_, first);
  EXPECT_THAT(state(), ElementsAre("a=2", "c=1", "d="));
  Delta second(3, 1);
  insert(second, WriteSet().del("a").put("b", "3").del("never there"));
  flush_delta(env_, rows_, second);
  EXPECT_THAT(state(), ElementsAre("b=3", "c=1", "d="));
  EXPECT_EQ(head().last_commit, 3u);
  EXPECT_EQ(head().state_keys, 3u);
  EXPECT_EQ(env_.begin_read().published_commit(), CommitSeq{3});
}

TEST_F(LmdbTables, AFlushBringsEventsAndTheirTags) {
  Delta delta(1, 1);
  insert(delta, WriteSet().append({.type = "x", .tags = {"b", "a"}, .payload = "p1"}));
  insert(delta, WriteSet().put("k", "v"));
  insert(delta, WriteSet()
                    .append({.type = "y", .tags = {}, .payload = "p2"})
                    .append({.type = "z", .tags = {"a"}, .payload = "p3"}));
  flush_delta(env_, rows_, delta);
  auto events = table(Table::Events);
  ASSERT_EQ(events.size(), 3u);
  std::vector<std::string> seen;
  for (EventId id = 1; id <= 3; ++id) {
    EXPECT_EQ(events[id - 1].first, event_key(id));
    EventView event = rows_.event(id, events[id - 1].second, true);
    EXPECT_EQ(event.commit_time(), at(static_cast<int>(event.commit_seq())));
    seen.push_back(std::to_string(event.commit_seq()) + std::string(event.type()) + std::string(event.payload()));
  }
  EXPECT_THAT(seen, ElementsAre("1xp1", "3yp2", "3zp3"));
  EXPECT_THAT(tag_entries(), ElementsAre("a/1", "a/3", "b/1"));
  EXPECT_EQ(head().last_event, 3u);
  EXPECT_EQ(head().tag_entries, 3u);
}

TEST_F(LmdbTables, KeysOfTheStoreItselfGoToTheSystemTable) {
  Delta delta(1, 1);
  WriteSet set;
  RecordBuilder::put(set, Space::Sequence, "orders", "7");
  set.put("orders", "state");
  insert(delta, std::move(set));
  flush_delta(env_, rows_, delta);
  EXPECT_THAT(state(), ElementsAre("orders=state"));
  LmdbReadTxn txn = env_.begin_read();
  auto row = txn.get(Table::System, "\1orders");
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(rows_.value("\1orders", *row, true), "7");

  Delta second(2, 1);
  WriteSet removal;
  RecordBuilder::del(removal, Space::Sequence, "orders");
  insert(second, std::move(removal));
  flush_delta(env_, rows_, second);
  EXPECT_EQ(env_.begin_read().get(Table::System, "\1orders"), std::nullopt);
  EXPECT_THAT(state(), ElementsAre("orders=state"));
}

TEST_F(LmdbTables, AFlushEndsTheMarkOfACleanClose) {
  {
    LmdbWriteTxn txn(env_);
    rows_.put_head(txn, {.last_commit = 0, .last_event = 0, .state_keys = 0, .tag_entries = 0, .clean = JournalTail{}});
    txn.commit(0);
  }
  Delta delta(1, 1);
  insert(delta, WriteSet().put("a", "1"));
  flush_delta(env_, rows_, delta);
  EXPECT_FALSE(head().clean.has_value());
}

TEST_F(LmdbTables, ADeltaThatDoesNotFollowIsRefused) {
  Delta gap(2, 1);
  insert(gap, WriteSet().put("a", "1"));
  EXPECT_EQ(code_of([&] { flush_delta(env_, rows_, gap); }), ErrorCode::Corruption);
  Delta wrong_event(1, 2);
  insert(wrong_event, WriteSet().put("a", "1"));
  EXPECT_EQ(code_of([&] { flush_delta(env_, rows_, wrong_event); }), ErrorCode::Corruption);
  Delta first(1, 1);
  insert(first, WriteSet().put("a", "1"));
  flush_delta(env_, rows_, first);
  EXPECT_EQ(code_of([&] { flush_delta(env_, rows_, first); }), ErrorCode::Corruption);
  EXPECT_EQ(head().last_commit, 1u);
}

TEST_F(LmdbTables, WithoutRoomNothingChanges) {
  Delta delta(1, 1);
  insert(delta, WriteSet().put("a", "1").append({.type = "t", .tags = {"x"}, .payload = ""}));
  for (const char* point : {"lmdb.reserve", "flush.apply"}) {
    fault::Armed fault(point, {.fail_with = ENOSPC});
    EXPECT_EQ(code_of([&] { flush_delta(env_, rows_, delta); }), ErrorCode::NoSpace) << point;
    EXPECT_EQ(head().last_commit, 0u);
    EXPECT_THAT(state(), IsEmpty());
    EXPECT_THAT(tag_entries(), IsEmpty());
  }
  flush_delta(env_, rows_, delta);
  EXPECT_EQ(head().last_commit, 1u);
}

TEST_F(LmdbTables, AMapTooSmallIsNoSpaceAndChangesNothing) {
  Delta delta(1, 1);
  insert(delta, WriteSet().put("small", "1"));
  for (int i = 0; i < 70; ++i) insert(delta, WriteSet().put(std::to_string(i), std::string(1 << 20, 'x')));
  EXPECT_EQ(code_of([&] { flush_delta(env_, rows_, delta); }), ErrorCode::NoSpace);
  EXPECT_EQ(head().last_commit, 0u);
  EXPECT_THAT(state(), IsEmpty());
}

}  // namespace
}  // namespace azoth
