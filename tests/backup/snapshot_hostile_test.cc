// Sets without a key whose every hash and checksum is right, because whoever made them computed them: what their
// records and manifests say is refused, nothing is written outside, nothing is left, and no memory is taken for what is
// only claimed.
#include <sys/resource.h>

#include <functional>

#include "allocations.h"
#include "azoth/core/codec.h"
#include "azoth/projection/declarations.h"
#include "backup_support.h"
#include "records.h"
#include "sealed_text.h"
#include "set_files.h"
#include "support/child_process.h"

namespace azoth::backup::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using Records = std::vector<std::string>;

const std::string kProjection =
    "-- azoth:projection counts version 1\nCREATE TABLE counts (n INTEGER);\n"
    "-- azoth:on count\nINSERT INTO counts VALUES (1);\n";

// A snapshot as whoever makes it up may change it.
struct MadeUp {
  Manifest facts;
  std::map<FileKind, std::vector<Records>> files;

  Records& state() { return files[FileKind::State][0]; }
  Records& events() { return files[FileKind::Events][0]; }
  Records& system() { return files[FileKind::System][0]; }
  Records& projection() { return files[FileKind::Projections][0]; }
  Records& commits() { return files[FileKind::Commits][0]; }
};

template <class Number>
void patch(std::string& bytes, std::size_t at, Number number) {
  codec::store(bytes.data() + at, number);
}

class HostileSnapshot : public BackupTest {
 protected:
  using Change = std::function<void(MadeUp& full, MadeUp& diff)>;

  HostileSnapshot() {
    Declarations(store_path()).add(kProjection, "counts.sql");
    for (const std::string key : {"a", "b", "c"}) put(key, "value of " + key);
    append("{}", 3);
    store_->next_sequence("invoice");
    const auto source = store_->event_source();
    Projector projector(store_path(), *source);
    projector.add(Declarations(store_path()).load("counts"));
    projector.catch_up("counts");
    back_up();
    append("{}", 2);
    put("d", "value of d");
    incremental();
    const SnapshotSet set = SnapshotSet::open(set_path(), {.read_only = true});
    for (const SnapshotInfo& info : set.list()) {
      MadeUp& made_up = good_.emplace_back();
      made_up.facts = *info.manifest;
      made_up.facts.state_digest = made_up.facts.events_digest = made_up.facts.content_sums = "";
      for (const ManifestFile& file : info.manifest->files) {
        made_up.files[file.kind].push_back(read_records(*set.read(*info.manifest, file)));
      }
    }
  }

  static void publish(SnapshotSet& set, SnapshotType type, const MadeUp& made_up) {
    PendingSnapshot pending = set.begin(type, {});
    for (const auto& [kind, shards] : made_up.files) {
      for (std::uint32_t shard = 0; shard < shards.size(); ++shard) {
        auto writer = pending.add_file(kind, shard, static_cast<std::uint32_t>(shards.size()));
        for (const std::string& record : shards[shard]) writer->add(record);
        pending.close_file(std::move(writer));
      }
    }
    pending.publish(made_up.facts);
  }
  Path hostile() const { return dir_.path() / "hostile"; }
  void make(const Change& change) {
    std::filesystem::remove_all(hostile());
    MadeUp full = good_[0], diff = good_[1];
    change(full, diff);
    SnapshotSet set = SnapshotSet::create(hostile(), store_->meta().store_id, {});
    publish(set, SnapshotType::Full, full);
    publish(set, SnapshotType::Diff, diff);
  }
  RestoreReport restore_hostile() { return backup::restore(hostile(), target(), {.threads = 1, .store = options_}); }

  // Refused as damage, and by verifying, too. What is said names the reason.
  void expect_refused(const std::string& what, const Change& change, const std::string& why) {
    SCOPED_TRACE(what);
    make(change);
    expect_refused_now(why);
  }
  void expect_refused_now(const std::string& why) {
    const std::set<std::string> outside = names_in(dir_.path());
    std::filesystem::create_directories(targets());
    {
      const Allocations allocations;
      expect_error([&] { restore_hostile(); }, ErrorCode::Corruption, why);
      EXPECT_LT(allocations.largest(), std::size_t{80} << 20);
    }
    EXPECT_THAT(names_in(targets()), IsEmpty());
    const SetReport report = verify_set(hostile(), {.scratch = targets(), .store = options_});
    EXPECT_FALSE(report.ok());
    EXPECT_THAT(names_in(targets()), IsEmpty());
    std::filesystem::remove_all(targets());
    EXPECT_EQ(names_in(dir_.path()), outside);
  }

  std::vector<MadeUp> good_;
};

TEST_F(HostileSnapshot, IsAGoodOneUntilItIsChanged) {
  make([](MadeUp&, MadeUp&) {});
  restore_hostile();
  expect_restored(target(), model_, store_->status().visible_seq, options_);
}

TEST_F(HostileSnapshot, RowsOfStateThatNoStoreWouldHave) {
  const auto state = [&](const std::string& what, const std::function<void(Records&)>& change, const std::string& why) {
    expect_refused(
        what, [&](MadeUp& full, MadeUp&) { change(full.state()); }, why);
  };
  const std::string key_512 = std::string("\x00\x02", 2) + std::string(512, 'b');
  const std::string key_65535 = "\xff\xff" + std::string(65535, 'b');
  state(
      "empty record", [](Records& r) { r[1] = ""; }, "no key and value");
  state(
      "absurd key",
      [](Records& r) {
        r[1] =
            "\xff\xff"
            "b";
      },
      "no key and value");
  state(
      "no key", [](Records& r) { r[1] = std::string(2, '\0') + "value"; }, "no key and value");
  state(
      "long key", [&](Records& r) { r[1] = key_512; }, "a key has 512 bytes");
  state(
      "longest key", [&](Records& r) { r[1] = key_65535; }, "a key has 65535 bytes");
  state(
      "out of order", [](Records& r) { std::swap(r[1], r[2]); }, "out of order");
  state(
      "twice", [](Records& r) { r[2] = r[1]; }, "out of order");
  state(
      "one less", [](Records& r) { r.pop_back(); }, "should have 3");
  state(
      "one more", [](Records& r) { r.push_back(std::string("\x01\x00z", 3)); }, "should have 3");
}

TEST_F(HostileSnapshot, EventsThatNoStoreWouldHave) {
  const auto events = [&](const std::string& what, const std::function<void(Records&)>& change,
                          const std::string& why) {
    expect_refused(
        what, [&](MadeUp& full, MadeUp&) { change(full.events()); }, why);
  };
  constexpr std::size_t kCommit = 8, kBody = 24;
  events(
      "empty record", [](Records& r) { r[1] = ""; }, "no event");
  events(
      "no body", [](Records& r) { r[1].resize(kBody); }, "no event");
  events(
      "cut", [](Records& r) { r[1].resize(kBody + 4); }, "no event");
  events(
      "no type", [](Records& r) { patch(r[1], kBody + 1, std::uint8_t{0}); }, "no event");
  events(
      "tags that are not there", [](Records& r) { patch(r[1], kBody + 2, std::uint8_t{64}); }, "no event");
  events(
      "a gap", [](Records& r) { patch(r[1], 0, std::uint64_t{3}); }, "where event 2 belongs");
  events(
      "begins with 0", [](Records& r) { patch(r[0], 0, std::uint64_t{0}); }, "where event 1 belongs");
  events(
      "twice", [](Records& r) { r[2] = r[1]; }, "where event 3 belongs");
  events(
      "one less", [](Records& r) { r.pop_back(); }, "should have 3");
  events(
      "commits descend", [](Records& r) { patch(r[2], kCommit, std::uint64_t{1}); }, "says that it is of commit 1");
  events(
      "of commit 0", [](Records& r) { patch(r[0], kCommit, std::uint64_t{0}); }, "of commit 0");
  events(
      "of a later commit", [](Records& r) { patch(r[2], kCommit, std::uint64_t{99}); }, "commit behind its last");
  // By reading alone, too, though no digest gives it away.
  make([](MadeUp& full, MadeUp&) { patch(full.events()[1], 0, std::uint64_t{3}); });
  EXPECT_FALSE(verify_set(hostile(), {.restore = false}).ok());
}

TEST_F(HostileSnapshot, RowsOfTheStoresOwnThatNoStoreWouldHave) {
  const auto row = [&](const std::string& what, std::uint8_t space, const std::string& key, const std::string& value,
                       const std::string& why) {
    std::string record;
    records::encode(records::OwnRow{space, key, value}, record);
    expect_refused(
        what, [&](MadeUp& full, MadeUp&) { full.system() = {record}; }, why);
  };
  const auto system = [&](const std::string& what, const Records& records, const std::string& why) {
    expect_refused(
        what, [&](MadeUp& full, MadeUp&) { full.system() = records; }, why);
  };
  const std::string block(16, '\0');
  row("of the state", 0, "a", "b", "no such space");
  row("of no space", 4, "a", "b", "no such space");
  row("of LMDB's own", 0xF0, "head", "b", "no such space");
  row("long key", 1, std::string(511, 'a'), block, "no row of its own named");
  row("a sequence of another size", 1, "a", "b", "sequence");
  row("a sequence behind the end", 1, "a", std::string(16, '\xff'), "sequence");
  system("empty record", {""}, "no row");
  system("no key", {std::string("\1\0\0value", 8)}, "no row");
  system("absurd key",
         {"\1\xff\xff"
          "a"},
         "no row");
  const std::string row_b = std::string("\1\1\0b", 4) + block, row_a = std::string("\1\1\0a", 4) + block;
  system("out of order", {row_b, row_a}, "out of order");
  system("twice", {row_a, row_a}, "out of order");
}

TEST_F(HostileSnapshot, CommitsThatNoStoreWouldHave) {
  const auto commits = [&](const std::string& what, const std::function<void(Records&)>& change,
                           const std::string& why) {
    expect_refused(
        what, [&](MadeUp&, MadeUp& diff) { change(diff.commits()); }, why);
  };
  constexpr std::size_t kLength = 1, kOperations = 5, kEvents = 9, kCommit = 17, kFirstEvent = 33, kEntries = 41;
  commits(
      "empty record", [](Records& r) { r[0] = ""; }, "piece of a commit");
  commits(
      "another flag", [](Records& r) { r[0][0] = 2; }, "piece of a commit");
  commits(
      "no bytes", [](Records& r) { r[0] = "\1"; }, "shorter than its header");
  commits(
      "no whole header", [](Records& r) { r[0].resize(20); }, "shorter than its header");
  commits(
      "longer than it says", [](Records& r) { r[0] += "x"; }, "longer than it says");
  commits(
      "shorter than it says", [](Records& r) { r[0].pop_back(); }, "shorter than it says");
  commits(
      "claims 4 GiB", [](Records& r) { patch(r[0], kLength, ~std::uint32_t{0}); }, "shorter than it says");
  commits(
      "never ends", [](Records& r) { r[0][0] = 0, r.resize(1); }, "middle of a commit");
  commits(
      "claims nothing", [](Records& r) { patch(r[0], kLength, std::uint32_t{0}); }, "longer than it says");
  commits(
      "another commit", [](Records& r) { patch(r[0], kCommit, std::uint64_t{77}); }, "it has commit 77 where");
  commits(
      "another event", [](Records& r) { patch(r[0], kFirstEvent, std::uint64_t{77}); }, "where commit");
  commits(
      "twice", [](Records& r) { r[1] = r[0]; }, "where commit");
  commits(
      "one less", [](Records& r) { r.pop_back(); }, "should end with commit");
  commits(
      "more events than there are", [](Records& r) { patch(r[0], kEvents, std::uint32_t{9}); }, "");
  commits(
      "absurdly many events", [](Records& r) { patch(r[0], kEvents, ~std::uint32_t{0}); }, "");
  commits(
      "more operations", [](Records& r) { patch(r[1], kOperations, ~std::uint32_t{0}); }, "malformed");
  commits(
      "an unknown entry", [](Records& r) { r[1][kEntries] = 9; }, "malformed");
  commits(
      "a row of no space", [](Records& r) { r[1][kEntries + 1] = 9; }, "malformed");
  commits(
      "a key of no bytes", [](Records& r) { patch(r[1], kEntries + 2, std::uint16_t{0}); }, "malformed");
  commits(
      "a value of 4 GiB", [](Records& r) { patch(r[1], kEntries + 4, ~std::uint32_t{0}); }, "malformed");
}

TEST_F(HostileSnapshot, ManifestsThatCountWhatIsNotThere) {
  const auto facts = [&](const std::string& what, const std::function<void(Manifest & full, Manifest & diff)>& change,
                         const std::string& why) {
    expect_refused(
        what, [&](MadeUp& full, MadeUp& diff) { change(full.facts, diff.facts); }, why);
  };
  constexpr std::uint64_t kHuge = std::uint64_t{1} << 62;
  facts(
      "rows", [](Manifest& full, Manifest&) { full.state_rows = kHuge; }, "should have");
  facts(
      "rows after the diff", [](Manifest&, Manifest& diff) { diff.state_rows = kHuge; }, "is not what snapshot 2");
  facts(
      "the last event's commit", [](Manifest&, Manifest& diff) { --diff.last_event_commit; }, "is not what snapshot");
  facts(
      "events",
      [](Manifest& full, Manifest& diff) {
        full.last_event = diff.after_event = kHuge;
        diff.last_event += kHuge;
      },
      "should have");
  facts(
      "commits",
      [](Manifest&, Manifest& diff) {
        diff.last_commit = kHuge;
        diff.commits = kHuge - diff.after_commit;
      },
      "should end with commit");
  facts(
      "sums", [](Manifest&, Manifest& diff) { diff.content_sums = std::string(32, '0'); }, "do not add up");
}

TEST_F(HostileSnapshot, NamesOfProjectionsThatLeadElsewhere) {
  for (const std::string name : {"../x", "a/b", "..", "/tmp/x", "a.1", "a b", ""}) {
    make([](MadeUp&, MadeUp&) {});
    const Path path = hostile() / SetFiles::manifest_name(1);
    std::string text = open_sealed_text(get_file(FileSystem::posix(), path), "", nullptr, "m").text;
    const std::string was = "\"name\": \"counts\"";
    text.replace(text.find(was), was.size(), "\"name\": \"" + name + "\"");
    replace_file(FileSystem::posix(), path, seal_text(text, "azoth snapshot manifest", nullptr));
    SCOPED_TRACE(name);
    expect_refused_now("a name that none can have");
  }
}

TEST_F(HostileSnapshot, ProjectionsWithoutADeclarationThatASetWouldTake) {
  const auto projection = [&](const std::string& what, const Records& records, const std::string& why) {
    expect_refused(
        what, [&](MadeUp& full, MadeUp&) { full.projection() = records; }, why);
  };
  std::string other = kProjection;
  other.replace(other.find("counts"), 6, "others");
  projection("nothing", {}, "it has no declaration");
  projection("another's", {other}, "declares a projection others");
  projection("absurdly long", {std::string(std::size_t{2} << 20, 'x')}, "projections_0-of-1.azs is damaged");
}

// Another version of Azoth may have taken it, and the store has more than its projections.
TEST_F(HostileSnapshot, ADeclarationThatIsNoneIsPutBackAsItWas) {
  const std::string declaration = "-- azoth:projection counts edition 7\nDROP TABLE everything";
  make([&](MadeUp& full, MadeUp&) { full.projection() = {declaration, "and tables"}; });
  const RestoreReport report = restore_hostile();
  EXPECT_THAT(report.projections, IsEmpty());
  EXPECT_THAT(report.rebuilt, IsEmpty());
  EXPECT_THAT(report.notes, testing::ElementsAre(HasSubstr("counts has a declaration that this version of Azoth does "
                                                           "not take")));
  expect_restored(target(), model_, store_->status().visible_seq, options_);
  EXPECT_THAT(names_in(target() / "projections"), testing::ElementsAre("counts.sql"));
  EXPECT_EQ(get_file(FileSystem::posix(), target() / "projections" / "counts.sql"), declaration);
  expect_error([&] { Declarations(target()).load("counts"); }, ErrorCode::InvalidArgument, "counts.sql");
  EXPECT_EQ(Declarations(target()).add(kProjection, "counts.sql").change, Declarations::Change::Replaced);
}

// Tables are made of events, and can be made again: of those that cannot be believed only that is said.
TEST_F(HostileSnapshot, TablesOfProjectionsThatAreNoneAreBuiltAnew) {
  const auto tables = [&](const std::string& what, const Change& change) {
    SCOPED_TRACE(what);
    make(change);
    const RestoreReport report = restore_hostile();
    EXPECT_THAT(report.projections, IsEmpty());
    EXPECT_THAT(report.rebuilt, testing::ElementsAre("counts"));
    EXPECT_THAT(report.notes, testing::ElementsAre(HasSubstr("the tables of projection counts cannot be used")));
    expect_restored(target(), model_, store_->status().visible_seq, options_);
    EXPECT_THAT(names_in(target() / "projections"), testing::ElementsAre("counts.lock", "counts.sql"));
    std::filesystem::remove_all(target());
  };
  tables("no SQLite", [](MadeUp& full, MadeUp&) { full.projection() = {kProjection, "this is no database"}; });
  tables("nothing", [](MadeUp& full, MadeUp&) { full.projection() = {kProjection}; });
  tables("cut", [](MadeUp& full, MadeUp&) { full.projection()[1].resize(5000); });
  tables("a page overwritten", [](MadeUp& full, MadeUp&) { full.projection()[1].replace(4096, 3000, 3000, 'x'); });
  tables("another cursor", [](MadeUp& full, MadeUp&) { --full.facts.projections[0].cursor; });
  tables("another version", [](MadeUp& full, MadeUp&) { ++full.facts.projections[0].version; });
  tables("another fingerprint", [](MadeUp& full, MadeUp&) { full.facts.projections[0].fingerprint = "00"; });
}

// A few bytes that unpack to as many as one likes.
TEST_F(HostileSnapshot, RecordsThatAreNothingButLargeAreRefused) {
  const std::string large(std::size_t{48} << 20, '\0');
  expect_refused(
      "state", [&](MadeUp& full, MadeUp&) { full.state()[1] = large; }, "no key and value");
  expect_refused(
      "event", [&](MadeUp& full, MadeUp&) { full.events()[1] = large; }, "no event");
  expect_refused(
      "commit", [&](MadeUp&, MadeUp& diff) { diff.commits()[0] = large; }, "where commit");
}

// They are read ahead by a thread: many that take no bytes take no memory either.
TEST_F(HostileSnapshot, RecordsThatAreEmptyTakeNoMemory) {
  {
    SnapshotSet set = SnapshotSet::create(hostile(), store_->meta().store_id, {});
    PendingSnapshot pending = set.begin(SnapshotType::Full, {});
    for (const FileKind kind : {FileKind::State, FileKind::Events, FileKind::System}) {
      auto writer = pending.add_file(kind, 0, 1);
      for (int i = 0; kind == FileKind::Events && i < 24'000'000; ++i) writer->add({});
      pending.close_file(std::move(writer));
    }
    Manifest facts = good_[0].facts;
    facts.state_rows = 0;
    facts.projections.clear();
    EXPECT_LT(pending.publish(facts).manifest->files[1].bytes, std::uint64_t{1} << 20);
  }
  close();
  azoth::test::ChildProcess child([&] {
    struct rusage before {
    }, after{};
    getrusage(RUSAGE_SELF, &before);
    expect_error([&] { restore_hostile(); }, ErrorCode::Corruption, "no event");
    getrusage(RUSAGE_SELF, &after);
    EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 100'000);  // KiB
  });
  child.wait();
  EXPECT_TRUE(child.succeeded());
}

}  // namespace
}  // namespace azoth::backup::test
