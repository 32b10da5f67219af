#include "azoth/backup/snapshot_set.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <functional>

#include "azoth/core/fault.h"
#include "sealed_text.h"
#include "set_files.h"
#include "support.h"
#include "support/sim_disk.h"
#include "support/temp_dir.h"

namespace azoth::backup::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class SnapshotSetTest : public testing::Test {
 protected:
  SnapshotSet create(const Key* key = nullptr) { return SnapshotSet::create(path_, kStore, {.key = key}); }
  SnapshotSet open(const Key* key = nullptr) { return SnapshotSet::open(path_, {.key = key}); }
  std::filesystem::path file(const std::string& name) const { return path_ / name; }
  static std::string manifest(std::uint64_t ordinal) { return SetFiles::manifest_name(ordinal); }
  std::vector<std::string> names() const { return FileSystem::posix().list(path_); }

  azoth::test::TempDir dir_;
  std::filesystem::path path_ = dir_.path() / "set";
};

TEST_F(SnapshotSetTest, IsMadeOpenedAndKnowsItsStore) {
  Uuid id;
  {
    const SnapshotSet set = create();
    id = set.id();
    EXPECT_THAT(set.list(), IsEmpty());
    EXPECT_NO_THROW(set.require_store(kStore));
    expect_error([&] { set.require_store(uuid_of(1)); }, ErrorCode::InvalidArgument, "use another set");
  }
  EXPECT_EQ(open().id(), id);
  EXPECT_EQ(open().store_id(), kStore);
  expect_error([&] { create(); }, ErrorCode::AlreadyExists, "is a snapshot set already");
  expect_error([&] { SnapshotSet::open(dir_.path(), {}); }, ErrorCode::NotFound, "is no snapshot set");
  expect_error([&] { SnapshotSet::open(dir_.path() / "none", {}); }, ErrorCode::NotFound, "there is no snapshot set");
  EXPECT_FALSE(std::filesystem::exists(dir_.path() / "lock")) << "left in a directory that is no set";
}

TEST_F(SnapshotSetTest, IsNotMadeAmongOtherFiles) {
  std::filesystem::create_directory(path_);
  std::ofstream(file("precious")) << "x";
  expect_error([&] { create(); }, ErrorCode::AlreadyExists, "is not empty");
}

TEST_F(SnapshotSetTest, FullsAndDiffsAreRestoredInTheirOrder) {
  SnapshotSet set = create();
  const auto full = take_full(set, 6);
  EXPECT_EQ(full.state, SnapshotState::Whole);
  const auto diff = take_diff(set, full.ordinal, 6, 9);
  EXPECT_EQ(diff.manifest->base_hash, full.manifest_hash);
  const Chain chain = set.chain(RestoreTarget::newest());
  EXPECT_THAT(ordinals(chain), ElementsAre(1, 2));
  EXPECT_EQ(read_chain(set, chain), content_of(1, 9));
  set.verify(1);
  set.verify(2);
  expect_error([&] { set.verify(3); }, ErrorCode::NotFound, "no published snapshot 3");
}

TEST_F(SnapshotSetTest, MoreThanTenShardsKeepTheirOrder) {
  SnapshotSet set = create();
  PendingSnapshot pending = set.begin(SnapshotType::Full, kSmall);
  for (std::uint32_t shard = 12; shard-- > 0;) {
    auto writer = pending.add_file(FileKind::State, shard, 12);
    writer->add("commit " + std::to_string(shard + 1));
    pending.close_file(std::move(writer));
  }
  pending.publish(facts(0, 12));
  EXPECT_EQ(read_chain(set, set.chain(RestoreTarget::newest())), content_of(1, 12));
}

TEST_F(SnapshotSetTest, IsOpenForWritingOnceAndTheProcessIsNamed) {
  const SnapshotSet set = create();
  expect_error([&] { open(); }, ErrorCode::Locked, "process " + std::to_string(getpid()));
  expect_error([&] { SnapshotSet::open(path_, {.read_only = true}); }, ErrorCode::Locked, "in use");
}

TEST_F(SnapshotSetTest, ManyMayReadAndNoneOfThemWrites) {
  {
    SnapshotSet set = create();
    take_full(set, 6);
  }
  std::filesystem::remove(file("lock"));  // a copy without one is read all the same
  const auto before = names();
  SnapshotSet a = SnapshotSet::open(path_, {.read_only = true});
  SnapshotSet b = SnapshotSet::open(path_, {.read_only = true});
  EXPECT_EQ(read_chain(b, a.chain(RestoreTarget::newest())), content_of(1, 6));
  expect_error([&] { a.begin(SnapshotType::Full, {}); }, ErrorCode::ReadOnly, "for reading only");
  expect_error([&] { a.purge(1); }, ErrorCode::ReadOnly, "for reading only");
  expect_error([&] { a.repair(); }, ErrorCode::ReadOnly, "for reading only");
  EXPECT_EQ(names(), before);
}

TEST_F(SnapshotSetTest, NothingIsThereBeforeItIsPublishedAndNothingAfterItIsAbandoned) {
  SnapshotSet set = create();
  const auto before = names();
  {
    PendingSnapshot pending = set.begin(SnapshotType::Full, kSmall);
    pending.close_file(pending.add_file(FileKind::State, 0, 1));
    ASSERT_EQ(set.list().size(), 1u);
    EXPECT_EQ(set.list()[0].state, SnapshotState::Unfinished);
    EXPECT_EQ(set.list()[0].why, "it is being written");
    set.repair();
    set.purge(1);
    EXPECT_EQ(set.list().size(), 1u) << "what is being written is no remains";
    expect_error([&] { set.chain(RestoreTarget::newest()); }, ErrorCode::NotFound, "no snapshot");
  }
  EXPECT_EQ(names(), before);
  EXPECT_EQ(take_full(set, 1).ordinal, 2u) << "an ordinal is not given out again";
}

TEST_F(SnapshotSetTest, OrdinalsAreNotGivenOutAgainAfterPurgesAndReopening) {
  {
    SnapshotSet set = create();
    for (int i = 0; i < 3; ++i) take_full(set, 5);
    EXPECT_THAT(set.purge(1).removed, ElementsAre(2, 1));
    set.begin(SnapshotType::Full, kSmall).abandon();
  }
  SnapshotSet set = open();
  EXPECT_EQ(set.begin(SnapshotType::Full, kSmall).ordinal(), 5u);
}

TEST_F(SnapshotSetTest, WrongUseOfAPendingSnapshotIsRefused) {
  SnapshotSet set = create();
  PendingSnapshot pending = set.begin(SnapshotType::Full, kSmall);
  expect_error([&] { pending.publish(facts(0, 1)); }, ErrorCode::InvalidArgument, "names no file");
  auto writer = pending.add_file(FileKind::State, 0, 1);
  expect_error([&] { pending.add_file(FileKind::State, 0, 1); }, ErrorCode::AlreadyExists, "");
  expect_error([&] { pending.publish(facts(0, 1)); }, ErrorCode::InvalidArgument, "was not closed");
  pending.close_file(std::move(writer));
  Manifest foreign = facts(0, 1);
  foreign.store_id = uuid_of(1);
  expect_error([&] { pending.publish(foreign); }, ErrorCode::InvalidArgument, "use another set");
  pending.publish(facts(0, 1));
  expect_error([&] { pending.publish(facts(0, 1)); }, ErrorCode::InvalidArgument, "published once");
  expect_error([&] { pending.add_file(FileKind::State, 1, 2); }, ErrorCode::InvalidArgument, "nothing can be added");
}

TEST_F(SnapshotSetTest, ADiffContinuesOnlyAWholeSnapshotThatEndsWhereItBegins) {
  SnapshotSet set = create();
  take_full(set, 6);
  expect_error([&] { take_diff(set, 1, 5, 9); }, ErrorCode::InvalidArgument, "it ends at commit 6");
  expect_error([&] { take_diff(set, 2, 6, 9); }, ErrorCode::InvalidArgument, "none of this ordinal");
  expect_error([&] { take_diff(set, 1, 6, 9, {{uuid_of(4)}}); }, ErrorCode::InvalidArgument, "another timeline");
  const Lineage cut_earlier = {{uuid_of(4), kTimeline, 5}, {kTimeline}};
  expect_error([&] { take_diff(set, 1, 6, 9, cut_earlier); }, ErrorCode::InvalidArgument, "behind the fork");
  const Lineage cut_here = {{uuid_of(4), kTimeline, 6}, {kTimeline}};
  EXPECT_EQ(take_diff(set, 1, 6, 9, cut_here).state, SnapshotState::Whole);
  std::filesystem::remove(file(set.list()[0].files[0]));
  expect_error([&] { take_diff(set, 1, 6, 9); }, ErrorCode::InvalidArgument, "not whole");
}

TEST_F(SnapshotSetTest, AFileThatWasChangedBeforePublishingIsNotPublished) {
  SnapshotSet set = create();
  PendingSnapshot pending = set.begin(SnapshotType::Full, kSmall);
  auto writer = pending.add_file(FileKind::State, 0, 1);
  writer->add("content");
  pending.close_file(std::move(writer));
  const std::string name = set.list()[0].files.at(0);
  std::string bytes = get_file(FileSystem::posix(), file(name));
  bytes[100] = static_cast<char>(bytes[100] ^ 1);
  replace_file(FileSystem::posix(), file(name), bytes);
  expect_error([&] { pending.publish(facts(0, 1)); }, ErrorCode::Corruption, name);
  pending.abandon();
  EXPECT_THAT(set.list(), IsEmpty());
}

// --- purge -----------------------------------------------------------------------------------------------------------

TEST_F(SnapshotSetTest, PurgeKeepsFullsAndEveryDiffAboveTheOldestOfThem) {
  SnapshotSet set = create();
  take_full(set, 2);        // 1
  take_diff(set, 1, 2, 4);  // 2
  take_full(set, 4);        // 3
  take_diff(set, 3, 4, 6);  // 4
  take_full(set, 6);        // 5
  take_diff(set, 5, 6, 8);  // 6
  EXPECT_THAT(set.purge(3).removed, IsEmpty());
  EXPECT_THAT(set.purge(2).removed, ElementsAre(2, 1));
  EXPECT_THAT(ordinals(set), ElementsAre(3, 4, 5, 6));
  EXPECT_THAT(set.purge(7).removed, IsEmpty());
  EXPECT_EQ(read_chain(set, set.chain(RestoreTarget::commit(5))), content_of(1, 6));
  EXPECT_THAT(set.purge(1).removed, ElementsAre(4, 3));
  expect_error([&] { set.purge(0); }, ErrorCode::InvalidArgument, "at least one");
  EXPECT_EQ(read_chain(set, set.chain(RestoreTarget::newest())), content_of(1, 8));
}

TEST_F(SnapshotSetTest, PurgeOfASetWithoutFullsRemovesNothing) {
  SnapshotSet set = create();
  EXPECT_THAT(set.purge(1).removed, IsEmpty());
}

TEST_F(SnapshotSetTest, PurgeRemovesNothingWhenTheNewestFullIsDamagedInside) {
  std::string name;
  {
    SnapshotSet set = create();
    take_full(set, 4);
    name = take_full(set, 6).files[1];
  }
  std::string bytes = get_file(FileSystem::posix(), file(name));
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  replace_file(FileSystem::posix(), file(name), bytes);
  SnapshotSet set = open();
  expect_error([&] { set.purge(1); }, ErrorCode::Corruption, name);
  EXPECT_THAT(ordinals(set), ElementsAre(1, 2));
}

TEST_F(SnapshotSetTest, PurgeDoesNotCountBrokenFulls) {
  SnapshotSet set = create();
  take_full(set, 4);
  std::filesystem::remove(file(take_full(set, 6).files[0]));
  EXPECT_THAT(set.purge(1).removed, IsEmpty());
  EXPECT_THAT(ordinals(set), ElementsAre(1));
}

// --- damage ----------------------------------------------------------------------------------------------------------

struct Damage : SnapshotSetTest, testing::WithParamInterface<bool> {
  Damage() {
    SnapshotSet set = create(key());
    take_full(set, 4);
    take_diff(set, 1, 4, 6);
    take_full(set, 6);
    take_diff(set, 3, 6, 8);
  }
  const Key* key() const { return GetParam() ? &key_ : nullptr; }

  // That snapshot `ordinal`, and no other, is found to be broken or damaged.
  void expect_found(std::uint64_t ordinal, const std::string& what) {
    SnapshotSet set = open(key());
    for (const SnapshotInfo& info : set.list()) {
      const auto error = error_of([&] { set.verify(info.ordinal); });
      EXPECT_EQ(error.has_value(), info.ordinal == ordinal) << what << (error ? error->what() : "");
      if (error) {
        EXPECT_NE(error->code(), ErrorCode::InvalidArgument) << error->what();
      }
      EXPECT_NE(info.state, SnapshotState::Unfinished) << what;
    }
  }
  std::vector<std::string> files_of(std::uint64_t ordinal) {
    SnapshotSet set = open(key());
    std::vector<std::string> files = set.list().at(ordinal - 1).files;
    files.push_back(manifest(ordinal));
    return files;
  }
  std::string get(const std::string& name) const { return get_file(FileSystem::posix(), file(name)); }
  void put(const std::string& name, const std::string& bytes) const {
    replace_file(FileSystem::posix(), file(name), bytes);
  }

  Key key_ = Key::random();
};

TEST_P(Damage, OfAnyFileOfASnapshotIsFoundAndConcernsThatSnapshotAlone) {
  for (std::uint64_t ordinal = 1; ordinal <= 4; ++ordinal) {
    for (const std::string& name : files_of(ordinal)) {
      const std::string good = get(name);
      for (std::size_t at = 0; at < good.size(); at += 1 + good.size() / 40) {
        std::string bytes = good;
        bytes[at] = static_cast<char>(bytes[at] ^ 4);
        put(name, bytes);
        expect_found(ordinal, name + " flipped at " + std::to_string(at));
      }
      put(name, good.substr(0, good.size() - 1));
      expect_found(ordinal, name + " cut");
      put(name, "");
      expect_found(ordinal, name + " emptied");
      put(name, good + "x");
      expect_found(ordinal, name + " extended");
      std::filesystem::remove(file(name));
      if (name != manifest(ordinal)) expect_found(ordinal, name + " removed");
      std::filesystem::create_symlink("SET", file(name));
      expect_found(ordinal, name + " made a link");
      std::filesystem::remove(file(name));
      ASSERT_EQ(mkfifo(file(name).c_str(), 0600), 0);
      expect_found(ordinal, name + " made a pipe");
      put(name, good);
    }
  }
  expect_found(0, "nothing is damaged");
}

TEST_P(Damage, BySwappedFilesIsFound) {
  const auto swap_and_check = [&](const std::string& a, const std::string& b) {
    const std::string was_a = get(a), was_b = get(b);
    put(a, was_b);
    put(b, was_a);
    SnapshotSet set = open(key());
    std::size_t damaged = 0;
    for (const SnapshotInfo& info : set.list()) damaged += error_of([&] { set.verify(info.ordinal); }) ? 1 : 0;
    EXPECT_GE(damaged, 1u) << a << " and " << b;
    put(a, was_a);
    put(b, was_b);
  };
  swap_and_check(files_of(1)[0], files_of(1)[1]);
  swap_and_check(files_of(1)[0], files_of(3)[0]);
  swap_and_check(files_of(2)[0], files_of(4)[0]);
  swap_and_check(manifest(1), manifest(3));
  swap_and_check(manifest(2), manifest(4));
}

TEST_P(Damage, ByTheSnapshotOfAnotherSetIsFound) {
  const std::filesystem::path other = dir_.path() / "other";
  {
    SnapshotSet set = SnapshotSet::create(other, kStore, {.key = key()});
    take_full(set, 4);
  }
  put(manifest(1), get_file(FileSystem::posix(), other / manifest(1)));
  expect_found(1, "only the manifest");
  for (const std::string& name : {files_of(1)[0], files_of(1)[1]})
    put(name, get_file(FileSystem::posix(), other / name));
  expect_found(1, "all of it");
  SnapshotSet set = open(key());
  EXPECT_THAT(set.list()[0].why, testing::HasSubstr("from the set"));
}

TEST_P(Damage, ABaseThatIsNoLongerTheSameIsFound) {
  // A valid snapshot 1 of the same set and key, but not the one that 2 was made from.
  Manifest m = *open(key()).list()[0].manifest;
  m.operations = 0;
  m.state_rows = 99;
  put(manifest(1), encode_manifest(m, key()));
  SnapshotSet set = open(key());
  EXPECT_NO_THROW(set.verify(1));
  expect_error([&] { set.verify(2); }, ErrorCode::Corruption, "was not made from snapshot 1");
}

TEST_P(Damage, ARemovedManifestLeavesRemainsAndTheChainSaysWhatIsMissing) {
  std::filesystem::remove(file(manifest(3)));
  std::filesystem::remove(file(manifest(2)));
  SnapshotSet set = open(key());
  EXPECT_THAT(ordinals(set, SnapshotState::Unfinished), ElementsAre(2, 3));
  expect_error([&] { set.chain(RestoreTarget::newest()); }, ErrorCode::NotFound, "lacks commits 5 to 6");
  EXPECT_THAT(set.repair().remains, ElementsAre(2, 3));
  EXPECT_THAT(ordinals(set), ElementsAre(1, 4));
}

TEST_P(Damage, ABrokenFullIsPassedOverWhenOlderSnapshotsLeadAsFar) {
  std::filesystem::remove(file(files_of(3)[0]));
  SnapshotSet set = open(key());
  const Chain chain = set.chain(RestoreTarget::newest());
  EXPECT_THAT(ordinals(chain), ElementsAre(1, 2, 4));
  EXPECT_EQ(read_chain(set, chain), content_of(1, 8));
}

TEST_P(Damage, ABrokenNewestSnapshotIsNeverPassedOverInSilence) {
  put(manifest(4), "");
  SnapshotSet set = open(key());
  expect_error([&] { set.chain(RestoreTarget::newest()); }, ErrorCode::Corruption, "restore to commit 6 instead");
  expect_error([&] { set.chain(RestoreTarget::at(time_of(99))); }, ErrorCode::Corruption, "snapshot 4 is broken");
  EXPECT_THAT(ordinals(set.chain(RestoreTarget::commit(6))), ElementsAre(3));
}

TEST_P(Damage, RepairRemovesBrokenSnapshotsOnlyWhenAsked) {
  std::filesystem::remove(file(files_of(2)[0]));
  SnapshotSet set = open(key());
  EXPECT_THAT(set.repair().removed, IsEmpty());
  EXPECT_THAT(ordinals(set, SnapshotState::Broken), ElementsAre(2));
  EXPECT_THAT(set.repair(true).removed, ElementsAre(2));
  EXPECT_THAT(ordinals(set), ElementsAre(1, 3, 4));
  EXPECT_THAT(ordinals(set, SnapshotState::Broken), IsEmpty());
}

TEST_P(Damage, OfTheSetsOwnFilesIsRepairedFromTheCopy) {
  for (const std::string name : {"SET", "SET-copy"}) {
    const std::string good = get(name);
    for (std::size_t at = 0; at < good.size(); at += 3) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ 2);
      put(name, bytes);
      EXPECT_THAT(ordinals(open(key())), ElementsAre(1, 2, 3, 4)) << name << at;
    }
    std::filesystem::remove(file(name));
    SnapshotSet set = open(key());
    EXPECT_THAT(ordinals(set), ElementsAre(1, 2, 3, 4));
    set.repair();
    EXPECT_EQ(get(name), good);
  }
  put("SET", "x");
  put("SET-copy", "x");
  expect_error([&] { open(key()); }, ErrorCode::Corruption, "SET-copy is damaged");
}

TEST_P(Damage, OfTheNextOrdinalIsRepairedFarAboveAllThatMayHaveBeenGivenOut) {
  put("next", "x");
  SnapshotSet set = open(key());
  expect_error([&] { set.begin(SnapshotType::Full, kSmall); }, ErrorCode::Corruption, "repair it");
  EXPECT_THAT(ordinals(set), ElementsAre(1, 2, 3, 4));
  set.repair();
  EXPECT_GE(set.begin(SnapshotType::Full, kSmall).ordinal(), 1000u);
}

TEST_P(Damage, ForeignFilesAreLeftAlone) {
  const std::string full = files_of(1)[0];
  for (const std::string name :
       {std::string("notes.txt"), full + ".old", std::string("snapshot_1_full_state_0-of-1.azs"),
        std::string("snapshot_00000000000000000009_full_state_1-of-1.azs"),
        std::string("snapshot_00000000000000000009_full_state_00-of-1.azs"),
        std::string("snapshot_00000000000000000000_full_state_0-of-1.azs"),
        std::string("snapshot_99999999999999999999_full_state_0-of-1.azs"), std::string("manifest_9.json"),
        std::string("manifest_99999999999999999999.json"), std::string("SET.abc.tmp")}) {
    put(name, "x");
    SnapshotSet set = open(key());
    EXPECT_EQ(set.list().size(), 4u) << name;
    set.repair(true);
    set.purge(2);
    EXPECT_TRUE(std::filesystem::exists(file(name))) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Damage, testing::Bool(),
                         [](const auto& info) { return info.param ? "Encrypted" : "Plain"; });

// --- keys ------------------------------------------------------------------------------------------------------------

TEST_F(SnapshotSetTest, AnEncryptedSetNeedsItsKey) {
  const Key key = Key::random();
  const Key other = Key::random();
  {
    SnapshotSet set = create(&key);
    EXPECT_EQ(set.key_id(), key.id());
    EXPECT_TRUE(take_full(set, 4).authenticated);
    EXPECT_EQ(read_chain(set, set.chain(RestoreTarget::newest())), content_of(1, 4));
  }
  expect_error([&] { open(&other); }, ErrorCode::InvalidArgument, "but the key file has key " + other.id());
  SnapshotSet set = open();
  ASSERT_EQ(set.list().size(), 1u);
  EXPECT_EQ(set.list()[0].state, SnapshotState::Whole);
  EXPECT_FALSE(set.list()[0].authenticated);
  for (const std::function<void()>& call : std::vector<std::function<void()>>{
           [&] { set.verify(1); }, [&] { set.chain({}); }, [&] { set.purge(1); }, [&] { set.repair(); },
           [&] { set.begin(SnapshotType::Full, kSmall); },
           [&] { set.read(*set.list()[0].manifest, set.list()[0].manifest->files[0]); }}) {
    expect_error(call, ErrorCode::InvalidArgument, "give the key file with key " + key.id());
  }
}

TEST_F(SnapshotSetTest, AKeyForASetThatIsNotEncryptedIsRefused) {
  create();
  const Key key = Key::random();
  expect_error([&] { open(&key); }, ErrorCode::InvalidArgument, "is not encrypted; open it without a key");
}

TEST_F(SnapshotSetTest, AForgedSetFileIsFound) {
  const Key key = Key::random();
  create(&key);
  for (const std::string name : {"SET", "SET-copy"}) {
    std::string content = get_file(FileSystem::posix(), file(name));
    const std::string text = open_sealed_text(content, "azoth snapshot set", &key, name).text;
    std::string forged = text;
    forged.replace(forged.find(kStore.text()), 32, uuid_of(1).text());
    const std::string hash = seal_text(forged, "", nullptr).substr(forged.size());
    content = forged + hash.substr(0, hash.size() - 3) + content.substr(content.find("\",\"auth\""));
    replace_file(FileSystem::posix(), file(name), content);
  }
  expect_error([&] { open(&key); }, ErrorCode::Corruption, "changed on purpose");
}

TEST_F(SnapshotSetTest, AnotherSetsKeyIsRefused) {
  const Key key = Key::random();
  const Key other = Key::random();
  create(&key);
  const std::filesystem::path second = dir_.path() / "second";
  SnapshotSet::create(second, kStore, {.key = &other});
  expect_error([&] { SnapshotSet::open(second, {.key = &key}); }, ErrorCode::InvalidArgument, other.id());
}

// --- errors ----------------------------------------------------------------------------------------------------------

TEST_F(SnapshotSetTest, AnErrorAtAnyCallLeavesNoHalfSnapshotAndSaysWhatToDo) {
  struct Case {
    int error;
    ErrorCode code;
    const char* advice;
  };
  SnapshotSet set = create();
  take_full(set, 4);
  std::size_t failures = 0;
  for (const Case& c : {Case{ENOSPC, ErrorCode::NoSpace, "free space"}, Case{EACCES, ErrorCode::Io, "permissions"},
                        Case{EIO, ErrorCode::Io, "check the device"}}) {
    for (const char* point : {"file.create", "file.write", "file.sync", "file.rename", "file.sync_directory"}) {
      for (int skip = 0;; ++skip) {
        const auto before = ordinals(set);
        std::optional<Error> error;
        {
          const fault::Armed fault(point, {.fail_with = c.error, .skip = skip});
          error = error_of([&] { take_full(set, 6); });
        }
        if (!error) break;
        ++failures;
        EXPECT_EQ(error->code(), c.code) << error->what();
        EXPECT_THAT(std::string(error->what()), testing::HasSubstr(c.advice)) << point << skip;
        EXPECT_THAT(ordinals(set, SnapshotState::Broken), IsEmpty());
        EXPECT_THAT(ordinals(set, SnapshotState::Unfinished), IsEmpty()) << point << skip << error->what();
        if (!error->outcome_unknown()) {
          EXPECT_EQ(ordinals(set), before) << point << skip;
        }
        ASSERT_LT(skip, 200);
      }
    }
  }
  EXPECT_GT(failures, 30u);
  for (const std::uint64_t ordinal : ordinals(set)) EXPECT_NO_THROW(set.verify(ordinal));
  for (const std::string& name : names()) EXPECT_THAT(name, testing::Not(testing::HasSubstr(".tmp")));
}

}  // namespace
}  // namespace azoth::backup::test
