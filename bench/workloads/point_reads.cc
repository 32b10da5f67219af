// Reading one key after another, in random order, on one thread: with a snapshot of its own for each, or with one for
// all; from LMDB alone, or past a full Delta that has other keys between those that are read.
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "azoth/core/error.h"
#include "content.h"
#include "fill.h"
#include "twin.h"
#include "workload.h"

namespace azoth::bench {

namespace {

constexpr std::uint64_t kReads = 500;  // between two looks at the clock

void use(std::string_view value) { asm volatile("" : : "r"(value.front()) : "memory"); }

void use(const std::optional<std::string_view>& value) {
  if (!value) throw Error(ErrorCode::NotFound, "a key that was written is missing");
  use(*value);
}

template <class Read>
Sample random_reads(const Settings& settings, unsigned round, const Read& read) {
  Random random(round + 1);
  Name key(kKeyPrefix);
  return read_for(settings.seconds, [&] {
    for (std::uint64_t i = 0; i < kReads; ++i) read(key.of(random.below(settings.keys)));
    return kReads;
  });
}

TwinReaders own_snapshots(const Settings& settings, double at_least) {
  return {.workload = "",
          .unit = "reads",
          .reference = "lmdb renew+get",
          .at_least = at_least,
          .azoth =
              [settings](Twin& twin, unsigned round) {
                return random_reads(settings, round, [&](std::string_view key) { use(twin.db().read().get(key)); });
              },
          .lmdb =
              [settings](Twin& twin, unsigned round) {
                BareSnapshot snapshot(twin.lmdb());
                return random_reads(settings, round, [&](std::string_view key) {
                  snapshot.reset();
                  snapshot.renew();
                  use(snapshot.get(twin.lmdb().state, key));
                });
              }};
}

TwinReaders one_snapshot(const Settings& settings, double at_least) {
  return {.workload = "",
          .unit = "reads",
          .reference = "lmdb get",
          .at_least = at_least,
          .azoth =
              [settings](Twin& twin, unsigned round) {
                ReadTxn snapshot = twin.db().read();
                return random_reads(settings, round, [&](std::string_view key) { use(snapshot.get(key)); });
              },
          .lmdb =
              [settings](Twin& twin, unsigned round) {
                BareSnapshot snapshot(twin.lmdb());
                return random_reads(settings, round,
                                    [&](std::string_view key) { use(snapshot.get(twin.lmdb().state, key)); });
              }};
}

// As many other keys as fit without the Delta being full, which would have it flushed.
void fill_delta(Db& db, const Settings& settings, const Options& options) {
  constexpr std::uint64_t kMostRows = 95'000;
  constexpr std::uint64_t kPuts = 500;  // a transaction
  Random random(1);
  Name key(kKeyPrefix);
  for (std::uint64_t rows = 0; rows < kMostRows; rows += kPuts) {
    // Asking costs a walk through the Delta.
    if (rows % (10 * kPuts) == 0 && db.status().delta_bytes > options.delta_bytes / 16 * 14) break;
    WriteSet set;
    for (std::uint64_t i = 0; i < kPuts; ++i) {
      std::string between = std::string(key.of(random.below(settings.keys))) + "/" + std::to_string(random());
      set.put(between, some_bytes(random(), settings.value_size));
    }
    db.submit(std::move(set)).value().wait();
  }
  Status status = db.status();
  if (status.live_deltas != 1 || status.flushed_seq + 2 > status.visible_seq) {
    throw Error(ErrorCode::InvalidArgument, "the Delta was flushed before it was read: the values are too large");
  }
}

Contest contest(const char* name, TwinReaders readers, const Settings& settings, Scratch& scratch, bool full_delta) {
  readers.workload = name;
  Options options;
  options.delta_age = std::chrono::hours(1);
  std::function<void(Db&)> after_copy;
  if (full_delta) after_copy = [settings, options](Db& db) { fill_delta(db, settings, options); };
  auto fill = [settings](Db& db) { fill_keys(db, settings.keys, settings.value_size); };
  return twin_contest(readers, scratch, options, fill, after_copy);
}

}  // namespace

void add_point_read_workloads(std::vector<Workload>& all) {
  all.push_back(
      {"get-own-snapshot", "random point reads, a snapshot for each", [](const Settings& settings, Scratch& scratch) {
         return contest("get-own-snapshot", own_snapshots(settings, 0.7), settings, scratch, false);
       }});
  all.push_back({"get-one-snapshot", "the same, one snapshot for all", [](const Settings& settings, Scratch& scratch) {
                   return contest("get-one-snapshot", one_snapshot(settings, 0.9), settings, scratch, false);
                 }});
  all.push_back({"get-past-delta-own-snapshot", "the same past a full Delta, a snapshot for each",
                 [](const Settings& settings, Scratch& scratch) {
                   return contest("get-past-delta-own-snapshot", own_snapshots(settings, 0.35), settings, scratch,
                                  true);
                 }});
  all.push_back({"get-past-delta-one-snapshot", "the same past a full Delta, one snapshot for all",
                 [](const Settings& settings, Scratch& scratch) {
                   return contest("get-past-delta-one-snapshot", one_snapshot(settings, 0.35), settings, scratch, true);
                 }});
}

}  // namespace azoth::bench
