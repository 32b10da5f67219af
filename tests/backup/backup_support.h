// Stores that are backed up and restored, beside a model of what each of their commits has left.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "azoth/backup/backup.h"
#include "azoth/backup/restore.h"
#include "azoth/canonical/content_digest.h"
#include "canonical/event_model.h"
#include "canonical/state_model.h"
#include "canonical/store_support.h"
#include "support.h"
#include "support/manual_clock.h"
#include "support/memory_dir.h"
#include "support/seed.h"

namespace azoth::backup::test {

using azoth::test::EventModel;
using azoth::test::LogModel;
using azoth::test::StateModel;
using Path = std::filesystem::path;

inline bool long_run() { return std::getenv("AZOTH_TEST_LONG") != nullptr; }
inline int rounds(int usual, int when_long) { return long_run() ? when_long : usual; }

// What a transaction does.
struct Change {
  std::vector<std::pair<std::string, std::optional<std::string>>> writes;  // nothing: a delete
  std::vector<EventModel> events;

  WriteSet set() const {
    WriteSet set;
    for (const auto& [key, value] : writes) value ? set.put(key, *value) : set.del(key);
    for (const EventModel& event : events) set.append(event.event());
    return set;
  }
};

inline Change random_change(std::mt19937_64& random, std::size_t keys = 20) {
  Change change;
  for (std::uint64_t i = random() % 4; i > 0; --i) {
    const std::string key = "key" + std::to_string(random() % keys);
    if (random() % 4 == 0) {
      change.writes.emplace_back(key, std::nullopt);
    } else {
      change.writes.emplace_back(key, std::string(random() % 300, static_cast<char>(random())));
    }
  }
  for (std::uint64_t i = random() % 4; i > 0; --i) change.events.push_back(azoth::test::random_event(random));
  if (change.writes.empty() && change.events.empty()) change.writes.emplace_back("key", "value");
  return change;
}

// Every commit with what it did, in whatever order they are told of. What the store commits for itself changes nothing
// and is not in here.
class Model {
 public:
  void add(const CommitInfo& info, Change change) {
    for (EventModel& event : change.events) {
      event.commit_seq = info.commit_seq;
      event.commit_time = info.time;
    }
    std::lock_guard lock(mutex_);
    commits_[info.commit_seq] = {info, std::move(change)};
  }

  StateModel state(CommitSeq through) const {
    StateModel state;
    for_each(through, [&](const CommitInfo&, const Change& change) {
      for (const auto& [key, value] : change.writes) {
        if (value) {
          state[key] = *value;
        } else {
          state.erase(key);
        }
      }
    });
    return state;
  }
  LogModel log(CommitSeq through) const {
    LogModel log;
    for_each(through, [&](const CommitInfo&, const Change& change) {
      log.insert(log.end(), change.events.begin(), change.events.end());
    });
    return log;
  }
  std::string digest(CommitSeq through) const {
    StateDigest state;
    for (const auto& [key, value] : this->state(through)) state.add(key, value);
    EventsDigest events;
    EventId id = 0;
    for (const EventModel& event : log(through)) {
      std::string body;
      event_codec::append(body, event.event());
      events.add({++id, event.commit_seq, event.commit_time, body});
    }
    return content_digest_of(state.finish_hex(), events.finish_hex());
  }
  std::vector<CommitInfo> infos() const {
    std::vector<CommitInfo> infos;
    for_each(~CommitSeq{0}, [&](const CommitInfo& info, const Change&) { infos.push_back(info); });
    return infos;
  }

 private:
  template <class Each>
  void for_each(CommitSeq through, Each each) const {
    std::lock_guard lock(mutex_);
    for (const auto& [commit, done] : commits_) {
      if (commit <= through) each(done.first, done.second);
    }
  }

  mutable std::mutex mutex_;
  std::map<CommitSeq, std::pair<CommitInfo, Change>> commits_;
};

inline CommitInfo commit(Store& store, Model& model, Change change, Durability level = Durability::Written) {
  const CommitInfo info = azoth::test::commit(store, change.set(), level);
  model.add(info, std::move(change));
  return info;
}

// A sealed snapshot refuses writes for a moment.
template <class Write>
void unless_paused(Write write) {
  const auto error = error_of(write);
  EXPECT_TRUE(!error || error->code() == ErrorCode::Paused) << error->what();
}

inline void expect_holds(const Store& store, const Model& model, CommitSeq commit) {
  const ReadTxn read = store.read();
  ASSERT_EQ(azoth::test::collect(read.scan()),
            [&] {
              const StateModel state = model.state(commit);
              return azoth::test::Entries(state.begin(), state.end());
            }())
      << "at commit " << commit;
  const LogModel log = model.log(commit);
  ASSERT_EQ(read.last_event(), log.size()) << "at commit " << commit;
  for (const EventView& event : read.events()) {
    ASSERT_NO_FATAL_FAILURE(azoth::test::expect_event(event, event.id(), log[event.id() - 1]));
  }
}

// A store in this directory that is the model's at this commit, and sound.
inline void expect_restored(const Path& directory, const Model& model, CommitSeq commit, const Options& options) {
  const std::unique_ptr<Store> store = Store::open_read_only(directory, options);
  ASSERT_NO_FATAL_FAILURE(expect_holds(*store, model, commit));
  const VerifyReport report = store->verify();
  ASSERT_TRUE(report.ok()) << report.problems.front();
  ASSERT_EQ(store->digest(), model.digest(commit));
}

inline std::set<std::string> names_in(const Path& directory) {
  std::set<std::string> names;
  if (!std::filesystem::exists(directory)) return names;
  for (const std::string& name : FileSystem::posix().list(directory)) names.insert(name);
  return names;
}

// A store, a set, and places for restored stores, each in a directory of this test.
class BackupTest : public testing::Test {
 protected:
  explicit BackupTest(const Options& options = azoth::test::tiny_options()) : options_(options) {
    Store::create(store_path(), options_);
    open();
  }
  ~BackupTest() override { fault::disarm_all(); }

  Path store_path() const { return dir_.path() / "store"; }
  Path set_path() const { return dir_.path() / "set"; }
  Path targets() const { return dir_.path() / "restored"; }
  Path target() const { return targets() / "store"; }

  void open() { store_ = Store::open(store_path(), options_); }
  void close() { store_.reset(); }
  CommitInfo commit(Change change) { return test::commit(*store_, model_, std::move(change)); }
  CommitInfo put(const std::string& key, const std::string& value) { return commit({{{key, value}}, {}}); }
  CommitInfo append(const std::string& payload, std::size_t events = 1) {
    return commit({{}, std::vector<EventModel>(events, {.type = "count", .payload = payload})});
  }

  BackupReport back_up(const BackupOptions& options = {}) {
    return backup::back_up(*store_, store_path(), nullptr, set_path(), options);
  }
  BackupReport incremental() { return back_up({.incremental = true}); }
  RestoreReport restore(RestoreOptions options = {}) {
    std::filesystem::remove_all(target());
    options.store = options_;
    return backup::restore(set_path(), target(), options);
  }
  RestoreReport restore_to(const RestoreTarget& wanted) { return restore({.target = wanted}); }
  SetReport verify(VerifyOptions options = {}) {
    options.store = options_;
    return verify_set(set_path(), options);
  }
  std::vector<SnapshotInfo> list(const Key* key = nullptr) const {
    return SnapshotSet::open(set_path(), {.key = key, .read_only = true}).list();
  }
  std::vector<RetainedSet> registrations() const { return Retention(store_path()).list(); }

  // Nothing but what was there: no target, no scratch directory.
  void expect_no_target(const std::string& trace = "") const {
    EXPECT_TRUE(!std::filesystem::exists(targets()) || names_in(targets()).empty()) << trace;
  }
  // The store takes writes, as one that was never backed up.
  void expect_usable(const std::string& trace = "") {
    EXPECT_THAT(store_->status().pauses, testing::IsEmpty()) << trace;
    EXPECT_EQ(store_->meta().sealed_event, std::nullopt) << trace;
    EXPECT_NO_THROW(put("usable", trace)) << trace;
  }

  azoth::test::MemoryDir dir_;
  Options options_;
  Model model_;
  std::unique_ptr<Store> store_;
};

}  // namespace azoth::backup::test
