// The sums of row checksums in LMDB's head: right after whatever a store does, and wrong after whatever is done to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "open_tables.h"
#include "random_history.h"
#include "support/seed.h"
#include "write_path_support.h"

namespace azoth {
namespace {

using test::code_of;
using test::OpenTables;
using test::own_key;
using test::RandomHistory;
using test::test_seed;
using test::TestStore;
using testing::Contains;
using testing::HasSubstr;

class RowSumsTest : public test::WritePath {
 protected:
  // Closes the store, changes its LMDB, and answers what verify says then.
  static std::vector<std::string> problems_after(TestStore& store, const std::function<void(OpenTables&)>& change) {
    store.close();
    {
      OpenTables tables(store);
      change(tables);
    }
    store.open();
    const std::vector<std::string> problems = store->verify().problems;
    const bool concerns_own_rows = std::any_of(problems.begin(), problems.end(), [](const std::string& problem) {
      return problem.find("own rows are not those") != std::string::npos;
    });
    EXPECT_EQ(a_backup_refuses_own_rows(*store), concerns_own_rows);
    return problems;
  }

  static bool a_backup_refuses_own_rows(Store& store) {
    const std::unique_ptr<BackupSource> source = store.backup_source();
    const BackupSource::Content content = source->content(1);
    try {
      source->for_each_own_row(content.readers.front(), std::nullopt, [](auto...) {});
      return false;
    } catch (const Error& error) {
      return error.corruption();
    }
  }

  static std::optional<std::string> row_of(TestStore& store, Table table, const std::string& key) {
    store.close();
    std::optional<std::string> row = OpenTables(store).row(table, key);
    store.open();
    return row;
  }
};

// What has to be said: which rows, and that the sum says so.
auto says(const std::string& rows) { return Contains(HasSubstr(rows + " are not those that were written last")); }

// --- Right

TEST_F(RowSumsTest, AreRightAfterWhateverAStoreDoes) {
  for (int round = 0; round < 4; ++round) {
    RandomHistory history(test_seed() + static_cast<std::uint64_t>(round));
    TestStore store(history.options());
    test::TempDir copies;
    for (int life = 0; life < 4; ++life) {
      ASSERT_NO_FATAL_FAILURE(history.steps(*store, 40));
      test::copy_store(store.directory(), copies.path() / "copy");
      ASSERT_EQ(store->verify().problems, std::vector<std::string>());
      auto recovered = Store::open(copies.path() / "copy", store.options());
      ASSERT_EQ(recovered->verify().problems, std::vector<std::string>()) << "after a crash";
      store.reopen();
      ASSERT_NO_FATAL_FAILURE(history.note(*store));
    }
    const ContentTotals totals = store->backup_source()->content(1).totals;
    ASSERT_EQ(totals.latest, history.now().latest);
    ASSERT_EQ(totals.state_rows, history.now().state.size());
  }
}

TEST_F(RowSumsTest, TheLatestTimeStaysWhenTheClockGoesBack) {
  test::ManualClock clock;
  Options options = test::quiet_options();
  options.clock = &clock;
  TestStore store(options);
  const auto latest = [&] { return store->backup_source()->content(1).totals.latest; };
  EXPECT_EQ(latest(), Timestamp::min());
  for (int seconds : {5000, 9000, 7000}) {
    clock.set(seconds);
    test::put(*store, "key", std::to_string(seconds));
    store->checkpoint();
  }
  EXPECT_EQ(latest(), Timestamp(std::chrono::seconds(9000)));
  store.reopen();
  clock.set(100);
  test::put(*store, "key", "long ago");
  EXPECT_EQ(latest(), Timestamp(std::chrono::seconds(9000)));
}

TEST_F(RowSumsTest, OfNothingAreZero) {
  TestStore store;
  test::put(*store, "key", "value");
  test::del(*store, "key");
  const ContentTotals totals = store->backup_source()->content(1).totals;
  EXPECT_EQ(totals.state_sum, 0u);
  EXPECT_EQ(totals.events_sum, 0u);
  EXPECT_EQ(totals.state_rows, 0u);
}

// --- Wrong

TEST_F(RowSumsTest, ARowTakenBackToAnOlderValueIsFound) {
  TestStore store;
  test::put(*store, "key", "old value");
  test::put(*store, "other", "value");
  const auto old = row_of(store, Table::State, "key");
  test::put(*store, "key", "new value");
  EXPECT_THAT(problems_after(store,
                             [&](OpenTables& tables) {
                               tables.change([&](LmdbWriteTxn& txn) { txn.put(Table::State, "key", *old); });
                             }),
              says("the rows of the state"));
  EXPECT_EQ(store->read().get("key"), "old value") << "by itself the row is right";
}

TEST_F(RowSumsTest, ARemovedRowIsFoundAlsoIfTheCountIsAdjusted) {
  TestStore store;
  for (const char* key : {"a", "b", "c"}) test::put(*store, key, "value");
  const auto problems = problems_after(store, [](OpenTables& tables) {
    tables.change([&](LmdbWriteTxn& txn) {
      txn.del(Table::State, "b");
      Head head = tables.rows().head(txn);
      --head.state_keys;
      tables.rows().put_head(txn, head);
    });
  });
  EXPECT_THAT(problems, says("the rows of the state"));
  EXPECT_EQ(problems.size(), 1u) << "nothing else tells";
}

TEST_F(RowSumsTest, AnEventReplacedByAnotherOneIsFound) {
  TestStore store;
  test::append(*store, "paid", {"account:1"}, "10");
  test::append(*store, "paid", {"account:1"}, "20");
  const auto problems = problems_after(store, [](OpenTables& tables) {
    std::string row = tables.row(Table::Events, event_key(2))->substr(4);
    row.back() = '9';
    tables.change([&](LmdbWriteTxn& txn) { tables.rows().put_value(txn, Table::Events, event_key(2), row); });
  });
  EXPECT_THAT(problems, says("the events"));
  EXPECT_EQ(problems.size(), 1u);
  EXPECT_EQ(store->read().event(2)->payload(), "29");
}

TEST_F(RowSumsTest, AnEventOfAnotherTimeIsFound) {
  TestStore store;
  test::append(*store, "paid", {"account:1"}, "10");
  EXPECT_THAT(problems_after(store,
                             [](OpenTables& tables) {
                               std::string row = tables.row(Table::Events, event_key(1))->substr(4);
                               row[9] = static_cast<char>(row[9] + 1);  // of its commit's time
                               tables.change([&](LmdbWriteTxn& txn) {
                                 tables.rows().put_value(txn, Table::Events, event_key(1), row);
                               });
                             }),
              says("the events"));
}

TEST_F(RowSumsTest, AnOlderRowOfASequenceIsFound) {
  TestStore store;
  store->next_sequence("invoice");
  const std::string key = own_key(Space::Sequence, "invoice");
  const auto old = row_of(store, Table::System, key);
  store->next_sequence("invoice");
  const auto problems = problems_after(
      store, [&](OpenTables& tables) { tables.change([&](LmdbWriteTxn& txn) { txn.put(Table::System, key, *old); }); });
  EXPECT_THAT(problems, says("the store's own rows"));
}

TEST_F(RowSumsTest, AForgottenCommandIsFound) {
  TestStore store;
  WriteSet set;
  set.put("key", "value");
  store->submit(std::move(set), {}, {.command = Command{.id = "request"}}).value().wait();
  const auto problems = problems_after(store, [](OpenTables& tables) {
    tables.change([](LmdbWriteTxn& txn) { txn.del(Table::System, own_key(Space::Command, "request")); });
  });
  EXPECT_THAT(problems, says("the store's own rows"));
}

TEST_F(RowSumsTest, ASealThatIsTakenAwayIsFound) {
  TestStore store;
  store->seal();
  const auto problems = problems_after(store, [](OpenTables& tables) {
    tables.change([](LmdbWriteTxn& txn) { txn.del(Table::System, own_key(Space::Meta, "seal")); });
  });
  EXPECT_THAT(problems, says("the store's own rows"));
}

TEST_F(RowSumsTest, OfOneTableDoNotMakeUpForThoseOfAnother) {
  TestStore store;
  test::put(*store, "key", "value");
  EXPECT_THAT(problems_after(store,
                             [](OpenTables& tables) {
                               Head head = tables.head();
                               std::swap(head.sums.state, head.sums.events);
                               tables.change([&](LmdbWriteTxn& txn) { tables.rows().put_head(txn, head); });
                             }),
              AllOf(says("the rows of the state"), says("the events")));
}

}  // namespace
}  // namespace azoth
