// verify, its walk over LMDB's pages included, while a writer commits, flushes, frees pages and uses them again: in the
// writer's process and in another one. Nothing is damaged, so nothing may be found.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kept_journal.h"
#include "support/child_process.h"
#include "support/patience.h"
#include "support/seed.h"
#include "write_path_support.h"

namespace azoth::test {
namespace {

constexpr std::uint64_t kKeys = 1500;

// Values from a few bytes to several pages, and deletions: pages of all kinds come, go and come again.
WriteSet random_change(std::mt19937_64& random) {
  WriteSet set;
  for (int i = 0; i < 4; ++i) {
    const std::string key = "key/" + std::to_string(kKeys * static_cast<std::uint64_t>(i) + random() % kKeys);
    if (random() % 3 == 0) {
      set.del(key);
    } else {
      set.put(key, std::string(random() % 100 == 0 ? 9000 : random() % 300, 'v'));
    }
  }
  const std::string tag = "group:" + std::to_string(random() % 50);
  set.append({.type = "changed", .tags = {tag, "all:1"}, .payload = std::string(random() % 200, 'p')});
  return set;
}

#ifdef __SANITIZE_THREAD__
constexpr std::chrono::microseconds kPause{5000};
#else
constexpr std::chrono::microseconds kPause{100};
#endif

// Without pauses it may be too fast for whoever verifies, on few processors.
void write_until(Store& store, std::uint64_t seed, const std::atomic<bool>& stop,
                 std::chrono::microseconds pause = kPause) {
  std::mt19937_64 random(seed);
  while (!stop.load()) {
    submit(store, random_change(random), random() % 8 == 0 ? Durability::Durable : Durability::Applied);
    std::this_thread::sleep_for(pause);
  }
}

class VerifyBesideAWriter : public WritePath {
 protected:
  VerifyBesideAWriter()
      : stop_(*new (mmap(nullptr, sizeof(std::atomic<bool>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
                  std::atomic<bool>(false)) {
    options_.map_bytes = std::size_t{2} << 30;  // no page is used again while somebody verifies, who may be slow
    Store::create(directory(), options_);
  }
  ~VerifyBesideAWriter() override { munmap(&stop_, sizeof stop_); }

  std::filesystem::path directory() const { return parent_.path() / "store"; }

  // So often, and until LMDB has moved on so often meanwhile.
  void verify(Store& store, int times) {
    CommitSeq seen = 0;
    for (int done = 0, moved = 0; (done < times || moved < times) && !HasFailure(); ++done) {
      const VerifyReport report = patiently([&] { return store.verify(); });
      EXPECT_TRUE(report.ok()) << report.problems[0];
      moved += report.commits > seen ? 1 : 0;
      seen = report.commits;
    }
  }

  TempDir parent_;
  Options options_ = tiny_options();
  std::atomic<bool>& stop_;  // shared with the other process
  const std::uint64_t seed_ = test_seed();
};

TEST_F(VerifyBesideAWriter, InAnotherProcessFindsNothing) {
  ChildProcess writer([&] { write_until(*Store::open(directory(), options_), seed_, stop_); });
  {
    auto reader = patiently([&] { return Store::open_read_only(directory(), options_); });
    verify(*reader, rounds(25, 1000));
  }
  for (int i = rounds(10, 200); i > 0; --i) {  // opening looks at pages, too
    auto reader = patiently([&] { return Store::open_read_only(directory(), options_); });
    verify(*reader, 1);
  }
  stop_.store(true);
  writer.wait();
  EXPECT_TRUE(writer.succeeded());
}

TEST_F(VerifyBesideAWriter, FindsNothingInWhatIsKeptForASetThatMovesOn) {
  constexpr std::chrono::milliseconds kLongPause{5};  // the journal does not get away from a reader: it is kept
  ChildProcess writer([&] { write_until(*Store::open(directory(), options_), seed_, stop_, kLongPause); });
  {
    auto reader = patiently([&] { return Store::open_read_only(directory(), options_); });
    const auto source = reader->backup_source();
    const Uuid timeline = source->lineage().front().id;
    for (int i = rounds(15, 500); i > 0 && !HasFailure(); --i) {
      patiently([&] { source->retention().set(retained_set(timeline, source->flushed_commit())); });
      verify(*reader, 2);
    }
  }
  stop_.store(true);
  writer.wait();
  EXPECT_TRUE(writer.succeeded());
}

TEST_F(VerifyBesideAWriter, InItsOwnProcessFindsNothing) {
  auto store = Store::open(directory(), options_);
  std::vector<std::thread> writers;
  for (std::uint64_t i = 0; i < 2; ++i) writers.emplace_back([&, i] { write_until(*store, seed_ + i, stop_); });
  verify(*store, rounds(25, 1000));
  stop_.store(true);
  for (std::thread& one : writers) one.join();
}

}  // namespace
}  // namespace azoth::test
