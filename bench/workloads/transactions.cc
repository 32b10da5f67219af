// Transactions: keys declared and locked, a check under the locks, one put and one event; and appends that expect a
// version of their tag.
#include <algorithm>
#include <thread>
#include <utility>

#include "contestants.h"
#include "workload.h"

namespace azoth::bench {

namespace {

using Kind = AzothWay::Kind;

const AzothWay kTransaction{.kind = Kind::Transaction, .name = "azoth transaction"};

Contest transaction_64(const char* name, const Settings& settings, Scratch& scratch, bool hot, double at_least) {
  Load load = sustained(settings, 64);
  load.hot = hot;
  return {name,
          {contestant(azoth_system(Safety::PowerCut, kTransaction), settings, scratch, load),
           contestant(rocksdb_system(Safety::PowerCut), settings, scratch, load, at_least)}};
}

Contest transaction_pipelined(const Settings& settings, Scratch& scratch) {
  return {"transaction-pipelined",
          {contestant(azoth_system(Safety::PowerCut, kTransaction), settings, scratch, sustained(settings, 16, 64)),
           contestant(raw_device(), settings, scratch, paced(settings), 20.0)}};
}

Contest transaction_applied(const Settings& settings, Scratch& scratch) {
  Load load = sustained(settings, 1);
  load.threads = 1;
  AzothWay exclusive{.kind = Kind::WriteTxn, .name = "azoth WriteTxn"};
  return {"transaction-applied",
          {contestant(azoth_system(Safety::Nothing, kTransaction), settings, scratch, load),
           contestant(azoth_system(Safety::Nothing, exclusive), settings, scratch, load, 0.6)}};
}

// The checks of as many threads as there are processors, against those of one thread.
Contest slow_checks(const Settings& settings, Scratch& scratch) {
  unsigned cores = std::max(2u, std::thread::hardware_concurrency());
  AzothWay slow = kTransaction;
  slow.thinking = std::chrono::microseconds(100);
  Load one = paced(settings);
  Load all = one;
  all.threads = cores;
  AzothWay alone = slow;
  alone.name = "azoth, one thread";
  return {"transaction-slow-checks",
          {contestant(azoth_system(Safety::Nothing, slow), settings, scratch, all),
           contestant(azoth_system(Safety::Nothing, alone), settings, scratch, one, 0.8 * cores)}};
}

// Against the same appends without the condition. The log has many events of each tag before.
Contest conditional(const char* name, const AzothWay& way, const Settings& settings, Scratch& scratch, bool many) {
  Settings tagged = settings;
  tagged.tags = true;
  Load load = sustained(settings, 64);
  if (!many) load.threads = 1;
  load.log = settings.events;
  Safety safety = many ? Safety::PowerCut : Safety::Nothing;
  AzothWay plain{.kind = Kind::Submit, .name = "azoth, no condition"};
  return {name,
          {contestant(azoth_system(safety, way), tagged, scratch, load),
           contestant(azoth_system(safety, plain), tagged, scratch, load, 0.5)}};
}

void add_conditional(std::vector<Workload>& all, const char* name, const char* what, const AzothWay& way, bool many) {
  all.push_back({.name = name,
                 .what = what,
                 .contest = [=](const Settings& settings,
                                Scratch& scratch) { return conditional(name, way, settings, scratch, many); },
                 .run = many ? Run::Always : Run::InFull});
}

}  // namespace

void add_transaction_workloads(std::vector<Workload>& all) {
  all.push_back({"transaction-durable-64",
                 "64 threads with keys of their own and one that all check, each commit synced",
                 [](const Settings& settings, Scratch& scratch) {
                   return transaction_64("transaction-durable-64", settings, scratch, false, 2.5);
                 }});
  all.push_back(
      {"transaction-hot-64", "the same, all threads changing one key", [](const Settings& settings, Scratch& scratch) {
         return transaction_64("transaction-hot-64", settings, scratch, true, 3.0);
       }});
  all.push_back(
      {"transaction-pipelined", "16 threads with 64 synced transactions in flight each", transaction_pipelined});
  all.push_back({.name = "transaction-applied",
                 .what = "one thread, not synced, against exclusive transactions",
                 .contest = transaction_applied,
                 .run = Run::InFull});
  all.push_back(
      {"transaction-slow-checks", "checks of 100 us on the processor: all cores against one thread", slow_checks});
  const AzothWay version{.kind = Kind::ExpectedVersion, .name = "azoth, version"};
  const AzothWay none{.kind = Kind::NoEvent, .name = "azoth, no event"};
  add_conditional(all, "expected-version-64", "64 threads, appends that expect a version of their tag, synced", version,
                  true);
  add_conditional(all, "expected-version-applied", "one thread, the same, not synced", version, false);
  add_conditional(all, "conditional-append-64",
                  "64 threads, appends if no event of their kind has come since the last decision, synced", none, true);
  add_conditional(all, "conditional-append-applied", "one thread, the same, not synced", none, false);
}

}  // namespace azoth::bench
