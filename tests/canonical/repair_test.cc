// Each damage that opening refuses: explained without a change, and with the loss accepted cut away, on a new timeline,
// with everything before it kept. Damage in LMDB is refused, and a healthy store left alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "damaged_store.h"
#include "lmdb_pages.h"
#include "open_tables.h"
#include "recovery.h"
#include "replay_into_lmdb.h"
#include "support/child_process.h"

namespace azoth::test {
namespace {

using testing::HasSubstr;

constexpr CommitSeq kInLmdb = DamagedStore::kInLmdb;
constexpr CommitSeq kLast = DamagedStore::kLast;

RepairReport repair(const DamagedStore& store, bool accept_loss) {
  return Store::repair(store.directory(), store.options(), {.accept_loss = accept_loss});
}

std::unique_ptr<Store> open(const DamagedStore& store) { return Store::open(store.directory(), store.options()); }

void write_more(Store& store, CommitSeq count) {
  for (CommitSeq last = store.meta().last_commit, i = 1; i <= count; ++i) {
    commit(store, DamagedStore::step_of(last + i, "new"), Durability::Durable);
  }
}

// What a repair must bring about, from the refusal to the second life behind it.
void expect_repaired_to(DamagedStore& store, CommitSeq kept) {
  FileBytes before = files_in(store.directory());
  EXPECT_EQ(code_of([&] { return open(store); }), ErrorCode::Corruption);
  RepairReport plan = repair(store, false);
  EXPECT_FALSE(plan.ok());
  EXPECT_FALSE(plan.repaired);
  EXPECT_EQ(plan.kept_commit, kept);
  EXPECT_EQ(plan.kept_event, kept);
  EXPECT_EQ(plan.kept_from_journal, kept - kInLmdb);
  EXPECT_GE(plan.newest_known_commit, kept + plan.lost_commits);
  EXPECT_EQ(plan.lost_events, plan.lost_commits);
  EXPECT_EQ(plan.timeline.id, store.identity().timeline);
  ASSERT_EQ(files_in(store.directory()), before) << "explaining has changed something";

  RepairReport report = repair(store, true);
  EXPECT_TRUE(report.repaired);
  EXPECT_EQ(report.kept_commit, kept);
  EXPECT_EQ(report.lost_commits, plan.lost_commits);
  EXPECT_EQ(report.damage.size(), plan.damage.size());
  EXPECT_EQ(report.timeline.parent, store.identity().timeline);
  EXPECT_EQ(report.timeline.fork, kept);
  EXPECT_NE(report.timeline.id, store.identity().timeline);

  Lineage lineage = {report.timeline, {.id = store.identity().timeline}};
  {
    auto reader = Store::open_read_only(store.directory(), store.options());
    expect_holds(*reader, kept);
    EXPECT_EQ(reader->meta().lineage, lineage);
  }
  {
    auto writer = open(store);
    EXPECT_TRUE(writer->status().recovery.clean);
    EXPECT_EQ(writer->meta().timeline, report.timeline.id);
    EXPECT_EQ(writer->meta().lineage, lineage);
    EXPECT_EQ(writer->meta().store_id, store.identity().store_id);
    expect_holds(*writer, kept);
    write_more(*writer, 30);  // over several segments
    expect_holds(*writer, kept, 30);
    write_more(*writer, 3);
    copy_store(store.directory(), store.beside("killed"));
  }
  expect_holds(*open(store), kept, 33);
  auto killed = Store::open(store.beside("killed"), store.options());
  expect_holds(*killed, kept, 33);
  EXPECT_EQ(killed->meta().lineage, lineage);
  killed.reset();
  EXPECT_TRUE(repair(store, true).ok());
  EXPECT_EQ(open(store)->meta().lineage, lineage);
}

struct Case {
  const char* name;
  // Damages the store; answers up to which commit it can be kept, and what a person must be told.
  std::function<CommitSeq(DamagedStore&, std::string& told)> damage;
};

CommitSeq end_before(const DamagedStore& store, std::uint64_t segment) { return store.first_of(segment) - 1; }

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"ABatchBeforeDurableOnes",
       [](DamagedStore& s, std::string& told) {
         s.damage_batch(30);
         told = "commit 30 cannot be read";
         return CommitSeq{29};
       }},
      {"TheBatchBehindLmdbsLastCommit",
       [](DamagedStore& s, std::string& told) {
         s.damage_batch(kInLmdb + 1);
         told = "commit 11 cannot be read";
         return kInLmdb;
       }},
      {"TheLastBatchOfASegmentWithASuccessor",
       [](DamagedStore& s, std::string& told) {
         CommitSeq last = end_before(s, s.segments()[2]);
         s.damage_batch(last);
         told = "commit " + std::to_string(last) + " cannot be read";
         return last - 1;
       }},
      {"TwoBatches",
       [](DamagedStore& s, std::string&) {
         s.damage_batch(50);
         s.damage_batch(25);
         return CommitSeq{24};
       }},
      {"OneBatchThatLmdbHoldsAndOneThatItDoesNot",
       [](DamagedStore& s, std::string&) {
         s.damage_batch(kInLmdb - 3);
         s.damage_batch(30);
         return CommitSeq{29};
       }},
      {"ASegmentThatWasCut",
       [](DamagedStore& s, std::string&) {
         std::filesystem::resize_file(s.path(s.holding(30).segment), s.holding(30).offset + 100);
         return CommitSeq{29};
       }},
      {"AMissingSegmentInTheMiddle",
       [](DamagedStore& s, std::string& told) {
         std::filesystem::remove(s.path(s.segments()[1]));
         told = "is missing or has no valid header; commits";
         return end_before(s, s.segments()[1]);
       }},
      {"TheSegmentBehindLmdbIsMissing",
       [](DamagedStore& s, std::string& told) {
         std::filesystem::remove(s.path(s.segments()[0]));
         told = "is missing or has no valid header; commits 11 to ";
         return kInLmdb;
       }},
      {"ABadHeaderInTheMiddle",
       [](DamagedStore& s, std::string& told) {
         s.damage_header(s.segments()[1]);
         told = "the header is not valid, but the file holds commits";
         return end_before(s, s.segments()[1]);
       }},
      {"ABadHeaderOfTheNewest",
       [](DamagedStore& s, std::string& told) {
         s.damage_header(s.segments().back());
         told = "the header is not valid";
         return end_before(s, s.segments().back());
       }},
      {"ABadHeaderBehindLmdb",
       [](DamagedStore& s, std::string& told) {
         s.damage_header(s.segments()[0]);
         told = "the header is not valid";
         return kInLmdb;
       }},
      {"ABadHeaderAndFirstBatch",
       [](DamagedStore& s, std::string&) {
         s.damage_header(s.segments()[1]);
         s.damage_batch(s.first_of(s.segments()[1]));
         return end_before(s, s.segments()[1]);
       }},
      {"NoJournal",
       [](DamagedStore& s, std::string& told) {
         std::filesystem::remove_all(s.journal());
         told = "the journal is missing";
         return kInLmdb;
       }},
      {"AnEmptyJournal",
       [](DamagedStore& s, std::string& told) {
         std::filesystem::remove_all(s.journal());
         std::filesystem::create_directory(s.journal());
         told = "the journal is missing";
         return kInLmdb;
       }},
      {"SparesAlone",
       [](DamagedStore& s, std::string& told) {
         for (const JournalFiles::Segment& segment : s.files().segments) {
           if (segment.header) std::filesystem::remove(s.path(segment.number));
         }
         std::ofstream(s.path(99)) << std::string(limits::kMinSegmentBytes, '\0');
         told = "the journal is missing";
         return kInLmdb;
       }},
      {"ABatchOfAnotherCopy",
       [](DamagedStore& s, std::string& told) {
         const auto& place = s.holding(40);
         std::string batch = bytes_of(s.path(place.segment)).substr(place.offset, place.header.length);
         BatchHeader other = place.header;
         other.previous_checksum ^= 1;
         other.encode(batch, batch_seed(s.identity(), place.segment));
         DamagedStore::overwrite(s.path(place.segment), place.offset, batch);
         told = "does not continue what is before it";
         return CommitSeq{39};
       }},
      {"ABatchWithTheRecordsOfAnotherCommit",
       [](DamagedStore& s, std::string& told) {
         const auto& place = s.batches().back();
         std::string batch = bytes_of(s.path(place.segment)).substr(place.offset, place.header.length);
         batch[kBatchHeaderBytes + 16] = 7;  // the record's commit
         BatchHeader other = place.header;
         other.encode(batch, batch_seed(s.identity(), place.segment));
         DamagedStore::overwrite(s.path(place.segment), place.offset, batch);
         told = "has other records than it says";
         return place.header.first_commit - 1;
       }},
      {"ASegmentThatEndsOtherwiseThanRecorded",
       [](DamagedStore& s, std::string& told) {
         SegmentHeader header = s.header(s.segments()[2]);
         header.previous_checksum ^= 1;
         s.write_header(header, s.identity());
         told = "does not end as its successor recorded";
         return end_before(s, s.segments()[2]);
       }},
      {"ASegmentWhoseRecordedEndIsInABatch",
       [](DamagedStore& s, std::string& told) {
         SegmentHeader header = s.header(s.segments()[2]);
         header.previous_valid_bytes -= 64;
         s.write_header(header, s.identity());
         told = "reaches beyond the end";
         return end_before(s, s.segments()[2]) - 1;
       }},
      {"ASegmentThatBeginsWithTheWrongCommit",
       [](DamagedStore& s, std::string& told) {
         SegmentHeader header = s.header(s.segments()[2]);
         header.first_commit += 2;
         s.write_header(header, s.identity());
         told = "and should begin with";
         return end_before(s, s.segments()[2]);
       }},
      {"ASegmentOfATimelineItDoesNotComeFrom",
       [](DamagedStore& s, std::string& told) {
         JournalIdentity stranger{s.identity().store_id, Uuid::random()};
         s.write_header({.number = 99, .first_commit = 90}, stranger);
         told = "which this store does not come from";
         return kLast;
       }},
  };
  return all;
}

class RepairEachDamage : public testing::TestWithParam<Case> {};

TEST_P(RepairEachDamage, KeepsWhatIsBeforeIt) {
  DamagedStore store;
  std::string told;
  CommitSeq kept = GetParam().damage(store, told);
  RepairReport plan = repair(store, false);
  ASSERT_FALSE(plan.ok());
  std::string all;
  for (const RepairReport::Damage& damage : plan.damage) {
    all += damage.file.string() + " " + std::to_string(damage.offset) + ": " + damage.what + "\n";
  }
  EXPECT_THAT(all, HasSubstr(told));
  EXPECT_THAT(all, HasSubstr(store.journal().string()));
  expect_repaired_to(store, kept);
}

INSTANTIATE_TEST_SUITE_P(All, RepairEachDamage, testing::ValuesIn(cases()),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(Repair, CountsWhatIsLost) {
  DamagedStore store;
  store.damage_batch(30);
  RepairReport plan = repair(store, false);
  EXPECT_EQ(plan.newest_known_commit, kLast);
  EXPECT_EQ(plan.lost_commits, kLast - 30) << "all behind commit 30 can be read";
  EXPECT_GT(plan.lost_bytes, (kLast - 30) * 3000);
  ASSERT_EQ(plan.damage.size(), 1u);
  EXPECT_EQ(plan.damage[0].file, store.path(store.holding(30).segment));
  EXPECT_EQ(plan.damage[0].offset, store.holding(30).offset);
}

TEST(Repair, OfAMissingSegmentKnowsHowFarHistoryWent) {
  DamagedStore store;
  std::filesystem::remove(store.path(store.segments()[1]));
  CommitSeq third = store.first_of(store.segments()[2]);
  RepairReport plan = repair(store, false);
  EXPECT_EQ(plan.newest_known_commit, kLast);
  EXPECT_EQ(plan.lost_commits, kLast - third + 1);
}

TEST(Repair, LeavesAHealthyStoreAlone) {
  DamagedStore store;
  for (bool accept_loss : {false, true}) {
    FileBytes before = files_in(store.directory());
    RepairReport report = repair(store, accept_loss);
    EXPECT_TRUE(report.ok());
    EXPECT_FALSE(report.repaired);
    EXPECT_EQ(report.kept_commit, kLast);
    EXPECT_EQ(report.kept_event, kLast);
    EXPECT_EQ(report.lost_commits, 0u);
    EXPECT_EQ(report.timeline, (Timeline{.id = store.identity().timeline}));
    EXPECT_EQ(files_in(store.directory()), before);
  }
  expect_holds(*open(store), kLast);  // recovers it, and closes it
  FileBytes before = files_in(store.directory());
  EXPECT_TRUE(repair(store, true).ok());
  EXPECT_EQ(files_in(store.directory()), before);
}

// A torn tail is no damage, and neither is what only LMDB's own commits are concerned by.
TEST(Repair, FindsNothingWrongWhereOpeningGoesOn) {
  DamagedStore store;
  store.damage_batch(kLast);
  store.damage_batch(3);
  RepairReport report = repair(store, true);
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.kept_commit, kLast - 1);
  EXPECT_EQ(report.notes.size(), 1u);
  auto opened = open(store);
  expect_holds(*opened, kLast - 1);
  EXPECT_EQ(opened->meta().lineage.size(), 1u);
}

TEST(Repair, AgainGoesOnFromTheNewTimeline) {
  DamagedStore store;
  store.damage_batch(30);
  Timeline first = repair(store, true).timeline;
  {
    auto writer = open(store);
    write_more(*writer, 20);
    copy_store(store.directory(), store.beside("killed"));
  }
  std::filesystem::path killed = store.beside("killed");
  for (const JournalFiles::Segment& segment :
       list_journal(FileSystem::posix(), killed / "journal", {store.identity().store_id, first.id}).segments) {
    if (segment.header) std::filesystem::remove(killed / "journal" / segment_name(segment.number));
  }
  EXPECT_EQ(code_of([&] { return Store::open(killed, store.options()); }), ErrorCode::Corruption);
  RepairReport second = Store::repair(killed, store.options(), {.accept_loss = true});
  EXPECT_EQ(second.kept_commit, 29u) << "LMDB had no more";
  EXPECT_EQ(second.timeline.parent, first.id);
  EXPECT_EQ(second.timeline.fork, 29u);
  auto opened = Store::open(killed, store.options());
  expect_holds(*opened, 29);
  Lineage lineage = {second.timeline, first, {.id = store.identity().timeline}};
  EXPECT_EQ(opened->meta().lineage, lineage);
}

TEST(Repair, ASealedStoreStaysSealed) {
  DamagedStore store;
  {
    auto writer = open(store);
    EXPECT_EQ(writer->seal(), kLast);
  }
  std::filesystem::remove_all(store.journal());
  EXPECT_EQ(repair(store, true).kept_commit, kLast + 1);
  EXPECT_EQ(open(store)->meta().sealed_event, std::optional<EventId>(kLast));
}

// --- LMDB

// Each leaf of the table of the state: its first entry then lies outside of the page.
void damage_state_leaves(const DamagedStore& store) {
  constexpr std::size_t kPageBytes = 4096;
  const std::filesystem::path data = store.directory() / "canonical/data.mdb";
  const std::string bytes = bytes_of(data);
  int damaged = 0;
  for (std::size_t number = LmdbFile::kFirstPage; (number + 1) * kPageBytes <= bytes.size(); ++number) {
    const std::string_view all = bytes;
    LmdbPage page;
    if (page.open(all.substr(number * kPageBytes, kPageBytes), number) || page.kind() != LmdbPage::Kind::Leaf) continue;
    if (page.nodes() == 0 || !page.node(0).key.starts_with("key")) continue;
    DamagedStore::overwrite(data, number * kPageBytes + kLmdbPageHeaderBytes, "\xFF\xFF");
    ++damaged;
  }
  ASSERT_GT(damaged, 0);
}

struct LmdbDamage {
  const char* name;
  std::function<void(DamagedStore&)> damage;
};

class RepairRefuses : public testing::TestWithParam<LmdbDamage> {};

TEST_P(RepairRefuses, DamageInLmdb) {
  DamagedStore store;
  GetParam().damage(store);
  FileBytes before = files_in(store.directory());
  EXPECT_EQ(code_of([&] { return open(store); }), ErrorCode::Corruption);
  for (bool accept_loss : {false, true}) {
    std::string message = message_of([&] { return repair(store, accept_loss); });
    EXPECT_EQ(code_of([&] { return repair(store, accept_loss); }), ErrorCode::Corruption);
    EXPECT_THAT(message, HasSubstr("restore the store from a backup"));
    EXPECT_EQ(files_in(store.directory()), before);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, RepairRefuses,
    testing::ValuesIn(std::vector<LmdbDamage>{
        {"ItsFileIsMissing", [](DamagedStore& s) { std::filesystem::remove(s.directory() / "canonical/data.mdb"); }},
        {"ItsFileIsEmpty",
         [](DamagedStore& s) { std::filesystem::resize_file(s.directory() / "canonical/data.mdb", 0); }},
        {"ItsFileWasCut",
         [](DamagedStore& s) { std::filesystem::resize_file(s.directory() / "canonical/data.mdb", 8192); }},
        {"ItsFileIsNoise",
         [](DamagedStore& s) {
           DamagedStore::overwrite(s.directory() / "canonical/data.mdb", 0, std::string(8192, '\x5a'));
         }},
        {"ALeafOfItsState", [](DamagedStore& s) { damage_state_leaves(s); }},
        {"ALeafOfItsStateAndADurableBatch",
         [](DamagedStore& s) {
           damage_state_leaves(s);
           s.damage_batch(30);
         }},
        {"ItIsOfAnotherStore",
         [](DamagedStore& s) {
           DamagedStore other;
           std::filesystem::copy(other.directory() / "canonical/data.mdb", s.directory() / "canonical/data.mdb",
                                 std::filesystem::copy_options::overwrite_existing);
         }},
        {"ItHasLostCommits",
         [](DamagedStore& s) {
           std::filesystem::path data = s.directory() / "canonical/data.mdb";
           std::string older = bytes_of(data);
           {
             auto store = open(s);
             write_more(*store, 3);
             copy_store(s.directory(), s.beside("killed"));
           }
           copy_store(s.beside("killed"), s.directory());
           std::ofstream(data, std::ios::binary) << older;
         }}}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(Repair, NeedsAStore) {
  TempDir directory;
  EXPECT_EQ(code_of([&] { return Store::repair(directory.path()); }), ErrorCode::NotFound);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

// --- Others

TEST(Repair, IsRefusedWhileTheStoreIsOpen) {
  DamagedStore store;
  {
    auto writer = open(store);
    EXPECT_EQ(code_of([&] { return repair(store, false); }), ErrorCode::AlreadyOpen);
  }
  Pipe opened;
  ChildProcess child([&] {
    auto writer = open(store);
    opened.send(1);
    pause();
  });
  int ready = 0;
  ASSERT_TRUE(opened.receive(ready));
  for (bool accept_loss : {false, true}) {
    EXPECT_EQ(code_of([&] { return repair(store, accept_loss); }), ErrorCode::Locked);
    EXPECT_THAT(message_of([&] { return repair(store, accept_loss); }), HasSubstr(std::to_string(child.pid())));
  }
}

TEST(Repair, KeepsTheNoteOfAWriterThatFailed) {
  DamagedStore store;
  std::string note = "failed, durable through commit 5\n";
  std::ofstream(store.directory() / "lock") << "123456789  \n" << note;
  EXPECT_TRUE(repair(store, false).ok());
  std::string lock = bytes_of(store.directory() / "lock");
  EXPECT_TRUE(lock.starts_with(std::to_string(getpid()) + " ")) << lock;
  EXPECT_TRUE(lock.ends_with("\n" + note)) << lock;
}

// A writer that is killed within an LMDB commit, right behind its meta page, has committed without telling: as long as
// a reader keeps LMDB's lock file alive, snapshots show the transaction before. What then counts is what opening will
// find.
TEST(Repair, SeesWhatAWriterThatWasKilledWithinAnLmdbCommitHasFlushed) {
  DamagedStore store;
  const std::filesystem::path data = store.directory() / "canonical/data.mdb";
  copy_store(store.directory(), store.beside("flushed"));
  {
    OpenTables tables(store.beside("flushed"), store.options());
    const Head head = tables.head();
    const ReplayPlan plan = plan_recovery(FileSystem::posix(), store.journal(), store.identity(), store.files(),
                                          head.last_commit, std::nullopt);
    replay_into_lmdb(tables.env(), tables.rows(), FileSystem::posix(), store.journal(), store.identity(), plan, head,
                     std::size_t{64} << 20);  // one transaction
  }
  const std::string flushed = bytes_of(store.beside("flushed") / "canonical/data.mdb");
  Pipe opened;
  ChildProcess reader([&] {
    auto reading = Store::open_read_only(store.directory(), store.options());
    opened.send(1);
    pause();
  });
  int ready = 0;
  ASSERT_TRUE(opened.receive(ready));
  ChildProcess writer([&] {
    OpenTables tables(store.directory(), store.options());
    const LmdbWriteTxn txn(tables.env());
    DamagedStore::overwrite(data, 0, flushed);
    raise(SIGKILL);
  });
  writer.wait();
  ASSERT_TRUE(writer.was_killed());
  store.damage_batch(30);
  const RepairReport report = repair(store, true);
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.kept_commit, kLast);
  EXPECT_EQ(report.kept_from_journal, 0u);
  EXPECT_EQ(files_in(store.directory())["canonical/data.mdb"], flushed);
  reader.kill();
  expect_holds(*open(store), kLast);
}

// A reader that has read more than is kept must not see it beside what came in its place.
TEST(Repair, AReaderBesideItIsToldAndNeverMixesHistories) {
  DamagedStore store;
  Pipe to_child;
  Pipe to_parent;
  ChildProcess child([&] {
    int step = 0;
    to_child.receive(step);
    if (!repair(store, true).repaired) _exit(3);
    to_parent.send(1);
    to_child.receive(step);
    auto writer = open(store);
    write_more(*writer, 40);
    writer->checkpoint();
    to_parent.send(2);
    to_child.receive(step);
  });
  int step = 0;
  auto reader = Store::open_read_only(store.directory(), store.options());
  Subscription subscription = reader->subscribe(kLast);
  expect_holds(*reader, kLast);
  auto snapshot = std::make_unique<ReadTxn>(reader->read());
  store.damage_batch(30);
  to_child.send(1);
  ASSERT_TRUE(to_parent.receive(step));
  auto expect_told = [&] {
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(code_of([&] { return reader->read(); }), ErrorCode::StoreFailed);
      EXPECT_THAT(message_of([&] { return reader->digest(); }), HasSubstr("open it again"));
    }
  };
  expect_told();
  EXPECT_EQ(code_of([&] { return subscription.next(); }), ErrorCode::StoreFailed);
  EXPECT_EQ(snapshot->commit_seq(), kLast) << "a snapshot keeps its content";
  EXPECT_EQ(ids_of(snapshot->events()).size(), kLast);
  to_child.send(2);
  ASSERT_TRUE(to_parent.receive(step));
  expect_told();
  EXPECT_EQ(ids_of(snapshot->events()).size(), kLast);
  snapshot.reset();
  { Subscription ended = std::move(subscription); }
  reader.reset();
  reader = Store::open_read_only(store.directory(), store.options());
  expect_holds(*reader, 29, 40);
  reader.reset();
  to_child.send(3);
  child.wait();
  EXPECT_TRUE(child.succeeded());
}

}  // namespace
}  // namespace azoth::test
