// Ranges of the state: a hundred rows from a random key on, forwards or backwards, on one thread and one snapshot.
#include <cstdint>
#include <string>

#include "azoth/core/error.h"
#include "content.h"
#include "fill.h"
#include "system.h"
#include "twin.h"
#include "workload.h"

namespace azoth::bench {

namespace {

constexpr std::uint64_t kRows = 100;

// Rows in their order, none left out.
class Expected {
 public:
  Expected(std::uint64_t first, bool reverse) : next_(first), reverse_(reverse) {}

  void take(std::string_view key, std::string_view value) {
    if (key != name_.of(next_)) throw Error(ErrorCode::Corruption, "a scan left a key out or showed another");
    next_ += reverse_ ? ~std::uint64_t{0} : 1;
    ++seen_;
    use_value(value);
  }
  void check() const {
    if (seen_ != kRows) throw Error(ErrorCode::NotFound, "a scan ended early");
  }

 private:
  std::uint64_t next_;
  const bool reverse_;
  std::uint64_t seen_ = 0;
  Name name_{kKeyPrefix};
};

// `scan` hands the rows from a key on (backwards: those before it) to what is expected.
template <class Scan>
Sample random_scans(const Settings& settings, unsigned round, bool reverse, const Scan& scan) {
  Random random(round + 1);
  Name key(kKeyPrefix);
  return read_for(settings.seconds, [&] {
    std::uint64_t from = kRows + random.below(settings.keys - 2 * kRows);
    Expected expected(reverse ? from - 1 : from, reverse);
    scan(key.of(from), expected);
    expected.check();
    return kRows;
  });
}

Sample scan_azoth(const Settings& settings, Twin& twin, unsigned round, bool reverse) {
  ReadTxn snapshot = twin.db().read();
  return random_scans(settings, round, reverse, [&](std::string_view key, Expected& expected) {
    KeyRange range;
    (reverse ? range.to : range.from) = key;
    for (auto [found, value] : snapshot.range(range, {.reverse = reverse, .limit = kRows})) expected.take(found, value);
  });
}

Sample scan_lmdb(const Settings& settings, Twin& twin, unsigned round, bool reverse) {
  BareSnapshot snapshot(twin.lmdb());
  BareCursor cursor(snapshot, twin.lmdb().state);
  return random_scans(settings, round, reverse, [&](std::string_view key, Expected& expected) {
    bool more = cursor.move(MDB_SET_RANGE, key);
    if (reverse) more = cursor.move(MDB_PREV);
    for (std::uint64_t i = 0; more && i < kRows; ++i, more = cursor.move(reverse ? MDB_PREV : MDB_NEXT)) {
      expected.take(cursor.key(), cursor.value());
    }
  });
}

Contest contest(const char* name, const Settings& settings, Scratch& scratch, bool reverse) {
  if (settings.keys < 3 * kRows) throw Error(ErrorCode::InvalidArgument, "scans need --keys 300 or more");
  TwinReaders readers{.workload = name,
                      .unit = "rows",
                      .reference = "lmdb cursor",
                      .at_least = {},
                      .azoth = [=](Twin& twin, unsigned round) { return scan_azoth(settings, twin, round, reverse); },
                      .lmdb = [=](Twin& twin, unsigned round) { return scan_lmdb(settings, twin, round, reverse); }};
  return twin_contest(readers, scratch, {}, [settings](Db& db) { fill_keys(db, settings.keys, settings.value_size); });
}

}  // namespace

void add_scan_workloads(std::vector<Workload>& all) {
  all.push_back({"scan", "ranges of the state: 100 rows from a random key on",
                 [](const Settings& settings, Scratch& scratch) { return contest("scan", settings, scratch, false); }});
  all.push_back({.name = "scan-reverse",
                 .what = "the same backwards",
                 .contest = [](const Settings& settings,
                               Scratch& scratch) { return contest("scan-reverse", settings, scratch, true); },
                 .run = Run::InFull});
}

}  // namespace azoth::bench
