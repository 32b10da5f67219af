// Sets and keys; sets and failing calls.
#include <functional>

#include "azoth/core/fault.h"
#include "sealed_text.h"
#include "set_fixture.h"

namespace azoth::backup::test {
namespace {

using testing::IsEmpty;

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
        bool hit = false;
        {
          const fault::Armed fault(point, {.fail_with = c.error, .run = [&] { hit = true; }, .skip = skip});
          error = error_of([&] { take_full(set, 6); });
        }
        if (!hit) break;
        ASSERT_TRUE(error) << point << skip;
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
