#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "azoth/core/error.h"
#include "bare_lmdb.h"
#include "content.h"
#include "rows.h"
#include "system.h"

namespace azoth::bench {

namespace {

// The tables, and the rows of a change in them. LMDB's write transaction excludes all others; after a failure nothing
// is measured any more.
class ChangeTables {
 public:
  ChangeTables(const std::filesystem::path& directory, unsigned flags, bool indexed)
      : lmdb_(directory, flags), indexed_(indexed) {}

  // One transaction: `add` puts its changes.
  template <class Add>
  void commit(const Add& add) {
    MDB_txn* txn = lmdb_.begin();
    try {
      add(txn);
    } catch (...) {
      mdb_txn_abort(txn);
      throw;
    }
    check_lmdb(mdb_txn_commit(txn), "committing");
  }

  void put(MDB_txn* txn, const Change& change) {
    put_row(txn, lmdb_.state, change.key, change.value);
    if (!change.type.empty()) add_event(txn, change);
  }

  void fill(std::uint64_t keys, std::size_t value_size) {
    constexpr std::uint64_t kBatch = 100'000;
    Name key(kKeyPrefix);
    for (std::uint64_t next = 0; next < keys;) {
      commit([&](MDB_txn* txn) {
        for (std::uint64_t end = std::min(keys, next + kBatch); next < end; ++next) {
          put_row(txn, lmdb_.state, key.of(next), some_bytes(mix(next), value_size));
        }
      });
    }
  }

  BareLmdb& lmdb() { return lmdb_; }

 private:
  void add_event(MDB_txn* txn, const Change& change) {
    std::uint64_t id = ++last_id_;
    scratch_.clear();
    event_key(scratch_, id);
    event_body(scratch_, change);
    std::string_view row = scratch_;
    put_row(txn, lmdb_.events, row.substr(0, 8), row.substr(8), MDB_APPEND);
    if (change.tag.empty() || !indexed_) return;
    scratch_.clear();
    tag_key(scratch_, change, id);
    put_row(txn, lmdb_.tags, scratch_, {});
  }

  BareLmdb lmdb_;
  const bool indexed_;
  std::uint64_t last_id_ = 0;
  std::string scratch_;
};

class LmdbReader final : public Reader {
 public:
  explicit LmdbReader(BareLmdb& lmdb) : lmdb_(lmdb), snapshot_(lmdb) {}
  void read(std::string_view key) override {
    snapshot_.reset();
    snapshot_.renew();
    use_value(snapshot_.get(lmdb_.state, key));
  }

 private:
  BareLmdb& lmdb_;
  BareSnapshot snapshot_;
};

// One transaction a change.
class LmdbSystem final : public System {
 public:
  LmdbSystem(const std::filesystem::path& directory, unsigned flags, bool indexed)
      : tables_(directory, flags, indexed) {}

  std::unique_ptr<Client> client() override;
  std::unique_ptr<Reader> reader() override { return std::make_unique<LmdbReader>(tables_.lmdb()); }
  void settle() override { check_lmdb(mdb_env_sync(tables_.lmdb().env(), 1), "syncing"); }
  void fill(std::uint64_t keys, std::size_t value_size) override { tables_.fill(keys, value_size); }
  void commit(const Change& change) {
    tables_.commit([&](MDB_txn* txn) { tables_.put(txn, change); });
  }

 private:
  ChangeTables tables_;
};

class LmdbClient final : public Client {
 public:
  explicit LmdbClient(LmdbSystem& system) : system_(system) {}
  void commit(const Change& change) override { system_.commit(change); }

 private:
  LmdbSystem& system_;
};

std::unique_ptr<Client> LmdbSystem::client() { return std::make_unique<LmdbClient>(*this); }

// --- Group commit

// A change that waits, with its bytes, as several of a client's may be under way.
struct Waiting {
  explicit Waiting(const Change& change)
      : key(change.key), value(change.value), type(change.type), tag(change.tag), payload(change.payload) {}
  Change change() const { return {.key = key, .value = value, .type = type, .tag = tag, .payload = payload}; }

  enum class State { Waits, Leads, Done };

  const std::string key, value, type, tag, payload;
  State state = State::Waits;
  std::condition_variable changed;
};

// Whoever comes to an idle store leads: it commits all that wait, and names the first of those that came meanwhile.
class GroupCommit final : public System {
 public:
  explicit GroupCommit(const std::filesystem::path& directory) : tables_(directory, 0, true) {}

  std::unique_ptr<Client> client() override;
  void settle() override { check_lmdb(mdb_env_sync(tables_.lmdb().env(), 1), "syncing"); }
  void fill(std::uint64_t keys, std::size_t value_size) override { tables_.fill(keys, value_size); }

  void add(Waiting& waiting) {
    std::lock_guard lock(mutex_);
    queue_.push_back(&waiting);
    if (std::exchange(led_, true)) return;
    waiting.state = Waiting::State::Leads;
  }

  void wait(Waiting& waiting) {
    std::unique_lock lock(mutex_);
    waiting.changed.wait(lock, [&] { return waiting.state != Waiting::State::Waits || error_; });
    if (waiting.state == Waiting::State::Leads && !error_) lead(lock);
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void lead(std::unique_lock<std::mutex>& lock) {
    std::vector<Waiting*> batch = std::exchange(queue_, {});
    lock.unlock();
    std::exception_ptr error;
    try {
      tables_.commit([&](MDB_txn* txn) {
        for (const Waiting* waiting : batch) tables_.put(txn, waiting->change());
      });
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    error_ = error;
    // Under the lock: who is told may be gone as soon as it is released.
    for (Waiting* waiting : batch) tell(*waiting, Waiting::State::Done);
    led_ = !queue_.empty();
    if (led_) tell(*queue_.front(), Waiting::State::Leads);
    if (!error_) return;
    for (Waiting* waiting : queue_) tell(*waiting, Waiting::State::Waits);  // it finds the error
  }

  static void tell(Waiting& waiting, Waiting::State state) {
    waiting.state = state;
    waiting.changed.notify_one();
  }

  ChangeTables tables_;
  std::mutex mutex_;
  std::vector<Waiting*> queue_;
  bool led_ = false;
  std::exception_ptr error_;
};

class GroupClient final : public Client {
 public:
  explicit GroupClient(GroupCommit& system) : system_(system) {}
  void commit(const Change& change) override {
    start(change);
    finish_oldest();
  }
  void start(const Change& change) override { system_.add(in_flight_.emplace_back(change)); }
  void finish_oldest() override {
    system_.wait(in_flight_.front());
    in_flight_.pop_front();
  }

 private:
  GroupCommit& system_;
  std::deque<Waiting> in_flight_;
};

std::unique_ptr<Client> GroupCommit::client() { return std::make_unique<GroupClient>(*this); }

}  // namespace

SystemKind bare_lmdb(Safety safety, bool indexed) {
  bool synced = safety == Safety::PowerCut;
  unsigned flags = synced ? 0 : MDB_NOSYNC;
  std::string name = std::string(synced ? "lmdb" : "lmdb nosync") + (indexed ? "" : ", no index");
  return {name, safety, [=](const std::filesystem::path& directory) {
            return std::make_unique<LmdbSystem>(directory, flags, indexed);
          }};
}

SystemKind lmdb_group_commit() {
  return {"lmdb group commit", Safety::PowerCut,
          [](const std::filesystem::path& directory) { return std::make_unique<GroupCommit>(directory); }};
}

}  // namespace azoth::bench
