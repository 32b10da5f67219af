#include "azoth/canonical/store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "store_support.h"
#include "support/child_process.h"
#include "support/manual_clock.h"
#include "support/memory_dir.h"
#include "write_path_support.h"

namespace azoth {
namespace {

using namespace test;  // NOLINT: the tests' own helpers
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
namespace stdfs = std::filesystem;

class StoreTest : public WritePath {
 protected:
  stdfs::path directory() const { return store_.directory(); }
  ErrorCode open_code() {
    return code_of([&] { Store::open(directory(), store_.options()); });
  }
  std::string open_message() {
    return message_of([&] { Store::open(directory(), store_.options()); });
  }
  // Everything under the directory, with its bytes.
  std::map<std::string, std::string> content() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : stdfs::recursive_directory_iterator(directory())) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      files[entry.path().string()] = {std::istreambuf_iterator<char>(file), {}};
    }
    return files;
  }

  TestStore store_;
};

// --- Opening what is no store

TEST_F(StoreTest, OpeningNeverCreates) {
  MemoryDir parent;
  auto not_found = [&](const stdfs::path& path) {
    EXPECT_EQ(code_of([&] { Store::open(path); }), ErrorCode::NotFound);
    EXPECT_FALSE(Store::exists(path));
  };
  not_found(parent.path() / "missing");
  EXPECT_FALSE(stdfs::exists(parent.path() / "missing"));
  not_found(parent.path());
  EXPECT_TRUE(stdfs::is_empty(parent.path()));
  std::ofstream(parent.path() / "file") << "x";
  not_found(parent.path() / "file");
}

// A writer that was killed may have left pages of LMDB that are seen and are not durable.
TEST_F(StoreTest, OpeningMakesDurableWhatLmdbShows) {
  TestStore store;
  put(*store, "k", "v");
  store->close();
  {
    fault::Armed sync("lmdb.sync", {.fail_with = EIO});
    EXPECT_EQ(code_of([&] { Store::open(store.directory(), store.options()); }), ErrorCode::Io);
  }
  EXPECT_EQ(Store::open(store.directory(), store.options())->read().get("k"), "v");
}

TEST_F(StoreTest, ADamagedIdentityIsFound) {
  store_.close();
  stdfs::path path = directory() / "identity";
  std::string good = read_file(FileSystem::posix(), path, 4096);
  auto write = [&](const std::string& bytes) { std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes; };
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    write(bad);
    bool version = at >= 8 && at < 12;
    EXPECT_EQ(open_code(), version ? ErrorCode::UnsupportedFormat : ErrorCode::Corruption) << at;
  }
  for (const std::string& bad : {std::string(), good.substr(0, 10), good.substr(0, good.size() - 1), good + "x"}) {
    write(bad);
    EXPECT_EQ(open_code(), ErrorCode::Corruption) << bad.size();
  }
  write(good);
  EXPECT_EQ(open_code(), ErrorCode{});
}

TEST_F(StoreTest, AnotherFormatIsNamed) {
  store_.close();
  std::fstream file(directory() / "identity", std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(8).put(9);
  file.close();
  EXPECT_THAT(open_message(), HasSubstr("format 9"));
  EXPECT_THAT(open_message(), HasSubstr("format 3"));
}

TEST_F(StoreTest, TheIdentityOfAnotherStoreIsRefused) {
  TestStore other;
  store_.close();
  other.close();
  stdfs::copy_file(other.directory() / "identity", directory() / "identity", stdfs::copy_options::overwrite_existing);
  EXPECT_EQ(open_code(), ErrorCode::Corruption);  // its rows are bound to the store's id
}

TEST_F(StoreTest, AMissingOrEmptyDataFileIsAnErrorAndNeverMadeAnew) {
  put(*store_, "a", "1");
  store_.close();
  stdfs::path data = directory() / "canonical" / "data.mdb";
  stdfs::path kept = directory().parent_path() / "kept";
  stdfs::rename(data, kept);
  EXPECT_EQ(open_code(), ErrorCode::Corruption);
  EXPECT_THAT(open_message(), HasSubstr("data.mdb"));
  EXPECT_FALSE(stdfs::exists(data));
  std::ofstream(data).close();
  EXPECT_EQ(open_code(), ErrorCode::Corruption);
  EXPECT_EQ(stdfs::file_size(data), 0u);
  stdfs::rename(kept, data);
  store_.open();
  EXPECT_EQ(store_->read().get("a"), "1");
}

TEST_F(StoreTest, ADataFileThatIsOlderThanTheJournalKnowsIsRefused) {
  TempDir parent;
  const stdfs::path older = parent.path() / "older";
  const stdfs::path newer = parent.path() / "newer";
  put(*store_, "a", "1");
  store_->checkpoint();
  copy_store(directory(), older);
  put(*store_, "b", "2");
  store_->checkpoint();
  put(*store_, "c", "3");  // its batch says that LMDB holds b
  copy_store(directory(), newer);
  const char* name = "canonical/data.mdb";
  stdfs::copy_file(older / name, newer / name, stdfs::copy_options::overwrite_existing);
  EXPECT_THAT(message_of([&] { Store::open(newer, store_.options()); }), HasSubstr("lost commits or is an older copy"));
}

TEST_F(StoreTest, ADataFileThatWasCutIsAnErrorAndNotTheEndOfTheProcess) {
  for (int i = 0; i < 50; ++i) put(*store_, "key" + std::to_string(i), std::string(3000, 'x'));
  store_.close();
  stdfs::resize_file(directory() / "canonical" / "data.mdb", 16384);
  EXPECT_EQ(open_code(), ErrorCode::Corruption);
  EXPECT_THAT(open_message(), HasSubstr("data.mdb"));
}

TEST_F(StoreTest, SymbolicLinksInsideAreRefused) {
  put(*store_, "a", "1");
  store_.close();
  for (const char* name : {"canonical/data.mdb", "canonical/lock.mdb", "identity", "lock", "journal"}) {
    stdfs::path elsewhere = directory().parent_path() / "elsewhere";
    stdfs::rename(directory() / name, elsewhere);
    stdfs::create_symlink(elsewhere, directory() / name);
    EXPECT_NE(open_code(), ErrorCode{}) << name;
    stdfs::remove(directory() / name);
    stdfs::rename(elsewhere, directory() / name);
  }
  store_.open();
  EXPECT_EQ(store_->read().get("a"), "1");
}

// --- One writer

TEST_F(StoreTest, ASecondOpenInTheProcessIsRefusedByWhateverName) {
  EXPECT_EQ(open_code(), ErrorCode::AlreadyOpen);
  stdfs::path link = directory().parent_path() / "link";
  stdfs::create_directory_symlink(directory(), link);
  EXPECT_EQ(code_of([&] { Store::open(link, store_.options()); }), ErrorCode::AlreadyOpen);
  EXPECT_EQ(code_of([&] { Store::open(directory() / ".." / "store", store_.options()); }), ErrorCode::AlreadyOpen);
  put(*store_, "a", "1");  // and did no harm
  store_.reopen();
  EXPECT_EQ(store_->read().get("a"), "1");
}

TEST_F(StoreTest, AnotherProcessIsRefusedAndToldWhoHasIt) {
  store_.close();
  Pipe opened;
  ChildProcess child([&] {
    opened.close_reading();
    store_.open();
    put(*store_, "a", "1");
    opened.send('o');
    pause();
  });
  opened.close_writing();
  char answer = 0;
  ASSERT_TRUE(opened.receive(answer));
  EXPECT_EQ(open_code(), ErrorCode::Locked);
  EXPECT_THAT(open_message(), HasSubstr(std::to_string(child.pid())));
  EXPECT_EQ(code_of([&] { Store::create(directory(), store_.options()); }), ErrorCode::AlreadyExists);
  stdfs::remove(directory() / "lock");  // by mistake
  EXPECT_EQ(open_code(), ErrorCode::Locked);
  EXPECT_THAT(open_message(), HasSubstr("its lock file was removed"));
  child.kill();
  store_.open();  // the lock died with it
  EXPECT_EQ(store_->read().get("a"), "1");
  EXPECT_FALSE(store_->status().recovery.clean);
}

TEST_F(StoreTest, WhileASnapshotLivesItCannotBeReopened) {
  put(*store_, "a", "1");
  auto read = std::make_unique<ReadTxn>(store_->read());
  store_.close();
  EXPECT_EQ(open_code(), ErrorCode::StillRead);
  EXPECT_EQ(open_code(), ErrorCode::StillRead);
  EXPECT_EQ(read->get("a"), "1");
  read.reset();
  EXPECT_EQ(open_code(), ErrorCode{});
}

TEST_F(StoreTest, DescriptorsAreClosedOnExecAndWhenItEnds) {
  auto descriptors = [&] {
    std::map<std::string, int> open;  // and their flags
    for (const auto& entry : stdfs::directory_iterator("/proc/self/fd")) {
      std::error_code error;
      std::string target = stdfs::read_symlink(entry.path(), error).string();
      if (target.starts_with(directory().string())) open[target] = fcntl(std::stoi(entry.path().filename()), F_GETFD);
    }
    return open;
  };
  put(*store_, "a", "1");
  store_->checkpoint();
  auto open = descriptors();
  EXPECT_GE(open.size(), 4u);  // lock, data.mdb, lock.mdb, a segment
  for (const auto& [name, flags] : open) EXPECT_EQ(flags & FD_CLOEXEC, FD_CLOEXEC) << name;
  store_.close();
  EXPECT_THAT(descriptors(), IsEmpty());
}

// --- Closing

TEST_F(StoreTest, AfterCloseEverythingSaysSo) {
  put(*store_, "a", "1");
  store_->close();
  store_->close();  // does nothing
  auto is_closed = [&](const char* what, auto call) { EXPECT_EQ(code_of(call), ErrorCode::Closed) << what; };
  is_closed("submit", [&] { static_cast<void>(store_->submit(set_of("b"))); });
  is_closed("submit of nothing", [&] { static_cast<void>(store_->submit(WriteSet())); });
  is_closed("begin", [&] { static_cast<void>(store_->begin()); });
  for (Durability level : {Durability::Applied, Durability::Written, Durability::Durable}) {
    is_closed("read", [&] { store_->read(level); });
    is_closed("flush", [&] { store_->flush(level); });
  }
  is_closed("checkpoint", [&] { store_->checkpoint(); });
  is_closed("seal", [&] { store_->seal(); });
  is_closed("unseal", [&] { store_->unseal(); });
  is_closed("pause", [&] { static_cast<void>(store_->pause("test")); });
  is_closed("subscribe", [&] { static_cast<void>(store_->subscribe()); });
  is_closed("meta", [&] { store_->meta(); });
  is_closed("status", [&] { store_->status(); });
  is_closed("verify", [&] { store_->verify(); });
  is_closed("digest", [&] { store_->digest(); });
}

TEST_F(StoreTest, TicketsKeepTheirResults) {
  WriteSet set;
  set.put("a", "1").append({.type = "t", .tags = {}, .payload = ""});
  Ticket finished = store_->submit(std::move(set)).value();
  finished.wait();
  Ticket unfinished = store_->submit(set_of("b"), {}, {.level = Durability::Applied}).value();
  Ticket empty = store_->submit(WriteSet()).value();
  for (bool destroyed : {false, true}) {
    destroyed ? store_.close() : store_->close();
    EXPECT_EQ(finished.wait().last_event, 1u);
    EXPECT_EQ(unfinished.wait(Durability::Durable).commit_seq, 2u);
    EXPECT_TRUE(unfinished.reached(Durability::Durable));
    EXPECT_TRUE(unfinished.wait_for(Durability::Durable, std::chrono::nanoseconds(0)));
    EXPECT_EQ(empty.wait().commit_seq, 2u);
  }
}

TEST_F(StoreTest, ACleanCloseLeavesNothingToReplay) {
  static_cast<void>(store_->submit(set_of("a", "1"), {}, {.level = Durability::Applied}).value());  // nobody waits
  append(*store_, "t", {"x"}, "p");
  for (int round = 0; round < 3; ++round) {
    store_.reopen();
    Status status = store_->status();
    EXPECT_TRUE(status.recovery.clean);
    EXPECT_EQ(status.recovery.recovered_commits, 0u);
    EXPECT_EQ(status.recovery.last_commit, 2u);
    EXPECT_THAT(status.recovery.damage, IsEmpty());
    EXPECT_EQ(status.flushed_seq, 2u);
    EXPECT_EQ(store_->read().get("a"), "1");
    EXPECT_THAT(ids_of(store_->read().events({.tags = {"x"}})), ElementsAre(1));
  }
}

TEST_F(StoreTest, OpeningAndClosingWithoutWritesLeavesTheDataAsItWas) {
  put(*store_, "a", "1");
  std::string digest = store_->digest();
  store_.close();
  std::string data = (directory() / "canonical" / "data.mdb").string();
  std::string before = content().at(data);
  store_.open();
  EXPECT_EQ(store_->digest(), digest);
  store_.close();
  EXPECT_TRUE(content().at(data) == before);  // too large to print
}

TEST_F(StoreTest, ManyLivesNeitherLoseAnythingNorPileUpFiles) {
  store_.set_options(tiny_options());
  constexpr int kLives = 15;
  for (int life = 1; life <= kLives; ++life) {
    store_.reopen();
    for (int i = 0; i < 4; ++i) append(*store_, "t", {"life:" + std::to_string(life)}, std::string(30'000, 'x'));
    put(*store_, "life", std::to_string(life));
    EXPECT_LE(store_->status().journal_segments, 8u);
  }
  store_.reopen();
  EXPECT_EQ(store_->read().last_event(), 4u * kLives);
  EXPECT_EQ(store_->read().get("life"), std::to_string(kLives));
  EXPECT_EQ(store_->meta().last_commit, 5u * kLives);
  EXPECT_EQ(store_->verify().problems, std::vector<std::string>());
  EXPECT_LE(FileSystem::posix().list(directory() / "journal").size(), 8u);
}

TEST_F(StoreTest, OneOfTwoThatCloseAtOnceDoesIt) {
  put(*store_, "a", "1");
  auto other = in_background([&] { store_->close(); });
  store_->close();
  other.get();
  EXPECT_EQ(code_of([&] { store_->read(); }), ErrorCode::Closed);
  store_.reopen();
  EXPECT_EQ(store_->read().get("a"), "1");
}

// --- What it says of itself

TEST_F(StoreTest, MetaAndStatusSayWhereItStands) {
  ManualClock clock;
  Options options = quiet_options();
  options.clock = &clock;
  MemoryDir parent;
  Store::create(parent.path() / "store", options);
  clock.set(2000);
  auto store = Store::open(parent.path() / "store", options);
  Meta fresh = store->meta();
  EXPECT_EQ(fresh.created, Timestamp(std::chrono::seconds(1000)));
  EXPECT_EQ(fresh.format_version, 3u);
  EXPECT_EQ(fresh.last_commit, 0u);
  EXPECT_EQ(fresh.last_event, 0u);
  EXPECT_EQ(fresh.sealed_event, std::nullopt);

  EXPECT_EQ(put(*store, "a", "1").time, Timestamp(std::chrono::seconds(2000)));
  append(*store, "t", {}, "");
  Ticket applied = store->submit(set_of("b"), {}, {.level = Durability::Applied}).value();
  ReadTxn read = store->read();
  Status status = store->status();
  EXPECT_EQ(status.meta.store_id, fresh.store_id);
  EXPECT_EQ(status.meta.timeline, fresh.timeline);
  EXPECT_EQ(status.meta.last_commit, 2u);
  EXPECT_EQ(status.meta.last_event, 1u);
  EXPECT_EQ(status.flushed_seq, 0u);
  EXPECT_EQ(status.durable_seq, 0u);
  EXPECT_EQ(status.visible_seq, 2u);
  EXPECT_EQ(status.applied_seq, 3u);
  EXPECT_EQ(status.state_keys, 1u);
  EXPECT_GT(status.delta_bytes, 0u);
  EXPECT_EQ(status.live_deltas, 1u);
  EXPECT_GE(status.journal_segments, 2u);
  EXPECT_GE(status.journal_bytes, options.segment_bytes);
  EXPECT_EQ(status.map_bytes, options.map_bytes);
  EXPECT_GT(status.map_used_bytes, 0u);
  EXPECT_EQ(status.readers, 1u);
  EXPECT_EQ(status.commits, 3u);
  EXPECT_EQ(status.batches, 2u);
  EXPECT_EQ(status.flushes, 0u);
  EXPECT_EQ(status.failure, std::nullopt);
  EXPECT_EQ(status.recovery.recovered_commits, 0u);

  store->checkpoint();
  status = store->status();
  EXPECT_EQ(status.flushed_seq, 3u);
  EXPECT_EQ(status.durable_seq, 3u);
  EXPECT_EQ(status.visible_seq, 3u);
  EXPECT_EQ(status.state_keys, 2u);
  EXPECT_EQ(status.flushes, 1u);
  EXPECT_GE(status.syncs, 1u);
  EXPECT_EQ(applied.info().commit_seq, 3u);
}

TEST_F(StoreTest, TheNumberOfKeysIsCountedAcrossTheLayers) {
  put(*store_, "a", "1");
  put(*store_, "b", "1");
  store_->checkpoint();
  LmdbIsFull full;
  del(*store_, "a");       // 1
  put(*store_, "b", "2");  // no change
  put(*store_, "c", "1");  // 2
  del(*store_, "never");
  full.freeze(*store_);
  EXPECT_EQ(store_->status().state_keys, 2u);
  put(*store_, "a", "2");  // 3
  del(*store_, "c");       // 2
  put(*store_, "c", "2");  // 3
  full.freeze(*store_);
  del(*store_, "b");  // 2
  put(*store_, "d", "1");
  put(*store_, "d", "2");  // 3
  EXPECT_EQ(store_->status().state_keys, 3u);
}

// --- Empty transactions

TEST_F(StoreTest, AnEmptyTransactionCommitsNothingAndRestsOnWhatWasThere) {
  Ticket nothing = store_->submit(WriteSet()).value();
  EXPECT_EQ(nothing.wait().commit_seq, 0u);
  Ticket applied = store_->submit(set_of("a"), {}, {.level = Durability::Applied}).value();
  Ticket empty = store_->submit(WriteSet()).value();
  EXPECT_EQ(empty.info().commit_seq, 1u);
  EXPECT_EQ(empty.info().events, 0u);
  EXPECT_FALSE(empty.reached(Durability::Durable));
  empty.wait();
  EXPECT_TRUE(applied.reached(Durability::Durable));
  EXPECT_EQ(store_->status().applied_seq, 1u);
}

TEST_F(StoreTest, ASetThatWasMovedFromIsEmptyAndCanBeFilledAgain) {
  WriteSet set;
  set.put("a", "1");
  commit(*store_, std::move(set));
  EXPECT_TRUE(set.empty());  // NOLINT: that is the point
  EXPECT_EQ(commit(*store_, set).commit_seq, 1u);
  set.put("b", "2");
  EXPECT_EQ(commit(*store_, std::move(set)).commit_seq, 2u);
  EXPECT_EQ(store_->read().get("b"), "2");
}

}  // namespace
}  // namespace azoth
