// The store's log as an event source: slices, waiting, and what it says when the store ends.
#include "store_event_source.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "store_support.h"
#include "support/child_process.h"
#include "support/temp_dir.h"

namespace azoth::test {
namespace {

using std::chrono::milliseconds;

class StoreEventSourceTest : public testing::Test {
 protected:
  StoreEventSourceTest() {
    Store::create(path(), options_);
    store_ = Store::open(path(), options_);
  }
  std::filesystem::path path() const { return parent_.path() / "store"; }

  EventId append(std::size_t bytes = 10, Durability level = Durability::Durable) {
    WriteSet set;
    const std::string payload(bytes, 'x');
    set.append({.type = "t", .tags = {}, .payload = payload});
    return store_->submit(std::move(set), {}, {.level = level})->wait().last_event;
  }
  static std::vector<EventId> ids(const EventSlice& slice) {
    std::vector<EventId> ids;
    for (std::size_t i = 0; i < slice.size(); ++i) ids.push_back(slice[i].id());
    return ids;
  }

  TempDir parent_;
  Options options_ = quiet_options();
  std::unique_ptr<Store> store_;
};

using Ids = std::vector<EventId>;

TEST_F(StoreEventSourceTest, ASliceEndsAtItsLimits) {
  for (int i = 0; i < 5; ++i) append(100);
  auto source = store_->event_source();
  EventSlice slice;
  source->read(0, {}, slice);
  EXPECT_EQ(ids(slice), (Ids{1, 2, 3, 4, 5}));
  source->read(1, {.events = 2}, slice);
  EXPECT_EQ(ids(slice), (Ids{2, 3}));
  source->read(1, {.bytes = 150}, slice);
  EXPECT_EQ(ids(slice), (Ids{2, 3}));
  source->read(1, {.bytes = 1}, slice);
  EXPECT_EQ(ids(slice), (Ids{2}));
  source->read(1, {.to = 3}, slice);
  EXPECT_EQ(ids(slice), (Ids{2, 3}));
  source->read(5, {}, slice);
  EXPECT_TRUE(slice.empty());
}

TEST_F(StoreEventSourceTest, ShowsWhatIsDurableOnly) {
  auto source = store_->event_source();
  append();
  append(10, Durability::Applied);
  EXPECT_EQ(source->newest(), 1u);
  EventSlice slice;
  source->read(0, {}, slice);
  EXPECT_EQ(ids(slice), (Ids{1}));
  store_->flush();
  EXPECT_EQ(source->newest(), 2u);
}

TEST_F(StoreEventSourceTest, ReadsAcrossLmdbAndTheDelta) {
  append();
  store_->checkpoint();
  append();
  EventSlice slice;
  store_->event_source()->read(0, {}, slice);
  EXPECT_EQ(ids(slice), (Ids{1, 2}));
}

TEST_F(StoreEventSourceTest, WaitingEndsWithAnEventADeadlineOrAnInterruption) {
  auto source = store_->event_source();
  auto never = [] { return false; };
  EXPECT_FALSE(source->wait(0, deadline_after(milliseconds{1}), never));
  append();
  EXPECT_TRUE(source->wait(0, kNoDeadline, never));
  std::thread writer([&] { append(); });
  EXPECT_TRUE(source->wait(1, kNoDeadline, never));
  writer.join();
  std::atomic<bool> stop{false};
  std::thread stopper([&] {
    stop = true;
    source->wake();
  });
  EXPECT_FALSE(source->wait(2, kNoDeadline, [&] { return stop.load(); }));
  stopper.join();
}

TEST_F(StoreEventSourceTest, CommitsWithoutEventsEndNoWait) {
  auto source = store_->event_source();
  WriteSet set;
  set.put("k", "v");
  store_->submit(std::move(set))->wait();
  EXPECT_FALSE(source->wait(0, deadline_after(milliseconds{1}), [] { return false; }));
}

TEST_F(StoreEventSourceTest, TellsOfTheSeal) {
  auto source = store_->event_source();
  EXPECT_EQ(source->sealed(), std::nullopt);
  append();
  store_->seal();
  EXPECT_EQ(source->sealed(), 1u);
}

TEST_F(StoreEventSourceTest, SaysClosedWhenTheStoreIsAndKeepsNobodyFromOpeningIt) {
  auto source = store_->event_source();
  append();
  std::thread waiting([&] {
    EXPECT_EQ(code_of([&] { return source->wait(1, kNoDeadline, [] { return false; }); }), ErrorCode::Closed);
  });
  store_->close();
  waiting.join();
  EXPECT_EQ(code_of([&] { return source->newest(); }), ErrorCode::Closed);
  EXPECT_EQ(code_of([&] { return store_->event_source(); }), ErrorCode::Closed);
  store_.reset();
  store_ = Store::open(path(), options_);
  EXPECT_EQ(store_->event_source()->newest(), 1u);
}

TEST_F(StoreEventSourceTest, OfAStoreThatIsReadOnlyShowsWhatThereIs) {
  append();
  append();
  store_->seal();
  const Lineage lineage = store_->meta().lineage;
  store_.reset();
  store_ = Store::open_read_only(path(), options_);
  auto source = store_->event_source();
  EXPECT_EQ(source->newest(), 2u);
  EXPECT_EQ(source->sealed(), 2u);
  EXPECT_EQ(source->lineage(), lineage);
  EventSlice slice;
  source->read(0, {}, slice);
  EXPECT_EQ(ids(slice), (Ids{1, 2}));
  EXPECT_FALSE(source->wait(2, deadline_after(milliseconds{1}), [] { return false; }));
}

TEST_F(StoreEventSourceTest, OfAStoreThatIsReadOnlyKnowsWhatIsDurableWhenItIsMadeAndRefreshed) {
  store_.reset();
  int begin[2], done[2];
  ASSERT_EQ(pipe(begin), 0);
  ASSERT_EQ(pipe(done), 0);
  char byte = 0;
  ChildProcess writer([&] {
    store_ = Store::open(path(), options_);
    while (read(begin[0], &byte, 1) == 1 && byte != 0) {
      append();
      if (write(done[1], &byte, 1) != 1) break;
    }
  });
  const auto append_there = [&](char go_on) { return write(begin[1], &go_on, 1) == 1 && read(done[0], &byte, 1) == 1; };
  ASSERT_TRUE(append_there(1));
  auto reading = Store::open_read_only(path(), options_);
  ASSERT_TRUE(append_there(1));
  auto source = reading->event_source();
  EXPECT_EQ(source->newest(), 2u);
  for (EventId event = 3; event < 10; ++event) {
    ASSERT_TRUE(append_there(1));
    source->refresh();
    EXPECT_EQ(source->newest(), event);
  }
  reading->close();
  source->refresh();
  EXPECT_EQ(code_of([&] { return source->newest(); }), ErrorCode::Closed);
  byte = 0;
  EXPECT_EQ(write(begin[1], &byte, 1), 1);
  writer.wait();
  EXPECT_TRUE(writer.succeeded());
  for (const int end : {begin[0], begin[1], done[0], done[1]}) close(end);
}

}  // namespace
}  // namespace azoth::test
