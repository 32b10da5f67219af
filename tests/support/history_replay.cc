// The second check: the store itself says in which order it committed. Replayed in that order, one after another, the
// transactions must see what they saw.
#include <algorithm>
#include <unordered_map>

#include "support/history_index.h"

namespace azoth::test {
namespace {

bool appends(const RecordedTxn& txn) {
  return std::any_of(txn.ops.begin(), txn.ops.end(),
                     [](const MicroOp& op) { return op.kind == MicroOp::Kind::Append; });
}

// The place in the order: a transaction that only reads is after the commit that it names.
std::uint64_t place(const RecordedTxn& txn) { return 2 * *txn.commit + (appends(txn) ? 0 : 1); }

std::string place_text(const RecordedTxn& txn) {
  return txn_name(txn) + (appends(txn) ? " (commit " : " (reads at commit ") + std::to_string(*txn.commit) + ')';
}

void check_real_time(const HistoryIndex& index, const std::vector<std::uint32_t>& order, std::uint8_t level,
                     CheckResult& result) {
  std::vector<std::uint32_t> looking, seen;
  for (std::uint32_t t : order) {
    if (index.txn(t).looks_at == level) looking.push_back(t);
    if (index.shown(t, level) != kNever) seen.push_back(t);
  }
  std::sort(looking.begin(), looking.end(),
            [&](auto a, auto b) { return index.txn(a).invoked < index.txn(b).invoked; });
  std::sort(seen.begin(), seen.end(), [&](auto a, auto b) { return index.shown(a, level) < index.shown(b, level); });
  std::optional<std::uint32_t> furthest;  // of those shown
  auto next = seen.begin();
  for (std::uint32_t t : looking) {
    const RecordedTxn& txn = index.txn(t);
    for (; next != seen.end() && index.shown(*next, level) < txn.invoked; ++next) {
      if (!furthest || place(index.txn(*next)) > place(index.txn(*furthest))) furthest = *next;
    }
    if (!furthest || place(index.txn(*furthest)) <= place(txn)) continue;
    const RecordedTxn& before = index.txn(*furthest);
    add_anomaly(result, {"commit order",
                         {before.id, txn.id},
                         place_text(before) + " completed at " + std::to_string(index.shown(*furthest, level)) +
                             ", before " + place_text(txn) + " was invoked at " + std::to_string(txn.invoked)});
  }
}

void replay(const HistoryIndex& index, const std::vector<std::uint32_t>& order, CheckResult& result) {
  std::unordered_map<std::string, List> state;
  for (std::uint32_t t : order) {
    const RecordedTxn& txn = index.txn(t);
    for (const MicroOp& op : txn.ops) {
      List& list = state[op.key];
      if (op.kind == MicroOp::Kind::Append) {
        list.push_back(op.value);
        continue;
      }
      ++result.replayed_reads;
      if (op.seen == list) continue;
      add_anomaly(result, {"replay",
                           {txn.id},
                           place_text(txn) + " read " + op.key + " = " + list_text(op.seen) +
                               ", but replayed in commit order it would have read " + list_text(list)});
    }
  }
}

}  // namespace

void replay_commits(const HistoryIndex& index, const CheckOptions& options, CheckResult& result) {
  std::vector<std::uint32_t> order;
  for (std::uint32_t t = 0; t < index.size(); ++t) {
    if (!index.committed(t)) continue;
    if (index.txn(t).commit) {
      order.push_back(t);
    } else if (appends(index.txn(t))) {
      return;  // its place is not known
    }
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return place(index.txn(a)) < place(index.txn(b)); });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const RecordedTxn& before = index.txn(order[i - 1]);
    const RecordedTxn& after = index.txn(order[i]);
    if (place(before) != place(after) || !appends(after)) continue;
    add_anomaly(result,
                {"commit order",
                 {before.id, after.id},
                 txn_name(before) + " and " + txn_name(after) + " are both commit " + std::to_string(*after.commit)});
  }
  for (std::uint8_t level = 0; options.real_time && level < kSightLevels; ++level)
    check_real_time(index, order, level, result);
  replay(index, order, result);
}

}  // namespace azoth::test
