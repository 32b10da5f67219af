// A workload that uses everything the write path does, in steps (support/step.h), and the promises that it was given;
// what must be left of it, whatever failed on the way, support/invariants.h says.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
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

#include "support/invariants.h"
#include "write_path_support.h"

namespace azoth::test {

// --- Steps

inline constexpr int kLargeSteps = 1000;  // from here to twice this a step takes a quarter of the smallest segment
inline constexpr int kBulkSteps = 2000;   // from here to 3000 it takes more than half of one
inline bool is_bulk_step(int number) { return number >= kBulkSteps && number < 3000; }

inline Step make_step(int number) {
  std::string n = std::to_string(number);
  bool large = number >= kLargeSteps && number < 2 * kLargeSteps;
  std::size_t size = large ? 15'000 : static_cast<std::size_t>(number * 37 % 300);
  if (is_bulk_step(number)) size = 40'000;
  Step step;
  step.deletes.push_back("own/" + std::to_string(number - 3));
  step.puts.emplace_back("shared/" + std::to_string(number % 7), n + std::string(size, 'v'));
  step.puts.emplace_back("own/" + n, n);
  int count = 1 + number % 3;
  for (int i = 0; i < count; ++i) {
    step.events.push_back({.type = "type" + std::to_string(number % 4),
                           .tags = {"step:" + n, "group:" + std::to_string(number % 5)},
                           .payload = n + " " + std::to_string(i) + " " + std::to_string(count),
                           .metadata = number % 2 == 0 ? "" : "metadata of " + n,
                           .time = Timestamp(std::chrono::microseconds(number))});
  }
  return step;
}

// Nothing was promised yet, and nothing submitted.
inline Promises promises_of_steps() {
  Promises promises;
  promises.steps = make_step;
  promises.submitted.emplace();
  promises.may_have_dead_damage = true;  // behind bulk transactions, which LMDB has before the journal is told
  return promises;
}

// --- The workload

// Who is told what happens, each word before the next thing is done, so that it can be known after a kill.
struct Listener {
  std::function<void(int step)> submits;
  std::function<void(CommitSeq commit, int step)> acknowledged;
  std::function<void(std::uint64_t number)> numbered;  // that was handed out, of the sequence "number", at Durable
  std::function<void()> copied;                        // what is told from here on is about the copy
};

// The usual one. From several threads.
class Notes {
 public:
  void submits(int step) {
    std::lock_guard lock(mutex_);
    now().submitted->insert(step);
  }
  void acknowledged(CommitSeq commit, int step) {
    std::lock_guard lock(mutex_);
    now().acknowledged[commit] = step;
  }
  void numbered(std::uint64_t number) {
    std::lock_guard lock(mutex_);
    std::uint64_t& next = now().sequences["number"];
    next = std::max(next, number + 1);
  }
  void copied() {
    std::lock_guard lock(mutex_);
    copy_ = store_;
  }

  Listener listener() {
    return {[this](int step) { submits(step); },
            [this](CommitSeq commit, int step) { acknowledged(commit, step); },
            [this](std::uint64_t number) { numbered(number); }, [this] { copied(); }};
  }

  const Promises& store() const { return store_; }
  const std::optional<Promises>& copy() const { return copy_; }

 private:
  Promises& now() { return copy_ ? *copy_ : store_; }

  std::mutex mutex_;
  Promises store_ = promises_of_steps();
  std::optional<Promises> copy_;
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
      numbers(store);
      seal(store);
      all_levels(store, 60);
    });
    life(store(), [&](Store& store) {
      bulk(store, kBulkSteps + 20);
      numbers(store);  // which go on where the seal returned what was left of the reservation
      all_levels(store, 80);
      copy_store(this->store(), copy());
      listener_.copied();
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

  void wait(const Ticket& ticket, Durability level, int number) {
    auto error = attempt([&] { ticket.wait(level); });
    if (error) {
      if (const char* wrong = wrong_answer_to_wait(&*error)) complain(wrong + std::string(error->what()));
      failed_.store(true);
    } else if (level != Durability::Applied) {
      listener_.acknowledged(ticket.info().commit_seq, number);
    }
  }

  void commit(Store& store, int number, Durability level) {
    listener_.submits(number);
    std::optional<Ticket> ticket;
    bool failed_before = failed_.load();
    auto error = attempt([&] { ticket = submit(store, make_step(number).set(), level); });
    if (const char* wrong = wrong_answer_to_submit(error ? &*error : nullptr, is_bulk_step(number), failed_before)) {
      complain(wrong + std::string(error ? error->what() : ""));
    }
    if (error && error->code() == ErrorCode::StoreFailed) failed_.store(true);
    if (ticket) wait(*ticket, level, number);
  }

  void all_levels(Store& store, int first) {
    for (int i = 0; i < 6; ++i) commit(store, first + i, static_cast<Durability>(1 + i % 3));
    std::vector<Condition> conditions = {Condition::key_absent("shared/" + std::to_string(first % 7))};
    listener_.submits(first + 6);  // and is rejected, unless what it must not find could not be committed
    attempt([&] { static_cast<void>(store.submit(make_step(first + 6).set(), conditions)); });
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
      make_step(number).write_to(txn);
      ticket = txn.commit_async();
    });
    if (ticket) wait(*ticket, Durability::Durable, number);
  }

  void numbers(Store& store) {
    for (int i = 0; i < 3; ++i) {
      attempt([&] { listener_.numbered(store.next_sequence("number")); });
    }
  }

  void seal(Store& store) {
    if (attempt([&] { store.seal(); })) return;
    if (!attempt([&] { submit(store, make_step(999).set(), Durability::Applied); })) complain("a sealed store was written to");
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
