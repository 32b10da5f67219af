// A workload that uses everything the write path does, and the check of what must be left of it, whatever failed on the
// way: nothing that was acknowledged is missing, nothing is torn, and what is there was submitted.
//
// Each transaction is a step, and all of it follows from the step's number, which its events carry. So the log of a
// recovered store tells which steps it has and in which order, and with that what its state and its digest must be.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "azoth/core/digest.h"
#include "write_path_support.h"

namespace azoth::test {

// --- Steps

inline constexpr int kLargeSteps = 1000;  // from here to twice this a step takes a quarter of the smallest segment
inline constexpr int kBulkSteps = 2000;   // from here to 3000 it takes more than half of one
inline bool is_bulk_step(int number) { return number >= kBulkSteps && number < 3000; }

struct Step {
  struct OneEvent {
    std::string type;
    std::vector<std::string> tags;
    std::string payload;
    std::string metadata;
    Timestamp time;
  };
  std::vector<std::pair<std::string, std::string>> puts;
  std::vector<std::string> deletes;
  std::vector<OneEvent> events;  // at least one

  explicit Step(int number) {
    std::string n = std::to_string(number);
    bool large = number >= kLargeSteps && number < 2 * kLargeSteps;
    std::size_t size = large ? 15'000 : static_cast<std::size_t>(number * 37 % 300);
    if (is_bulk_step(number)) size = 40'000;
    puts.emplace_back("shared/" + std::to_string(number % 7), n + std::string(size, 'v'));
    puts.emplace_back("own/" + n, n);
    deletes.push_back("own/" + std::to_string(number - 3));
    int count = 1 + number % 3;
    for (int i = 0; i < count; ++i) {
      events.push_back({.type = "type" + std::to_string(number % 4),
                        .tags = {"step:" + n, "group:" + std::to_string(number % 5)},
                        .payload = n + " " + std::to_string(i) + " " + std::to_string(count),
                        .metadata = number % 2 == 0 ? "" : "metadata of " + n,
                        .time = Timestamp(std::chrono::microseconds(number))});
    }
  }

  // Works for a WriteSet and for a WriteTxn.
  template <class Writer>
  void write_to(Writer& writer) const {
    for (const std::string& key : deletes) writer.del(key);
    for (const auto& [key, value] : puts) writer.put(key, value);
    for (const OneEvent& event : events) {
      Event view{.type = event.type, .tags = {}, .payload = event.payload, .metadata = event.metadata, .time = event.time};
      for (const std::string& tag : event.tags) view.tags.push_back(tag);
      writer.append(view);
    }
  }

  WriteSet set() const {
    WriteSet set;
    write_to(set);
    return set;
  }
};

// --- What the clients were told

struct Told {
  std::set<int> submitted;                // steps
  std::map<CommitSeq, int> acknowledged;  // at Written or Durable: the process dies, and the page cache does not
};

// --- The check

class Model {
 public:
  void apply(int number) {
    Step step(number);
    for (const std::string& key : step.deletes) state_.erase(key);
    for (const auto& [key, value] : step.puts) state_[key] = value;
    for (auto& event : step.events) events_.push_back(std::move(event));
  }

  const std::map<std::string, std::string>& state() const { return state_; }
  const std::vector<Step::OneEvent>& events() const { return events_; }

  // docs/format.md, "Digest".
  std::string digest() const {
    Digest keys;
    for (const auto& [key, value] : state_) {
      keys.add_length_prefixed(key);
      keys.add_length_prefixed(value);
    }
    keys.add(static_cast<std::uint64_t>(state_.size()));
    Digest events;
    std::uint64_t id = 0;
    for (const auto& event : events_) {
      events.add(++id);
      events.add(static_cast<std::uint64_t>(event.time.time_since_epoch().count()));
      events.add_length_prefixed(event.type);
      events.add(static_cast<std::uint64_t>(event.tags.size()));
      for (const std::string& tag : event.tags) events.add_length_prefixed(tag);
      events.add_length_prefixed(event.metadata);
      events.add_length_prefixed(event.payload);
    }
    Digest both;
    both.add(keys.finish_hex());
    both.add(events.finish_hex());
    return both.finish_hex();
  }

 private:
  std::map<std::string, std::string> state_;
  std::vector<Step::OneEvent> events_;
};

// The store must have been opened without a fault.
inline void check_store(Store& store, const Told& told) {
  Model model;
  std::map<CommitSeq, int> found;
  {
    ReadTxn snapshot = store.read();
    ASSERT_EQ(snapshot.commit_seq(), store.status().applied_seq);
    for (const EventView& event : snapshot.events()) {
      int number = std::atoi(std::string(event.payload()).c_str());
      if (found.emplace(event.commit_seq(), number).second) model.apply(number);
      ASSERT_EQ(found[event.commit_seq()], number) << "two steps in one commit";
      ASSERT_LE(event.id(), model.events().size()) << "more events than the steps have";
      const Step::OneEvent& expected = model.events()[event.id() - 1];
      ASSERT_EQ(event.payload(), expected.payload);
      ASSERT_EQ(event.type(), expected.type);
      ASSERT_EQ(event.metadata(), expected.metadata);
    }
    ASSERT_EQ(snapshot.last_event(), model.events().size()) << "an event of a step is missing";
    Entries state = collect(snapshot.scan());
    ASSERT_EQ(state, Entries(model.state().begin(), model.state().end()));
  }
  std::set<int> steps;
  for (auto [commit, number] : found) {
    EXPECT_TRUE(steps.insert(number).second) << "step " << number << " is there twice";
    EXPECT_TRUE(told.submitted.contains(number)) << "step " << number << " was never submitted";
  }
  for (auto [commit, number] : told.acknowledged) {
    auto at = found.find(commit);
    ASSERT_NE(at, found.end()) << "commit " << commit << " (step " << number << ") was acknowledged and is lost";
    EXPECT_EQ(at->second, number) << "commit " << commit << " is another one";
  }
  EXPECT_EQ(store.digest(), model.digest());
  VerifyReport report = store.verify();
  for (const std::string& problem : report.problems) ADD_FAILURE() << problem;
  EXPECT_EQ(report.events, model.events().size());
}

// --- The workload

// Who is told what happens, each word before the next thing is done, so that it can be known after a kill.
struct Listener {
  std::function<void(int step)> submits;
  std::function<void(CommitSeq commit, int step)> acknowledged;
  std::function<void()> copied;  // what is told from here on is about the copy
};

// The usual one. From several threads.
class Notes {
 public:
  void submits(int step) {
    std::lock_guard lock(mutex_);
    now().submitted.insert(step);
  }
  void acknowledged(CommitSeq commit, int step) {
    std::lock_guard lock(mutex_);
    now().acknowledged[commit] = step;
  }
  void copied() {
    std::lock_guard lock(mutex_);
    copy_ = store_;
  }

  Listener listener() {
    return {[this](int step) { submits(step); },
            [this](CommitSeq commit, int step) { acknowledged(commit, step); }, [this] { copied(); }};
  }

  const Told& store() const { return store_; }
  const std::optional<Told>& copy() const { return copy_; }

 private:
  Told& now() { return copy_ ? *copy_ : store_; }

  std::mutex mutex_;
  Told store_;
  std::optional<Told> copy_;
};

// Several lives of a store. Goes on whatever is thrown, so that each life ends by close().
class Workload {
 public:
  Workload(std::filesystem::path directory, Listener listener)
      : directory_(std::move(directory)), listener_(std::move(listener)) {
    options_ = tiny_options();
    options_.timeout = std::chrono::seconds{20};
  }

  std::filesystem::path store() const { return directory_ / "store"; }
  std::filesystem::path copy() const { return directory_ / "copy"; }  // of an open store, so that opening it recovers
  const Options& options() const { return options_; }
  // Whether the lives may go on until somebody has waited for a leader, which is a matter of luck.
  bool until_someone_sleeps = false;

  void run() {
    attempt([&] { Store::create(store(), options_); });
    life(store(), [&](Store& store) {
      all_levels(store, 1);
      large(store, kLargeSteps);
      attempt([&] { store.checkpoint(); });
      exclusive(store, 20);
      together(store, 30);
      large(store, kLargeSteps + 20);
      bulk(store, kBulkSteps);
      seal(store);
      all_levels(store, 60);
    });
    life(store(), [&](Store& store) {
      bulk(store, kBulkSteps + 20);
      all_levels(store, 80);
      if (copy_files()) listener_.copied();
    });
    life(copy(), [&](Store& store) { all_levels(store, 100); });
  }

  // What went against the rules.
  const std::vector<std::string>& complaints() const { return complaints_; }

 private:
  void complain(std::string what) {
    std::lock_guard lock(mutex_);
    complaints_.push_back(std::move(what));
  }

  template <class Call>
  std::optional<Error> attempt(Call call) {
    try {
      call();
    } catch (const Error& error) {
      return error;
    } catch (const std::exception& error) {
      complain(std::string("something that is no azoth::Error was thrown: ") + error.what());
    }
    return std::nullopt;
  }

  template <class Body>
  void life(const std::filesystem::path& path, Body body) {
    std::unique_ptr<Store> store;
    attempt([&] { store = Store::open(path, options_); });
    if (!store) return;
    failed_ = false;
    body(*store);
    attempt([&] { store->close(); });
    attempt([&] { store.reset(); });
  }

  // As a kill at this moment would leave the files: again until nothing has changed meanwhile.
  bool copy_files() {
    auto names = [&] {
      std::set<std::string> all;
      for (const auto& file : std::filesystem::recursive_directory_iterator(store())) all.insert(file.path().string());
      return all;
    };
    for (int attempts = 0; attempts < 1000; ++attempts) {
      std::error_code error;
      std::filesystem::remove_all(copy(), error);
      auto before = names();
      std::filesystem::copy(store(), copy(), std::filesystem::copy_options::recursive, error);
      if (!error && names() == before) return true;
    }
    return false;
  }

  void wait(const Ticket& ticket, Durability level, int number) {
    auto error = attempt([&] { ticket.wait(level); });
    if (error) {
      if (error->code() != ErrorCode::StoreFailed || !error->outcome_unknown()) {
        complain(std::string("a lost commit ended with: ") + error->what());
      }
      failed_.store(true);
    } else if (level != Durability::Applied) {
      listener_.acknowledged(ticket.info().commit_seq, number);
    }
  }

  void commit(Store& store, int number, Durability level) {
    listener_.submits(number);
    std::optional<Ticket> ticket;
    bool failed_before = failed_.load();
    auto error = attempt([&] { ticket = submit(store, Step(number).set(), level); });
    // Rule 5: once it has failed, it refuses everything; and what it refuses is not in doubt.
    if (failed_before && !error) complain("a store that has failed took a commit");
    if (error && error->outcome_unknown() && !is_bulk_step(number)) complain("what was refused is said to be in doubt");
    if (error && error->code() == ErrorCode::StoreFailed) failed_.store(true);
    if (ticket) wait(*ticket, level, number);
  }

  void all_levels(Store& store, int first) {
    for (int i = 0; i < 6; ++i) commit(store, first + i, static_cast<Durability>(1 + i % 3));
    std::vector<Condition> conditions = {Condition::key_absent("shared/" + std::to_string(first % 7))};
    listener_.submits(first + 6);  // and is rejected, unless what it must not find could not be committed
    attempt([&] { static_cast<void>(store.submit(Step(first + 6).set(), conditions)); });
    attempt([&] { store.flush(Durability::Written); });
    commit(store, first + 7, Durability::Written);
    attempt([&] { store.flush(Durability::Durable); });
  }

  void large(Store& store, int first) {
    for (int i = 0; i < 12; ++i) commit(store, first + i, i % 2 == 0 ? Durability::Written : Durability::Durable);
  }

  void bulk(Store& store, int first) {
    for (int i = 0; i < 3; ++i) commit(store, first + i, i == 1 ? Durability::Applied : Durability::Durable);
    commit(store, first + 10 - kBulkSteps + 500, Durability::Written);
    commit(store, first + 3, Durability::Written);
  }

  void exclusive(Store& store, int number) {
    listener_.submits(number);
    std::optional<Ticket> ticket;
    attempt([&] {
      WriteTxn txn = store.begin();
      Step(number).write_to(txn);
      ticket = txn.commit_async();
    });
    if (ticket) wait(*ticket, Durability::Durable, number);
  }

  void seal(Store& store) {
    if (attempt([&] { store.seal(); })) return;
    if (!attempt([&] { submit(store, Step(999).set(), Durability::Applied); })) complain("a sealed store was written to");
    attempt([&] { store.unseal(); });
  }

  void together(Store& store, int first) {
    do {
      std::vector<std::future<void>> clients;
      for (int i = 0; i < 4; ++i) {
        clients.push_back(in_background([&, i] {
          for (int j = 0; j < 5; ++j) commit(store, first + 5 * i + j, j % 2 == 0 ? Durability::Durable : Durability::Written);
        }));
      }
      for (auto& client : clients) client.get();
      if (!until_someone_sleeps) return;
      first += 10'000;
    } while (!fault_was_reached("group.sleep"));
  }

  static bool fault_was_reached(const std::string& point) {
    for (const std::string& reached : fault::reached()) {
      if (reached == point) return true;
    }
    return false;
  }

  const std::filesystem::path directory_;
  const Listener listener_;
  Options options_;
  std::atomic<bool> failed_{false};  // in this life
  std::mutex mutex_;
  std::vector<std::string> complaints_;
};

}  // namespace azoth::test
