// Reading beside a writer in another process: consistent, durable, in order, whatever the writer does and however it
// ends; and without a writer, changing nothing.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <new>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "write_path_support.h"

namespace azoth {
namespace {

using std::chrono::milliseconds;
using test::code_of;
using test::in_background;
using test::set_of;

// What the two processes share.
struct Shared {
  std::atomic<CommitSeq> acknowledged{0};  // as Durable
  std::atomic<int> step{0};
  std::atomic<bool> stop{false};
};

class SharedMemory {
 public:
  SharedMemory() : at_(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    new (at_) Shared;
  }
  ~SharedMemory() { munmap(at_, 4096); }
  Shared* operator->() const { return static_cast<Shared*>(at_); }

 private:
  void* at_;
};

// A process of its own, which ends with this one. To be made before this one has a store or threads, as it inherits
// both.
class Process {
 public:
  explicit Process(const std::function<void()>& run) : pid_(fork()) {
    if (pid_ < 0) throw std::runtime_error("no process could be made");
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int code = 0;
    try {
      run();
    } catch (const std::exception& error) {
      std::cerr << "the writer: " << error.what() << std::endl;
      code = 1;
    }
    _exit(testing::Test::HasFailure() ? 1 : code);
  }
  ~Process() {
    if (pid_ > 0) kill_it();
  }
  void kill_it() {
    ::kill(pid_, SIGKILL);
    wait();
  }
  int wait() {
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }

 private:
  pid_t pid_;
};

using State = std::map<std::string, std::string>;

State fold(const ReadTxn& txn) {
  State state;
  EventId expected = 1;
  for (const EventView& event : txn.events()) {
    EXPECT_EQ(event.id(), expected++);
    state[std::string(event.type())] = std::string(event.payload());
  }
  EXPECT_EQ(expected - 1, txn.last_event());
  return state;
}
State state_of(const ReadTxn& txn) {
  State state;
  for (const auto& [key, value] : txn.scan()) state.emplace(key, value);
  return state;
}

// One key and the event that says so.
WriteSet change(std::uint64_t number, std::size_t padding = 0) {
  std::string key = "key" + std::to_string(number % 13);
  std::string value = std::to_string(number) + std::string(padding, '.');
  WriteSet set;
  set.put(key, value).append({.type = key, .tags = {"all:1"}, .payload = value});
  return set;
}

class ReadingStoreTest : public test::WritePath {
 protected:
  ReadingStoreTest() { Store::create(directory(), options_); }

  std::filesystem::path directory() const { return parent_.path() / "store"; }
  std::unique_ptr<Store> reader() const { return Store::open_read_only(directory(), options_); }
  std::unique_ptr<Store> writer() const { return Store::open(directory(), options_); }

  // One byte of the first batch in each segment that has any.
  void damage_the_first_batches() const {
    for (const auto& entry : std::filesystem::directory_iterator(directory() / "journal")) {
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      std::string batch(128, '\0');
      file.seekg(4096);
      file.read(batch.data(), static_cast<std::streamsize>(batch.size()));
      if (!file || batch == std::string(batch.size(), '\0')) continue;  // a spare
      file.seekp(4096 + 100);
      file.put(static_cast<char>(batch[100] ^ 1));
    }
  }

  std::map<std::string, std::string> bytes_on_disk() const {
    std::map<std::string, std::string> files;
    auto add = [&](const std::filesystem::path& path) {
      std::ostringstream text;
      text << std::ifstream(path, std::ios::binary).rdbuf();
      files[path.string()] = text.str();
    };
    for (const auto& entry : std::filesystem::directory_iterator(directory() / "journal")) add(entry.path());
    for (const char* name : {"canonical/data.mdb", "identity", "lock"}) add(directory() / name);
    return files;
  }

  test::TempDir parent_;
  Options options_ = test::tiny_options();
  SharedMemory shared_;
};

TEST_F(ReadingStoreTest, NeverCreates) {
  std::filesystem::path missing = parent_.path() / "missing";
  EXPECT_EQ(code_of([&] { return Store::open_read_only(missing, options_); }), ErrorCode::NotFound);
  EXPECT_FALSE(std::filesystem::exists(missing));
  std::filesystem::create_directory(missing);
  EXPECT_EQ(code_of([&] { return Store::open_read_only(missing, options_); }), ErrorCode::NotFound);
  EXPECT_TRUE(std::filesystem::is_empty(missing));
}

TEST_F(ReadingStoreTest, WhateverWritesIsReadOnly) {
  auto store = reader();
  EXPECT_EQ(code_of([&] { return store->submit(set_of("key")); }), ErrorCode::ReadOnly);
  EXPECT_EQ(code_of([&] { return store->begin(); }), ErrorCode::ReadOnly);
  EXPECT_EQ(code_of([&] { return store->flush(), 0; }), ErrorCode::ReadOnly);
  EXPECT_EQ(code_of([&] { return store->checkpoint(), 0; }), ErrorCode::ReadOnly);
  EXPECT_EQ(code_of([&] { return store->seal(); }), ErrorCode::ReadOnly);
  EXPECT_EQ(code_of([&] { return store->unseal(), 0; }), ErrorCode::ReadOnly);
  EXPECT_EQ(code_of([&] { return store->pause("reader"); }), ErrorCode::ReadOnly);
  EXPECT_TRUE(store->status().read_only);
}

TEST_F(ReadingStoreTest, OneStoreObjectInAProcess) {
  {
    auto store = reader();
    EXPECT_EQ(code_of([&] { return reader(); }), ErrorCode::AlreadyOpen);
    EXPECT_EQ(code_of([&] { return writer(); }), ErrorCode::AlreadyOpen);
  }
  auto store = writer();
  EXPECT_EQ(code_of([&] { return reader(); }), ErrorCode::AlreadyOpen);
}

TEST_F(ReadingStoreTest, ShowsWhatAClosedStoreHolds) {
  auto store = writer();
  for (std::uint64_t number = 1; number <= 50; ++number) test::commit(*store, change(number));
  store->seal();
  std::string digest = store->digest();
  Meta meta = store->meta();
  store.reset();
  auto own = reader();
  EXPECT_EQ(own->digest(), digest);
  EXPECT_EQ(own->meta().store_id, meta.store_id);
  EXPECT_EQ(own->meta().last_commit, meta.last_commit);
  EXPECT_EQ(own->meta().sealed_event, std::optional<EventId>(50));
  EXPECT_TRUE(own->verify().ok());
  for (Durability level : {Durability::Applied, Durability::Written, Durability::Durable}) {
    EXPECT_EQ(own->read(level).commit_seq(), meta.last_commit);
  }
  EXPECT_EQ(own->status().state_keys, 13u);
}

TEST_F(ReadingStoreTest, AfterCloseEverythingSaysClosedAndSnapshotsStay) {
  test::commit(*writer(), change(1));
  auto store = reader();
  Subscription subscription = store->subscribe();
  EXPECT_EQ(subscription.next()->commit_seq(), 1u);
  auto snapshot = std::make_unique<ReadTxn>(store->read());
  store->close();
  store->close();
  EXPECT_EQ(code_of([&] { return store->read(); }), ErrorCode::Closed);
  EXPECT_EQ(code_of([&] { return store->meta(); }), ErrorCode::Closed);
  EXPECT_EQ(code_of([&] { return store->status(); }), ErrorCode::Closed);
  EXPECT_EQ(code_of([&] { return store->verify(); }), ErrorCode::Closed);
  EXPECT_EQ(code_of([&] { return store->digest(); }), ErrorCode::Closed);
  EXPECT_EQ(code_of([&] { return store->subscribe(); }), ErrorCode::Closed);
  EXPECT_EQ(code_of([&] { return subscription.next(); }), ErrorCode::Closed);
  EXPECT_EQ(snapshot->get("key1"), "1");
  EXPECT_EQ(code_of([&] { return reader(); }), ErrorCode::StillRead);
  snapshot.reset();
  EXPECT_EQ(reader()->read().get("key1"), "1");
}

TEST_F(ReadingStoreTest, CloseEndsAWaitingSubscriber) {
  auto store = reader();
  Subscription subscription = store->subscribe();
  auto waiting = in_background([&] { return code_of([&] { return subscription.next(); }); });
  store.reset();
  EXPECT_EQ(waiting.get(), ErrorCode::Closed);
}

// Who came at the wrong moment began to follow the journal again, on a thread that nobody ended.
TEST_F(ReadingStoreTest, CloseMayComeWhileOthersSubscribe) {
  for (int round = 0; round < 300; ++round) {
    auto store = reader();
    (void)store->subscribe();
    std::vector<std::future<ErrorCode>> others;
    for (int i = 0; i < 2; ++i) {
      others.push_back(in_background([&] {
        return code_of([&] {
          while (true) (void)store->subscribe();
        });
      }));
    }
    store->close();
    for (auto& other : others) EXPECT_EQ(other.get(), ErrorCode::Closed);
  }
}

TEST_F(ReadingStoreTest, CloseDeliversWhatWasDurableToThoseWhoHaveSubscribed) {
  options_.delta_age = std::chrono::hours(1);
  auto writing = std::make_unique<Process>([&] {
    auto store = writer();
    for (std::uint64_t number = 1; number <= 100; ++number) {
      test::commit(*store, change(number), Durability::Durable);
      if (number == 50) store->checkpoint();
    }
    ::kill(getpid(), SIGKILL);
  });
  ASSERT_TRUE(WIFSIGNALED(writing->wait()));
  auto store = reader();
  Subscription subscription = store->subscribe();
  store->close();  // before it has read anything
  for (CommitSeq commit = 1; commit <= 100; ++commit) ASSERT_EQ(subscription.next()->commit_seq(), commit);
  EXPECT_EQ(code_of([&] { return reader(); }), ErrorCode::StillRead);
  EXPECT_EQ(code_of([&] { return subscription.next(); }), ErrorCode::Closed);
  EXPECT_EQ(reader()->read().last_event(), 100u);
}

TEST_F(ReadingStoreTest, AnUncleanStoreIsShownWholeAndNotChanged) {
  Process process([&] {
    auto store = writer();
    for (std::uint64_t number = 1; number <= 300; ++number) {
      test::commit(*store, change(number, 1000), number <= 200 ? Durability::Durable : Durability::Written);
      if (number == 100) store->checkpoint();
    }
    ::kill(getpid(), SIGKILL);
  });
  ASSERT_TRUE(WIFSIGNALED(process.wait()));
  auto before = bytes_on_disk();
  std::string digest;
  {
    auto store = reader();
    ReadTxn snapshot = store->read();
    EXPECT_EQ(snapshot.commit_seq(), 300u);
    EXPECT_EQ(fold(snapshot), state_of(snapshot));
    EXPECT_TRUE(store->verify().ok());
    digest = store->digest();
    Subscription subscription = store->subscribe();
    for (CommitSeq commit = 1; commit <= 300; ++commit) ASSERT_EQ(subscription.next()->commit_seq(), commit);
    EXPECT_FALSE(subscription.next(milliseconds{1}));
  }
  EXPECT_EQ(bytes_on_disk() == before, true);
  EXPECT_EQ(writer()->digest(), digest);
}

// Its operations and events are in LMDB only; the journal has a batch without records in its place.
TEST_F(ReadingStoreTest, ShowsABulkTransactionAndWhatCameRightBehindIt) {
  Process process([&] {
    auto store = writer();
    for (std::uint64_t number = 1; number <= 5; ++number) test::commit(*store, change(number), Durability::Durable);
    shared_->step = 1;
    test::await([&] { return shared_->step == 2; });
    test::commit(*store, change(6, options_.segment_bytes), Durability::Durable);
    for (std::uint64_t number = 7; number <= 9; ++number) test::commit(*store, change(number), Durability::Durable);
    shared_->step = 3;
    test::await([&] { return shared_->stop.load(); });
  });
  test::await([&] { return shared_->step == 1; });
  auto store = reader();
  ASSERT_EQ(store->read().commit_seq(), 5u);
  shared_->step = 2;
  test::await([&] { return shared_->step == 3; });
  const ReadTxn snapshot = store->read();
  EXPECT_EQ(snapshot.commit_seq(), 9u);
  EXPECT_EQ(state_of(snapshot).size(), 9u);
  EXPECT_TRUE(fold(snapshot) == state_of(snapshot));
  EXPECT_EQ(test::ids_of(snapshot.events({.tags = {"all:1"}})).size(), 9u);
  shared_->stop = true;
  EXPECT_EQ(process.wait(), 0);
}

TEST_F(ReadingStoreTest, DamageWithoutAWriterIsCorruption) {
  Process process([&] {
    auto store = writer();
    for (std::uint64_t number = 1; number <= 20; ++number) test::commit(*store, change(number), Durability::Durable);
    ::kill(getpid(), SIGKILL);
  });
  process.wait();
  damage_the_first_batches();
  EXPECT_EQ(code_of([&] { return reader(); }), ErrorCode::Corruption);
  EXPECT_EQ(code_of([&] { return writer(); }), ErrorCode::Corruption);
}

// The writer has in memory what cannot be read, and may be changing it: what the reader needs gets into LMDB.
TEST_F(ReadingStoreTest, BesideAWriterWhatCannotBeReadIsToBeTriedAgain) {
  Process process([&] {
    auto store = writer();
    for (std::uint64_t number = 1; number <= 20; ++number) test::commit(*store, change(number), Durability::Durable);
    shared_->step.store(1);
    test::await([&] { return shared_->step.load() == 2; });
    store->checkpoint();
    shared_->step.store(3);
    test::await([&] { return shared_->stop.load(); });
  });
  test::await([&] { return shared_->step.load() == 1; });
  damage_the_first_batches();
  const auto error = test::error_of([&] { return reader(); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::Backpressure) << error->what();
  EXPECT_NE(std::string(error->what()).find("the journal is damaged"), std::string::npos) << error->what();
  shared_->step.store(2);
  test::await([&] { return shared_->step.load() == 3; });
  EXPECT_EQ(reader()->read().commit_seq(), 20u);
  shared_->stop.store(true);
  EXPECT_EQ(process.wait(), 0);
}

// Its writer looks there for those who read, before it uses pages again.
TEST_F(ReadingStoreTest, WithoutTheListOfReadersOfALivingWriterNothingIsRead) {
  Process process([&] {
    auto store = writer();
    test::commit(*store, change(1), Durability::Durable);
    shared_->step.store(1);
    test::await([&] { return shared_->stop.load(); });
  });
  test::await([&] { return shared_->step.load() == 1; });
  const auto list = directory() / "canonical" / "lock.mdb";
  std::filesystem::remove(list);
  const auto error = test::error_of([&] { return reader(); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::Locked) << error->what();
  EXPECT_FALSE(std::filesystem::exists(list));
  shared_->stop.store(true);
  EXPECT_EQ(process.wait(), 0);
  EXPECT_EQ(reader()->read().commit_seq(), 1u);
}

TEST_F(ReadingStoreTest, ShowsEachCommitThatWasAcknowledgedBeforeTheRead) {
  Process process([&] {
    auto store = writer();
    for (std::uint64_t number = 1; number <= 100; ++number) {
      test::commit(*store, change(number), Durability::Durable);
      shared_->step.store(static_cast<int>(number));
      test::await([&] { return shared_->acknowledged.load() == number; });
    }
  });
  auto store = reader();
  for (int number = 1; number <= 100; ++number) {
    test::await([&] { return shared_->step.load() == number; });
    EXPECT_EQ(store->read().last_event(), static_cast<EventId>(number));
    EXPECT_EQ(store->status().readers, 0u);  // no LMDB transaction stays
    shared_->acknowledged.store(static_cast<CommitSeq>(number));
  }
  EXPECT_EQ(process.wait(), 0);
}

TEST_F(ReadingStoreTest, WhatAFailedWriterCouldNotSyncIsNotShownUntilItIsRecovered) {
  Process process([&] {
    auto store = writer();
    test::commit(*store, change(1), Durability::Durable);
    {
      fault::Armed fault("journal.sync", {.fail_with = EIO});
      EXPECT_TRUE(
          test::fails_with_unknown_outcome([&] { return test::commit(*store, change(2), Durability::Durable); }));
    }
    shared_->step.store(1);
    test::await([&] { return shared_->step.load() == 2; });
    store.reset();
    store = writer();
    test::commit(*store, change(3), Durability::Durable);
    test::commit(*store, change(4), Durability::Durable);
    shared_->step.store(3);
    test::await([&] { return shared_->step.load() == 4; });
  });
  test::await([&] { return shared_->step.load() == 1; });
  auto store = reader();
  Subscription subscription = store->subscribe();
  EXPECT_EQ(subscription.next()->commit_seq(), 1u);
  EXPECT_EQ(store->read().commit_seq(), 1u);
  EXPECT_FALSE(subscription.next(milliseconds{1}));
  shared_->step.store(2);
  test::await([&] { return shared_->step.load() == 3; });
  ReadTxn snapshot = store->read();
  EXPECT_EQ(snapshot.commit_seq(), 4u);  // the second was in the journal after all
  EXPECT_EQ(fold(snapshot), state_of(snapshot));
  for (CommitSeq commit = 2; commit <= 4; ++commit) {
    auto next = subscription.next();
    ASSERT_EQ(next->commit_seq(), commit);
    EXPECT_EQ(next->events()[0].payload(), std::to_string(commit));
  }
  shared_->step.store(4);
  EXPECT_EQ(process.wait(), 0);
}

TEST_F(ReadingStoreTest, WhatWasPassedOverIsDeliveredWhenItIsRecoveredAndNothingElseHappens) {
  Process process([&] {
    auto store = writer();
    test::commit(*store, change(1), Durability::Durable);
    {
      fault::Armed fault("journal.sync", {.fail_with = EIO});
      EXPECT_TRUE(
          test::fails_with_unknown_outcome([&] { return test::commit(*store, change(2), Durability::Durable); }));
    }
    shared_->step.store(1);
    test::await([&] { return shared_->step.load() == 2; });
    store.reset();
    store = writer();
    test::await([&] { return shared_->step.load() == 3; });
  });
  test::await([&] { return shared_->step.load() == 1; });
  auto store = reader();
  Subscription subscription = store->subscribe();
  EXPECT_EQ(subscription.next()->commit_seq(), 1u);
  EXPECT_FALSE(subscription.next(milliseconds{1}));
  shared_->step.store(2);
  EXPECT_EQ(subscription.next()->commit_seq(), 2u);
  shared_->step.store(3);
  EXPECT_EQ(process.wait(), 0);
}

}  // namespace
}  // namespace azoth
