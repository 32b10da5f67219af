#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "azoth/canonical/store.h"
#include "settings.h"
#include "store_support.h"
#include "write_path_support.h"

namespace azoth {
namespace {

using namespace test;  // NOLINT: the tests' own helpers
using testing::AllOf;
using testing::HasSubstr;

class StoreLimits : public WritePath {
 protected:
  void use(const std::function<void(Options&)>& change) {
    Options options = store_.options();
    change(options);
    store_.set_options(options);
    store_.reopen();
  }
  // Refused with this code, naming what it is and what is allowed; nothing was changed.
  void refused(WriteSet set, ErrorCode code, std::size_t is, std::size_t allowed) {
    CommitSeq before = store_->status().applied_seq;
    auto submit = [&] { static_cast<void>(store_->submit(set)); };
    EXPECT_EQ(code_of(submit), code);
    EXPECT_THAT(message_of(submit), AllOf(HasSubstr(std::to_string(is)), HasSubstr(std::to_string(allowed))));
    EXPECT_EQ(store_->status().applied_seq, before);
    EXPECT_EQ(put(*store_, "after", "it").commit_seq, before + 1);
  }

  TestStore store_;
};

// --- Of one transaction

TEST_F(StoreLimits, AValue) {
  use([](Options& o) { o.max_value_bytes = 1000; });
  WriteSet set;
  set.put("fits", "x").put("k", std::string(1001, 'x')).append({.type = "t", .tags = {}, .payload = ""});
  refused(set, ErrorCode::ValueTooLarge, 1001, 1000);
  put(*store_, "k", std::string(1000, 'x'));
}

// What no snapshot could hold is nothing that a store may have.
TEST_F(StoreLimits, AValueAndAnEventAreNoLargerThanARecordOfASnapshot) {
  const auto code_with = [&](auto change) {
    Options options = store_.options();
    change(options);
    return code_of([&] { check_options(options); });
  };
  EXPECT_EQ(code_with([](Options& o) { o.max_value_bytes = limits::kMaxRaisedBytes; }), ErrorCode{});
  EXPECT_EQ(code_with([](Options& o) { o.max_value_bytes = limits::kMaxRaisedBytes + 1; }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_with([](Options& o) { o.max_event_bytes = limits::kMaxRaisedBytes + 1; }), ErrorCode::InvalidArgument);
}

TEST_F(StoreLimits, AnEvent) {
  use([](Options& o) { o.max_event_bytes = 1000; });
  Event event{.type = "t", .tags = {"a:b"}, .payload = "", .metadata = "m"};
  std::string payload(1000 - event_codec::encoded_size(event), 'x');
  event.payload = payload;
  commit(*store_, WriteSet().append(event));
  event.time = Timestamp(std::chrono::microseconds(1));  // as it is imported elsewhere
  commit(*store_, WriteSet().append(event));
  payload += 'x';
  event.payload = payload;
  refused(WriteSet().put("k", "v").append(event), ErrorCode::EventTooLarge, 1001, 1000);
  event.time.reset();
  refused(WriteSet().put("k", "v").append(event), ErrorCode::EventTooLarge, 1001, 1000);
}

TEST_F(StoreLimits, ATransaction) {
  use([](Options& o) { o.max_transaction_bytes = 10'000; });
  WriteSet set;
  set.put("k", "");
  std::size_t room = 10'000 - set.bytes();
  commit(*store_, WriteSet().put("k", std::string(room, 'x')));
  refused(WriteSet().put("k", std::string(room + 1, 'x')), ErrorCode::TransactionTooLarge, 10'001, 10'000);
}

TEST_F(StoreLimits, ATransactionMayFillHalfASegmentAndMore) {
  use([](Options& o) { o.segment_bytes = limits::kMinSegmentBytes; });
  constexpr std::size_t kHalf = limits::kMinSegmentBytes / 2 - 64;
  WriteSet empty;
  empty.put("k", "");
  std::size_t room = kHalf - empty.bytes();
  // Those that just fit, and those that just do not, one after the other, through many segments and another life.
  for (char c = 'a'; c < 'k'; ++c) {
    commit(*store_, WriteSet().put("k", std::string(room, c)), Durability::Durable);
    commit(*store_, WriteSet().put("l", std::string(room + 1, c)), Durability::Durable);
  }
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(store_->read().get("k"), std::string(room, 'j'));
    EXPECT_EQ(store_->read().get("l"), std::string(room + 1, 'j'));
    store_.reopen();
  }
  EXPECT_EQ(store_->verify().problems, std::vector<std::string>());
}

TEST_F(StoreLimits, TheLargestOfEverythingIsStored) {
  std::string key(limits::kMaxKeyBytes, '\xFF');
  std::string type(limits::kMaxTypeBytes, 't');
  std::vector<std::string> tags;
  for (std::size_t i = 0; i < limits::kMaxTags; ++i) {
    tags.push_back(std::to_string(100 + i) + std::string(limits::kMaxTagBytes - 3, 'x'));
  }
  WriteSet set;
  set.put(key, std::string(400'000, 'v'));
  set.append({.type = type, .tags = {tags.begin(), tags.end()}, .payload = ""});
  commit(*store_, std::move(set));
  for (int life = 0; life < 2; ++life) {
    ReadTxn read = store_->read();
    EXPECT_EQ(read.get(key)->size(), 400'000u);
    EXPECT_EQ(read.event(1)->type(), type);
    for (const std::string& tag : tags) EXPECT_EQ(ids_of(read.events({.tags = {tag}})), std::vector<EventId>{1});
    static_cast<void>(ReadTxn(std::move(read)));
    EXPECT_EQ(store_->verify().problems, std::vector<std::string>());
    store_.reopen();
  }
}

// --- Of memory

// Without waiting for the Delta's age, which here never comes.
TEST_F(StoreLimits, TransactionsLargerThanAllDeltasTogetherAreTakenOneByOne) {
  use([](Options& o) { o.delta_bytes = limits::kMinDeltaBytes; });
  for (int i = 0; i < 8; ++i) {
    WriteSet set;
    set.put("large", std::string(400'000, static_cast<char>('a' + i))).put("key" + std::to_string(i), "v");
    commit(*store_, std::move(set));
    put(*store_, "small", std::to_string(i));
  }
  ReadTxn read = store_->read();
  EXPECT_EQ(read.get("large"), std::string(400'000, 'h'));
  EXPECT_EQ(read.get("small"), "7");
  EXPECT_EQ(keys_of(read.scan("key")).size(), 8u);
}

TEST_F(StoreLimits, SmallDeltasHoldManyTaggedCommits) {
  use([](Options& o) { o.delta_bytes = limits::kMinDeltaBytes; });
  for (int i = 0; i < 100; ++i) append(*store_, "t", {"a:" + std::to_string(i % 7)}, "p");
  EXPECT_LE(store_->status().flushes, 4u);
}

// --- Of the map

class FullMap : public StoreLimits {
 protected:
  FullMap() {
    Options options = tiny_options();
    options.map_bytes = std::size_t{4} << 20;
    full_.emplace(options);
  }
  std::string key(int i) { return "key" + std::to_string(100'000 + i); }
  // Puts until the store refuses; answers how many it took.
  int fill() {
    for (int i = 0;; ++i) {
      WriteSet set;
      set.put(key(i), std::string(5000, 'x'));
      ErrorCode code = code_of([&] { commit(**full_, std::move(set)); });
      if (code == ErrorCode::NoSpace) {
        // What was live was booked at its worst; when it has been flushed there may be room again.
        (*full_)->checkpoint();
        code = code_of([&] { commit(**full_, WriteSet().put(key(i), std::string(5000, 'x'))); });
        if (code == ErrorCode::NoSpace) return i;
      }
      EXPECT_EQ(code, ErrorCode{});
      if (code != ErrorCode{} || i > 10'000) return -1;
    }
  }

  std::optional<TestStore> full_;
};

TEST_F(FullMap, DeletionsPassAndMakeRoomAndReadsGoOn) {
  TestStore& store = *full_;
  int stored = fill();
  ASSERT_GT(stored, 100);
  auto put_one = [&] { commit(*store, WriteSet().put("one more", std::string(5000, 'x'))); };
  EXPECT_EQ(code_of(put_one), ErrorCode::NoSpace);
  // The numbers that it names are those that leave no room.
  unsigned long long map = 0, used = 0, free = 0, needed = 0;
  ASSERT_EQ(std::sscanf(message_of(put_one).c_str(),
                        "the map has too little room: of %llu bytes %llu are used, %llu are kept free, and this "
                        "transaction with those that are on their way there may need %llu",
                        &map, &used, &free, &needed),
            4)
      << message_of(put_one);
  EXPECT_EQ(map, store.options().map_bytes);
  EXPECT_GT(used + free + needed, map);
  EXPECT_GE(needed, 2 * 5000u);
  EXPECT_EQ(code_of([&] { append(*store, "t", {}, std::string(5000, 'x')); }), ErrorCode::NoSpace);
  ReadTxn read = store->read();
  EXPECT_EQ(keys_of(read.scan("key")).size(), static_cast<std::size_t>(stored));
  EXPECT_EQ(read.get(key(0))->size(), 5000u);
  for (int i = 0; i < stored; i += 2) del(*store, key(i));
  EXPECT_EQ(keys_of(read.scan("key")).size(), static_cast<std::size_t>(stored));
  static_cast<void>(ReadTxn(std::move(read)));
  // Freed pages can be used from the next flush on.
  for (int i = 0; i < 3; ++i) {
    del(*store, key(i * 2));
    store->checkpoint();
  }
  EXPECT_EQ(code_of(put_one), ErrorCode{});
  EXPECT_EQ(store->status().failure, std::nullopt);
  EXPECT_EQ(store->verify().problems, std::vector<std::string>());
  EXPECT_EQ(keys_of(store->read().scan("key")).size(), static_cast<std::size_t>(stored / 2));
}

TEST_F(FullMap, AFullStoreClosesOpensAndGrows) {
  TestStore& store = *full_;
  int stored = fill();
  ASSERT_GT(stored, 100);
  store.reopen();
  EXPECT_TRUE(store->status().recovery.clean);
  EXPECT_EQ(keys_of(store->read().scan("key")).size(), static_cast<std::size_t>(stored));
  EXPECT_EQ(code_of([&] { commit(*store, WriteSet().put("one more", std::string(5000, 'x'))); }), ErrorCode::NoSpace);
  Options larger = store.options();
  larger.map_bytes *= 4;
  store.set_options(larger);
  store.reopen();
  commit(*store, WriteSet().put("one more", std::string(5000, 'x')));
  store->checkpoint();
  EXPECT_EQ(store->verify().problems, std::vector<std::string>());
}

}  // namespace
}  // namespace azoth
