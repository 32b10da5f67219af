// Projections of a real store: written in this process, read beside a writer in another one, killed at random.
#include "azoth/canonical/store.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "projection_support.h"
#include "support/child_process.h"

namespace azoth::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class StoreProjectionTest : public testing::Test {
 protected:
  StoreProjectionTest() { Store::create(path(), options()); }

  std::filesystem::path path() const { return parent_.path() / "store"; }
  static Options options() {
    Options options;
    options.segment_bytes = std::size_t{1} << 20;
    options.delta_bytes = std::size_t{256} << 10;
    options.map_bytes = std::size_t{256} << 20;
    return options;
  }
  static EventId append(Store& store, std::string_view what, Durability level = Durability::Durable) {
    WriteSet set;
    set.append({.type = "count", .tags = {}, .payload = what});
    auto ticket = store.submit(std::move(set), {}, {.level = level});
    return ticket->wait().last_event;
  }
  Rows rows() const {
    Rows found;
    auto generation = read_current_generation(FileSystem::posix(), path() / "projections", "counts");
    if (!generation) return found;
    Connection reader(generation->file, Connection::Mode::Read);
    SqlStatement row = reader.prepare("SELECT what, times FROM counts");
    while (row.step()) found[std::string(row.text(0))] = row.int64(1);
    return found;
  }
  static Rows fold(const Store& store) {
    Rows folded;
    ReadTxn snapshot = store.read(Durability::Durable);
    for (const EventView& event : snapshot.events()) ++folded[std::string(event.payload())];
    return folded;
  }

  TempDir parent_;
};

TEST_F(StoreProjectionTest, ReadsYourOwnWrites) {
  auto store = Store::open(path(), options());
  auto source = store->event_source();
  Projector projector(path(), *source);
  projector.add(counting());
  projector.follow("counts");
  for (int i = 1; i <= 200; ++i) {
    EventId event = append(*store, "a");
    ASSERT_TRUE(projector.wait_until("counts", event, seconds{60}));
    if (i % 20 == 0) {
      ASSERT_EQ(rows(), (Rows{{"a", i}}));
    }
  }
}

TEST_F(StoreProjectionTest, FollowsEventsAcrossDeltasAndLmdb) {
  auto store = Store::open(path(), options());
  for (int i = 0; i < 3000; ++i)
    append(*store, "what " + std::to_string(i % 10) + std::string(300, 'x'), Durability::Applied);
  store->flush();
  auto source = store->event_source();
  Projector projector(path(), *source);
  projector.add(counting().batch({.events = 100}));
  RunReport report = projector.catch_up("counts");
  EXPECT_EQ(report.events, 3000u);
  EXPECT_EQ(rows(), fold(*store));
}

TEST_F(StoreProjectionTest, OnlyWhatIsDurableIsApplied) {
  Options lazy = options();
  lazy.sync_interval = std::chrono::hours{1};
  lazy.delta_age = std::chrono::hours{1};
  auto store = Store::open(path(), lazy);
  auto source = store->event_source();
  Projector projector(path(), *source);
  projector.add(counting());
  append(*store, "a");
  append(*store, "b", Durability::Applied);
  projector.catch_up("counts");
  EXPECT_EQ(rows(), (Rows{{"a", 1}}));
  store->flush();
  projector.catch_up("counts");
  EXPECT_EQ(rows(), (Rows{{"a", 1}, {"b", 1}}));
}

TEST_F(StoreProjectionTest, ASealedStoreIsAppliedUpToItsSeal) {
  auto store = Store::open(path(), options());
  append(*store, "a");
  EXPECT_EQ(store->event_source()->sealed(), std::nullopt);
  const EventId last = store->seal();
  auto source = store->event_source();
  Projector projector(path(), *source);
  projector.add(counting());
  EXPECT_FALSE(projector.run_until("counts", last + 1));
  EXPECT_EQ(projector.status("counts").sealed, last);
  EXPECT_EQ(projector.status("counts").lag, 0u);
  store->unseal();
  append(*store, "a");
  EXPECT_TRUE(projector.run_until("counts", last + 1));
  EXPECT_EQ(rows(), (Rows{{"a", 2}}));
}

TEST_F(StoreProjectionTest, AClosedStoreFailsWhoFollowsIt) {
  auto store = Store::open(path(), options());
  auto source = store->event_source();
  Projector projector(path(), *source);
  projector.add(counting());
  projector.follow("counts");
  append(*store, "a");
  ASSERT_TRUE(projector.wait_until("counts", 1, seconds{60}));
  store->close();
  EXPECT_EQ(code_of([&] { return projector.wait_until("counts", 2, seconds{60}); }), ErrorCode::Closed);
  // And the source that still lives keeps nobody from opening the store.
  store.reset();
  Store::open(path(), options());
}

TEST_F(StoreProjectionTest, TheSourceIsOfItsStoreAndItsTimeline) {
  auto store = Store::open(path(), options());
  auto source = store->event_source();
  EXPECT_EQ(source->store_id(), store->meta().store_id);
  EXPECT_EQ(source->lineage(), store->meta().lineage);
  EXPECT_EQ(source->newest(), 0u);
  const EventId event = append(*store, "a");
  EXPECT_EQ(source->newest(), event);
}

// The projector is in a process that only reads; its writer is in another one.
TEST_F(StoreProjectionTest, FollowsAWriterInAnotherProcess) {
  Pipe go;
  Pipe written;
  ChildProcess writer([&] {
    auto store = Store::open(path(), options());
    int what = 0;
    written.send(EventId{0});
    while (go.receive(what)) written.send(append(*store, "a"));
  });
  EventId event = 0;
  ASSERT_TRUE(written.receive(event));
  {
    auto store = Store::open_read_only(path(), options());
    auto source = store->event_source();
    Projector projector(path(), *source);
    projector.add(counting());
    projector.follow("counts");
    for (int i = 1; i <= 30; ++i) {
      go.send(i);
      ASSERT_TRUE(written.receive(event));
      ASSERT_TRUE(projector.wait_until("counts", event, seconds{60}));
      ASSERT_EQ(rows(), (Rows{{"a", i}}));
    }
  }
}

// Store and projector are killed together at some moment, again and again, while events are written and applied.
TEST_F(StoreProjectionTest, KilledAtRandomEachEffectIsThereOnce) {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 25; ++round) {
    Pipe progress;
    ChildProcess child([&] {
      auto store = Store::open(path(), options());
      auto source = store->event_source();
      Projector projector(path(), *source);
      projector.add(counting(1 + static_cast<std::uint32_t>(round / 5)).batch({.events = 1 + random() % 20}));
      projector.follow("counts");
      for (int i = 0;; ++i) {
        append(*store, "k" + std::to_string(i % 3), static_cast<Durability>(1 + i % 3));
        if (i % 16 == 0) progress.send(i);
      }
    });
    int i = 0;
    const auto reports = static_cast<int>(random() % 6);
    for (int report = 0; report <= reports; ++report) ASSERT_TRUE(progress.receive(i));
    child.kill();
    auto store = Store::open(path(), options());
    auto source = store->event_source();
    Projector projector(path(), *source);
    projector.add(counting(1 + static_cast<std::uint32_t>(round / 5)));
    projector.catch_up("counts");
    ASSERT_EQ(rows(), fold(*store)) << "round " << round;
    const auto why = projector.status("counts").rebuilt_because;
    if (why) {
      ASSERT_THAT(*why, testing::HasSubstr("takes the place")) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace azoth::test
