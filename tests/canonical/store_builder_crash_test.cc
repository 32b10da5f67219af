// Making a store out of another's content, and what stops it: a kill, a failing disk, a full one. What is left is no
// store, or all of it.
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "copied_content.h"
#include "kept_journal.h"
#include "support/child_process.h"
#include "support/memory_dir.h"

namespace azoth {
namespace {

using test::build;
using test::CopiedContent;
using test::put;
using test::TestStore;

constexpr const char* kPoints[] = {"builder.journal",    "builder.lmdb", "lmdb.commit", "lmdb.reserve",
                                   "flush.apply",        "file.create",  "file.write",  "file.sync",
                                   "file.allocate",      "file.rename",  "file.remove", "file.make_directory",
                                   "file.sync_directory"};

class StoreBuilderCrashTest : public test::WritePath {
 protected:
  StoreBuilderCrashTest() {
    TestStore store(options_);
    test::keep_behind(*store, 0);
    for (int i = 0; i < 20; ++i) put(*store, "key" + std::to_string(i), std::string(3000, 'v'));
    for (int i = 0; i < 20; ++i) test::append(*store, "type", {"tag:1", "tag:2"}, std::to_string(i));
    const auto source = store->backup_source();
    copy_ = test::copy_content(*source);
    for (int i = 0; i < 40; ++i) put(*store, "key" + std::to_string(i), std::string(3000, 'w'));
    test::append(*store, "type", {"tag:1"}, "last");
    test::copy_commits_since(*source, copy_);
    digest_ = store->digest();
  }
  ~StoreBuilderCrashTest() override { fault::disarm_all(); }

  std::filesystem::path directory() const { return parent_.path() / "built"; }

  // How often each point is reached.
  std::map<std::string, int> hits() const {
    std::map<std::string, int> counts;
    for (const char* point : kPoints) {
      fault::arm(point, {.run = [&counts, point] { ++counts[point]; }, .times = -1});
    }
    build(copy_, parent_.path() / "counted", options_);
    fault::disarm_all();
    return counts;
  }

  template <class Run>
  void for_some_hits(Run run) {
    for (const auto& [point, count] : hits()) {
      for (int hit : std::set<int>{1, count / 2, count}) {
        if (hit < 1 || hit > count) continue;
        SCOPED_TRACE(point + ", hit " + std::to_string(hit) + " of " + std::to_string(count));
        std::filesystem::remove_all(directory());
        run(point, hit);
        if (HasFailure()) return;
      }
    }
  }

  // No store, which can be begun anew, or a whole one.
  void expect_nothing_or_all() const {
    const std::optional<Error> error = test::error_of([&] { Store::open(directory(), options_); });
    if (error) {
      ASSERT_EQ(error->code(), ErrorCode::NotFound) << error->what();
      ASSERT_FALSE(Store::exists(directory()));
      build(copy_, directory(), options_);
    }
    auto store = Store::open(directory(), options_);
    ASSERT_EQ(store->digest(), digest_);
    ASSERT_EQ(store->verify().problems, std::vector<std::string>());
    store.reset();
    for (const auto& file : std::filesystem::directory_iterator(directory())) {
      ASSERT_NE(file.path().extension(), ".tmp") << file.path();
      ASSERT_NE(file.path().filename(), "creating");
    }
  }

  Options options_ = test::tiny_options();
  test::MemoryDir parent_;
  CopiedContent copy_;
  std::string digest_;
};

TEST_F(StoreBuilderCrashTest, EveryPointIsReached) {
  const std::map<std::string, int> counts = hits();
  for (const char* point : kPoints) {
    EXPECT_GT(counts.count(point), 0u) << point;
  }
}

TEST_F(StoreBuilderCrashTest, AKillAnywhereLeavesNoStoreOrAWholeOne) {
  for_some_hits([&](const std::string& point, int hit) {
    test::ChildProcess child([&] {
      fault::arm(point, {.kill = true, .skip = hit - 1});
      build(copy_, directory(), options_);
    });
    child.wait();
    ASSERT_TRUE(child.was_killed());
    expect_nothing_or_all();
  });
}

TEST_F(StoreBuilderCrashTest, AnErrorAnywhereIsToldAndLeavesNoStoreOrAWholeOne) {
  for_some_hits([&](const std::string& point, int hit) {
    {
      fault::Armed armed(point, {.fail_with = EIO, .skip = hit - 1});
      const auto error = test::error_of([&] { build(copy_, directory(), options_); });
      const bool may_pass = point.starts_with("builder.");  // where one can only be killed
      ASSERT_TRUE(error.has_value() || may_pass);
      if (error) {
        ASSERT_EQ(error->code(), ErrorCode::Io) << error->what();
      }
    }
    expect_nothing_or_all();
  });
}

TEST_F(StoreBuilderCrashTest, AFullDiskIsNoSpaceAndLeavesNoStore) {
  for_some_hits([&](const std::string& point, int hit) {
    if (point != "lmdb.reserve" && point != "file.write" && point != "file.allocate" && point != "file.create") return;
    {
      fault::Armed armed(point, {.fail_with = ENOSPC, .skip = hit - 1});
      ASSERT_EQ(test::code_of([&] { build(copy_, directory(), options_); }), ErrorCode::NoSpace);
    }
    ASSERT_FALSE(Store::exists(directory()));
    expect_nothing_or_all();
  });
}

TEST_F(StoreBuilderCrashTest, AFullMapIsNoSpaceAndLeavesNoStore) {
  Options small = options_;
  small.map_bytes = std::size_t{1} << 20;
  CopiedContent large = copy_;
  for (auto& [key, value] : large.state) value = std::string(100'000, 'v');
  EXPECT_EQ(test::code_of([&] { build(large, directory(), small); }), ErrorCode::NoSpace);
  EXPECT_FALSE(Store::exists(directory()));
  expect_nothing_or_all();
}

// Strings of tags go to files, which whoever is killed cannot remove.
TEST_F(StoreBuilderCrashTest, AKillWhileTagsAreInFilesIsNoTroubleForTheNextOne) {
  std::vector<std::string> tags;
  for (int i = 0; i < 64; ++i) tags.push_back(std::string(250, 'a') + std::to_string(i));
  std::string body;
  event_codec::append(body, {.type = "t", .tags = {tags.begin(), tags.end()}, .payload = ""});
  const auto feed = [&](StoreBuilder& builder) {
    for (EventId id = 1; id <= 1200; ++id) builder.append(EventView(id, id, Timestamp{}, body));
  };
  test::ChildProcess child([&] {
    StoreBuilder builder(directory(), copy_.facts, options_);
    feed(builder);
    raise(SIGKILL);
  });
  child.wait();
  ASSERT_TRUE(child.was_killed());
  ASSERT_TRUE(std::filesystem::exists(directory() / "tags.0.tmp"));
  StoreBuilder builder(directory(), copy_.facts, options_);
  EXPECT_FALSE(std::filesystem::exists(directory() / "tags.0.tmp")) << "what was left is cleared";
  feed(builder);
  builder.end_content(1200, Timestamp{});
  builder.finish(Uuid::random());
  EXPECT_TRUE(Store::open(directory(), options_)->verify().ok());
}

}  // namespace
}  // namespace azoth
