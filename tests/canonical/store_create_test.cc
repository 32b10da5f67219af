#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "azoth/canonical/store.h"
#include "azoth/core/fault.h"
#include "store_support.h"
#include "support/child_process.h"
#include "support/memory_dir.h"

namespace azoth {
namespace {

using namespace test;  // NOLINT: the tests' own helpers
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
namespace stdfs = std::filesystem;

class StoreCreate : public testing::Test {
 protected:
  ~StoreCreate() override { fault::disarm_all(); }

  stdfs::path directory() const { return parent_.path() / "store"; }
  void create() { Store::create(directory(), tiny_options()); }
  ErrorCode create_code() {
    return code_of([&] { create(); });
  }
  std::vector<std::string> names(const stdfs::path& path) { return FileSystem::posix().list(path); }
  // The store is whole and can be used.
  void expect_usable() {
    EXPECT_TRUE(Store::exists(directory()));
    auto store = Store::open(directory(), tiny_options());
    EXPECT_THAT(names(directory()), ElementsAre("canonical", "identity", "journal", "lock"));
    EXPECT_EQ(store->read().commit_seq(), 0u);
    put(*store, "a", "1");
    EXPECT_EQ(store->verify().problems, std::vector<std::string>());
  }

  MemoryDir parent_;
};

TEST_F(StoreCreate, MakesAnEmptyStore) {
  EXPECT_FALSE(Store::exists(directory()));
  create();
  expect_usable();
}

TEST_F(StoreCreate, MakesMissingParents) {
  stdfs::path deep = parent_.path() / "a" / "b" / "store";
  Store::create(deep, tiny_options());
  EXPECT_TRUE(Store::exists(deep));
}

TEST_F(StoreCreate, TakesAnEmptyDirectoryThatIsThere) {
  stdfs::create_directory(directory());
  create();
  expect_usable();
}

TEST_F(StoreCreate, ATrailingSlashIsFine) {
  Store::create(directory() / "", tiny_options());
  expect_usable();
}

TEST_F(StoreCreate, FilesAndDirectoriesAreTheOwnersAlone) {
  create();
  auto store = Store::open(directory(), tiny_options());
  put(*store, "a", "1");
  auto mode = [](const stdfs::path& path) {
    struct stat status {};
    EXPECT_EQ(lstat(path.c_str(), &status), 0);
    return status.st_mode & 07777;
  };
  EXPECT_EQ(mode(directory()), 0700u);
  std::size_t files = 0;
  for (const auto& entry : stdfs::recursive_directory_iterator(directory())) {
    EXPECT_EQ(mode(entry.path()), entry.is_directory() ? 0700u : 0600u) << entry.path();
    files += entry.is_regular_file() ? 1 : 0;
  }
  EXPECT_GE(files, 6u);  // identity, lock, data.mdb, lock.mdb, two segments
}

TEST_F(StoreCreate, EachStoreHasAnIdOfItsOwn) {
  create();
  Store::create(parent_.path() / "other", tiny_options());
  Meta one = Store::open(directory(), tiny_options())->meta();
  Meta other = Store::open(parent_.path() / "other", tiny_options())->meta();
  EXPECT_NE(one.store_id, other.store_id);
  EXPECT_NE(one.timeline, other.timeline);
}

// --- Refusals

TEST_F(StoreCreate, NeverTouchesAStoreThatIsThere) {
  create();
  { put(*Store::open(directory(), tiny_options()), "a", "1"); }
  EXPECT_EQ(create_code(), ErrorCode::AlreadyExists);
  auto store = Store::open(directory(), tiny_options());
  EXPECT_EQ(create_code(), ErrorCode::AlreadyExists);  // open as it is
  EXPECT_EQ(store->read().get("a"), "1");
}

TEST_F(StoreCreate, NeverTouchesADirectoryThatIsNotEmpty) {
  stdfs::create_directory(directory());
  std::ofstream(directory() / "notes.txt") << "mine";
  EXPECT_EQ(create_code(), ErrorCode::AlreadyExists);
  EXPECT_THAT(message_of([&] { create(); }), HasSubstr("notes.txt"));
  EXPECT_THAT(names(directory()), ElementsAre("notes.txt"));
}

TEST_F(StoreCreate, NeverTouchesAStoreThatHasLostItsIdentity) {
  create();
  { put(*Store::open(directory(), tiny_options()), "a", "1"); }
  stdfs::rename(directory() / "identity", parent_.path() / "identity");
  EXPECT_FALSE(Store::exists(directory()));
  EXPECT_EQ(create_code(), ErrorCode::AlreadyExists);
  stdfs::rename(parent_.path() / "identity", directory() / "identity");
  EXPECT_EQ(Store::open(directory(), tiny_options())->read().get("a"), "1");
}

TEST_F(StoreCreate, AFileIsNoDirectory) {
  std::ofstream(directory()) << "mine";
  EXPECT_EQ(create_code(), ErrorCode::AlreadyExists);
  EXPECT_EQ(stdfs::file_size(directory()), 4u);
}

TEST_F(StoreCreate, ADirectoryMustBeNamed) {
  EXPECT_EQ(code_of([] { Store::create("", tiny_options()); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([] { Store::open("", tiny_options()); }), ErrorCode::InvalidArgument);
}

TEST_F(StoreCreate, OptionsThatCannotBeMakeNothing) {
  auto refused = [&](const std::function<void(Options&)>& change) {
    Options options = tiny_options();
    change(options);
    EXPECT_EQ(code_of([&] { Store::create(directory(), options); }), ErrorCode::InvalidArgument);
    EXPECT_FALSE(stdfs::exists(directory()));
    Options good = tiny_options();
    Store::create(directory(), good);
    EXPECT_EQ(code_of([&] { Store::open(directory(), options); }), ErrorCode::InvalidArgument);
    EXPECT_EQ(code_of([&] { Store::open(directory(), good); }), ErrorCode{});
    stdfs::remove_all(directory());
  };
  refused([](Options& o) { o.segment_bytes = limits::kMinSegmentBytes - 4096; });
  refused([](Options& o) { o.segment_bytes = limits::kMinSegmentBytes + 1; });
  refused([](Options& o) { o.segment_bytes = limits::kMaxSegmentBytes + 4096; });
  refused([](Options& o) { o.delta_bytes = limits::kMinDeltaBytes - 1; });
  refused([](Options& o) { o.delta_bytes = limits::kMaxDeltaBytes + 1; });
  refused([](Options& o) { o.map_bytes = limits::kMinMapBytes - 1; });
  refused([](Options& o) { o.max_readers = 1; });
  refused([](Options& o) { o.max_readers = limits::kMaxReaders + 1; });
  refused([](Options& o) { o.max_readers = std::numeric_limits<unsigned>::max(); });
  refused([](Options& o) { o.sync_interval = std::chrono::milliseconds(0); });
  refused([](Options& o) { o.sync_interval = std::chrono::milliseconds::max(); });
  refused([](Options& o) { o.delta_age = std::chrono::milliseconds(-1); });
  refused([](Options& o) { o.delta_age = std::chrono::milliseconds::max(); });
  refused([](Options& o) { o.command_retention = std::chrono::seconds(-1); });
  refused([](Options& o) { o.command_retention = std::chrono::seconds::max(); });
}

// --- Interruptions

// Every fault point that a creation passes, as often as it passes it.
std::vector<std::string> points_of_a_creation() {
  MemoryDir parent;
  fault::record(true);
  Store::create(parent.path() / "store", tiny_options());
  fault::record(false);
  return fault::reached();
}

TEST_F(StoreCreate, OneThatIsKilledAnywhereIsNoStoreAndIsStartedOver) {
  int kills = 0;
  for (const std::string& point : points_of_a_creation()) {
    for (int skip = 0;; ++skip) {
      stdfs::remove_all(directory());
      ChildProcess child([&] {
        fault::arm(point, {.kill = true, .skip = skip});
        create();
      });
      child.wait();
      if (!child.was_killed()) {
        ASSERT_TRUE(child.succeeded());
        break;
      }
      ++kills;
      SCOPED_TRACE(point + ", hit " + std::to_string(skip + 1));
      bool exists = Store::exists(directory());
      ErrorCode opened = code_of([&] { Store::open(directory(), tiny_options()); });
      ASSERT_EQ(opened, exists ? ErrorCode{} : ErrorCode::NotFound);
      ASSERT_EQ(create_code(), exists ? ErrorCode::AlreadyExists : ErrorCode{});
      ASSERT_NO_FATAL_FAILURE(expect_usable());
    }
  }
  EXPECT_GT(kills, 20);
}

TEST_F(StoreCreate, OneThatFailsAnywhereIsNoStoreAndIsStartedOver) {
  int failures = 0;
  for (const std::string& point : points_of_a_creation()) {
    for (int skip = 0;; ++skip) {
      stdfs::remove_all(directory());
      ErrorCode code{};
      {
        fault::Armed fault(point, {.fail_with = EIO, .skip = skip});
        code = create_code();
      }
      if (code == ErrorCode{}) break;
      ++failures;
      SCOPED_TRACE(point + ", hit " + std::to_string(skip + 1));
      bool exists = Store::exists(directory());
      ASSERT_EQ(create_code(), exists ? ErrorCode::AlreadyExists : ErrorCode{});
      ASSERT_NO_FATAL_FAILURE(expect_usable());
    }
  }
  EXPECT_GT(failures, 20);
}

// Two programs create the same store: the slower one found no identity when it looked, and one when it may begin.
TEST_F(StoreCreate, TheSlowerOfTwoLeavesTheStoreOfTheFasterAlone) {
  bool created = false;
  auto create_meanwhile = [&] {
    fault::Armed fault("file.remove", {.fail_with = EIO, .times = -1});  // interrupted at its very end
    EXPECT_EQ(create_code(), ErrorCode::Io);
    created = Store::exists(directory());
  };
  fault::arm("file.make_directory", {.run = create_meanwhile});
  EXPECT_EQ(create_code(), ErrorCode::AlreadyExists);
  fault::disarm_all();
  EXPECT_TRUE(created);
  expect_usable();
}

// What marks a directory as one whose content may be thrown away must not stay in a store.
TEST_F(StoreCreate, OpeningRemovesTheMarkOfACreation) {
  {
    fault::Armed fault("file.remove", {.fail_with = EIO, .times = -1});
    EXPECT_EQ(create_code(), ErrorCode::Io);
  }
  ASSERT_TRUE(stdfs::exists(directory() / "creating"));
  expect_usable();
  EXPECT_FALSE(stdfs::exists(directory() / "creating"));
}

}  // namespace
}  // namespace azoth
