// Bulk appends: transactions of 10,000 events, each of which goes past the journal into one synced LMDB transaction.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "azoth/core/codec.h"
#include "azoth/core/event.h"
#include "azoth/db.h"
#include "bare_lmdb.h"
#include "content.h"
#include "sync_counter.h"
#include "workload.h"

namespace azoth::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kEvents = 10'000;  // a transaction
constexpr std::uint64_t kTags = 100'000;
constexpr std::size_t kRowPrefix = 20;  // checksum, commit and time, which Azoth's rows begin with

struct Batches {
  std::uint64_t a_round;
  bool tagged;
  std::size_t payload_size;
};

// The events of one round.
class Events {
 public:
  Events(const Batches& batches, unsigned round) : batches_(batches), random_(round + 1) {}

  Event next() {
    Event event{.type = kEventType, .tags = {}, .payload = some_bytes(random_(), batches_.payload_size)};
    if (batches_.tagged) event.tags.push_back(tag_.of(random_.below(kTags)));
    return event;
  }

 private:
  const Batches batches_;
  Random random_;
  Name tag_{kTagPrefix};
};

// Fixed work, so that both have as many rows when a round begins. `prepare` is not measured.
template <class Prepare, class Commit>
Sample commit_batches(const Batches& batches, const Prepare& prepare, const Commit& commit) {
  Sample sample;
  std::uint64_t syncs = syncs_so_far();
  for (std::uint64_t i = 0; i < batches.a_round; ++i) {
    prepare();
    auto from = Clock::now();
    commit();
    auto taken = Clock::now() - from;
    sample.seconds += std::chrono::duration<double>(taken).count();
    sample.latencies.add(static_cast<std::uint64_t>(taken.count()));
    sample.operations += kEvents;
  }
  sample.syncs = syncs_so_far() - syncs;
  return sample;
}

Sample azoth_round(Db& db, const Batches& batches, unsigned round) {
  Events events(batches, round);
  return commit_batches(
      batches, [] {},
      [&] {
        WriteSet set;
        for (std::uint64_t i = 0; i < kEvents; ++i) set.append(events.next());
        db.submit(std::move(set), {}, {.timeout = std::chrono::minutes(1)}).value().wait();
      });
}

// The rows that Azoth writes, encoded before the clock runs.
class BareAppender {
 public:
  explicit BareAppender(const std::filesystem::path& directory) : lmdb_(directory, 0) {}

  Sample round(const Batches& batches, unsigned round) {
    Events events(batches, round);
    return commit_batches(
        batches, [&] { encode(events); }, [&] { commit(); });
  }

 private:
  void encode(Events& events) {
    rows_.clear();
    index_.clear();
    std::string key(8, '\0');
    for (std::uint64_t i = 0; i < kEvents; ++i) {
      Event event = events.next();
      codec::store_big(key.data(), ++last_id_);
      std::string row(kRowPrefix, '\0');
      event_codec::append(row, event);
      rows_.emplace_back(key, std::move(row));
      for (std::string_view tag : event.tags) index_.push_back(std::string(tag) + '\0' + key);
    }
  }

  void commit() {
    std::sort(index_.begin(), index_.end());  // as Azoth does; LMDB likes it
    MDB_txn* txn = lmdb_.begin();
    try {
      for (const auto& [key, row] : rows_) put_row(txn, lmdb_.events, key, row, MDB_APPEND);
      for (const std::string& entry : index_) put_row(txn, lmdb_.tags, entry, {});
    } catch (...) {
      mdb_txn_abort(txn);
      throw;
    }
    check_lmdb(mdb_txn_commit(txn), "committing");
  }

  BareLmdb lmdb_;
  std::uint64_t last_id_ = 0;
  std::vector<std::pair<std::string, std::string>> rows_;
  std::vector<std::string> index_;
};

Contest contest(const char* name, const Settings& settings, Scratch& scratch, bool tagged) {
  double per_second = tagged ? 20 : 100;
  Batches batches{.a_round = std::max<std::uint64_t>(10, static_cast<std::uint64_t>(settings.seconds * per_second)),
                  .tagged = tagged,
                  .payload_size = settings.value_size};
  auto db = std::make_shared<std::unique_ptr<Db>>();
  auto lmdb = std::make_shared<std::unique_ptr<BareAppender>>();
  std::filesystem::path store = scratch.make("azoth");
  std::filesystem::path bare = scratch.make("lmdb");
  Contestant azoth{.system = "azoth", .durability = "power cut", .play = [=](unsigned round) {
                     return azoth_round(**db, batches, round);
                   }};
  // One round ahead: a store that was just made is still preparing its journal.
  Batches warm_up = batches;
  warm_up.a_round = 3;
  constexpr unsigned kWarmUp = 1u << 20;  // no other round's number
  azoth.open = [=] {
    *db = std::make_unique<Db>(Db::create(store));
    azoth_round(**db, warm_up, kWarmUp);
    (*db)->checkpoint();
  };
  azoth.close = [=] {
    db->reset();
    std::filesystem::remove_all(store);
  };
  Contestant reference{.system = "lmdb", .durability = "power cut", .play = [=](unsigned round) {
                         return (*lmdb)->round(batches, round);
                       }};
  reference.open = [=] {
    *lmdb = std::make_unique<BareAppender>(bare);
    (*lmdb)->round(warm_up, kWarmUp);
  };
  reference.close = [=] {
    lmdb->reset();
    std::filesystem::remove_all(bare);
  };
  reference.at_least = 0.75;
  return {name, {azoth, reference}, "events"};
}

}  // namespace

void add_batch_workloads(std::vector<Workload>& all) {
  all.push_back(
      {"append-batch", "10,000 events a transaction, without tags",
       [](const Settings& settings, Scratch& scratch) { return contest("append-batch", settings, scratch, false); }});
  all.push_back({"append-batch-tagged", "the same, each event with one of 100,000 tags",
                 [](const Settings& settings, Scratch& scratch) {
                   return contest("append-batch-tagged", settings, scratch, true);
                 }});
}

}  // namespace azoth::bench
