// What verify finds that no checksum tells: rows that are whole, and do not fit the rest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "azoth/canonical/retention.h"
#include "azoth/core/codec.h"
#include "bulk_rows.h"
#include "open_tables.h"
#include "write_path_support.h"

namespace azoth {
namespace {

using test::OpenTables;
using test::own_key;
using test::TestStore;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

class VerifyTest : public test::WritePath {
 protected:
  VerifyTest() {
    for (const char* id : {"first", "second"}) {
      store_->submit(test::event_of(), {}, {.command = Command{.id = id}})->wait();
    }
    store_->next_sequence("orders");
    store_->checkpoint();
  }

  // Of rows that are as if they had been written so.
  std::vector<std::string> problems_after(const std::function<void(OpenTables&, LmdbWriteTxn&)>& change) {
    store_.close();
    {
      OpenTables tables(store_);
      tables.change([&](LmdbWriteTxn& txn) { change(tables, txn); });
    }
    store_.open();
    return store_->verify().problems;
  }

  static std::string value_of(OpenTables& tables, LmdbWriteTxn& txn, const std::string& key) {
    return std::string(tables.rows().value(key, txn.get(Table::System, key).value(), true));
  }

  // With its checksum and the sum.
  static void put_own(OpenTables& tables, LmdbWriteTxn& txn, const std::string& key, const std::string& value) {
    Head head = tables.rows().head(txn);
    head.sums.own -= Rows::stored_checksum(txn.get(Table::System, key));
    head.sums.own += tables.rows().put_value(txn, Table::System, key, value);
    tables.rows().put_head(txn, head);
  }

  TestStore store_;
  const std::string kFirst = own_key(Space::Command, "first");
  const std::string kSecond = own_key(Space::Command, "second");
};

TEST_F(VerifyTest, NothingIsFoundWhereNothingIsWrong) {
  EXPECT_THAT(problems_after([](OpenTables&, LmdbWriteTxn&) {}), IsEmpty());
}

TEST_F(VerifyTest, ACommandThatNamesTheEventsOfAnotherCommitIsFound) {
  EXPECT_THAT(problems_after([&](OpenTables& tables, LmdbWriteTxn& txn) {
                std::string row = value_of(tables, txn, kFirst);
                codec::store<std::uint64_t>(row.data(), 2);
                put_own(tables, txn, kFirst, row);
              }),
              Contains(HasSubstr("command first says that it has appended events that commit 2 has not")));
}

TEST_F(VerifyTest, ACommandThatHasAppendedFewerEventsThanItsCommitHasIsFound) {
  WriteSet two = test::event_of();
  two.append({.type = "happened", .tags = {}, .payload = "{}"});
  store_->submit(std::move(two), {}, {.command = Command{.id = "third"}})->wait();
  const std::string third = own_key(Space::Command, "third");
  EXPECT_THAT(problems_after([&](OpenTables& tables, LmdbWriteTxn& txn) {
                std::string row = value_of(tables, txn, third);
                codec::store<std::uint32_t>(row.data() + 24, 1);
                put_own(tables, txn, third, row);
              }),
              Contains(HasSubstr("command third says that it has appended events")));
}

TEST_F(VerifyTest, ACommandOfACommitThatIsNotThereIsFound) {
  EXPECT_THAT(problems_after([&](OpenTables& tables, LmdbWriteTxn& txn) {
                std::string row = value_of(tables, txn, kSecond);
                codec::store<std::uint64_t>(row.data(), 4711);
                put_own(tables, txn, kSecond, row);
              }),
              Contains(HasSubstr("command second says that it was done by commit 4711")));
}

TEST_F(VerifyTest, ACommandRowThatCannotBeDecodedIsFound) {
  EXPECT_THAT(problems_after(
                  [&](OpenTables& tables, LmdbWriteTxn& txn) { put_own(tables, txn, kSecond, "too short"); }),
              Contains(HasSubstr("the row of command second cannot be decoded")));
}

TEST_F(VerifyTest, ASequenceThatCannotBeDecodedIsFound) {
  EXPECT_THAT(problems_after([&](OpenTables& tables, LmdbWriteTxn& txn) {
                put_own(tables, txn, own_key(Space::Sequence, "orders"), "short");
              }),
              Contains(HasSubstr("orders")));
}

TEST_F(VerifyTest, ASealThatNamesAnotherEventThanTheLastIsFound) {
  store_->seal();
  const std::string seal = own_key(Space::Meta, "seal");
  EXPECT_THAT(problems_after([](OpenTables&, LmdbWriteTxn&) {}), IsEmpty());
  EXPECT_THAT(problems_after([&](OpenTables& tables, LmdbWriteTxn& txn) {
                std::string one(8, '\0');
                codec::store<std::uint64_t>(one.data(), 1);
                put_own(tables, txn, seal, one);
              }),
              Contains(HasSubstr("the store is sealed with event 1, and the last one is 2")));
}

TEST_F(VerifyTest, ARowThatNobodyKnowsIsFound) {
  EXPECT_THAT(problems_after([&](OpenTables& tables, LmdbWriteTxn& txn) {
                put_own(tables, txn, own_key(Space::Meta, "unknown"), "value");
              }),
              Contains(HasSubstr("nobody knows the store's own row")));
}

TEST_F(VerifyTest, APieceOfABulkTransactionThatIsMissingIsFound) {
  std::string key = "\xF0" "bulk" + std::string(16, '\0');
  codec::store_big(key.data() + 5, 1);
  EXPECT_EQ(bulk_piece(key), (BulkPiece{1, 0}));
  codec::store_big(key.data() + 13, 1);  // the second
  EXPECT_THAT(problems_after([&](OpenTables& tables, LmdbWriteTxn& txn) {
                tables.rows().put_value(txn, Table::System, key, "piece");
              }),
              Contains(HasSubstr("piece 1 of the bulk transaction 1 does not belong where it is")));
}

TEST_F(VerifyTest, AnEventFromBehindTheLatestTimeIsFound) {
  EXPECT_THAT(problems_after([&](OpenTables& tables, LmdbWriteTxn& txn) {
                Head head = tables.rows().head(txn);
                head.latest = Timestamp(std::chrono::seconds(1));
                tables.rows().put_head(txn, head);
              }),
              Contains(HasSubstr("event 1 was committed at a time when nothing was")));
}

// --- Registrations

class VerifiedRegistration : public VerifyTest {
 protected:
  void register_set(CommitSeq commit) {
    Retention(store_.directory())
        .set({.set_id = set_, .timeline = store_->meta().timeline, .commit = commit, .place = "/backups"});
  }

  const Uuid set_ = Uuid::random();
};

TEST_F(VerifiedRegistration, OfWhatTheStoreHasIsCounted) {
  register_set(store_->meta().last_commit);
  const VerifyReport report = store_->verify();
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_EQ(report.registered_sets, 1u);
}

TEST_F(VerifiedRegistration, OfCommitsThatTheStoreDoesNotHaveTellsOfLostCommits) {
  register_set(store_->meta().last_commit + 1);
  EXPECT_THAT(store_->verify().problems, Contains(HasSubstr("it has lost commits")));
}

TEST_F(VerifiedRegistration, ThatCannotBeReadIsFound) {
  register_set(1);
  std::filesystem::resize_file(store_.directory() / "retain" / set_.text(), 20);
  EXPECT_THAT(store_->verify().problems, Contains(HasSubstr(set_.text() + " is damaged")));
}

}  // namespace
}  // namespace azoth
