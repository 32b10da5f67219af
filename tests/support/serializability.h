// Whether a recorded history of concurrent transactions is strictly serializable, judged from outside: from what the
// clients did, what they saw and when. Nothing of the store under test is used.
//
// The model is list-append, after Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental
// Observations" (VLDB 2020). A transaction appends values to named lists and reads whole lists; no value is appended
// to a list twice. Each read then tells the order of all appends before it, so the dependencies between transactions
// follow from the reads alone, and a cycle of them is the proof that no serial order explains the history.
//
// How to record one: a client takes a tick from a shared counter (std::atomic, fetch_add) before it begins a
// transaction and one after it knows the outcome, and keeps what it did and saw. After all clients have ended, read
// every list once for `final_state`. A read keeps the whole list: spread the appends over so many lists that none gets
// longer than some hundred values.
//
// What is found, by the name that an anomaly carries:
//   "incompatible orders"  two reads of a list, neither a prefix of the other
//   "duplicate value"      a list that shows a value twice
//   "unwritten value"      a list that shows a value nobody appended
//   "internal"             a transaction that contradicts what it did or saw before, or of whose appends to a list one
//                          is missing before a later one
//   "G1a"                  a list that shows a value of an aborted transaction
//   "G1b"                  a read that ends amid the appends of another transaction
//   "lost update"          a committed append that the final state does not show
//   "G0"                   a cycle of ww edges: x's append follows directly on y's
//   "G1c"                  a cycle of ww and wr edges, at least one wr: y read what x appended
//   "G-single"             a cycle with exactly one rw edge: x read a list without the append of y that comes next
//   "G2"                   a cycle with more of them
//   "session G0", ...      the same with edges of session order: x was before y on one client
//   "strict G0", ...       the same with edges of real time: x had completed before y was invoked
//   "replay"               a read that the commits up to its place in the order of commit numbers do not explain
//   "commit order"         commit numbers that occur twice, or contradict real time
// Where a store has levels at which not everybody sees everything at once, a transaction says at which it looks, and
// from when on it must be seen at each; real time and sessions then order only who looks after the other was shown.
// Of the cycles that share transactions the worst is reported (the order above), in its shortest form.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace azoth::test {

using ListValue = std::uint64_t;
using List = std::vector<ListValue>;

struct MicroOp {
  enum class Kind { Append, Read };

  static MicroOp append(std::string key, ListValue value) { return {Kind::Append, std::move(key), value, {}}; }
  static MicroOp read(std::string key, List seen) { return {Kind::Read, std::move(key), 0, std::move(seen)}; }

  Kind kind;
  std::string key;
  ListValue value;  // of an append
  List seen;        // of a read: the whole list, with the transaction's own appends before it
};

enum class TxnOutcome {
  Committed,
  Aborted,  // certainly without effect: rejected, or given up before it was committed
  Unknown,  // an error or a crash on the way: it may take effect at any time after its invocation, or never
};

constexpr std::size_t kSightLevels = 4;
constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
using ShownFrom = std::array<std::uint64_t, kSightLevels>;  // ticks, kNever where nothing is promised

struct RecordedTxn {
  std::uint64_t id = 0;       // for the reports
  std::uint32_t client = 0;   // one client's transactions follow one another
  std::uint64_t invoked = 0;  // ticks
  std::uint64_t completed = 0;
  TxnOutcome outcome = TxnOutcome::Committed;
  std::vector<MicroOp> ops;
  // The number that the store gave the commit; of a transaction that only reads, the last commit that it sees.
  std::optional<std::uint64_t> commit{};
  std::uint8_t looks_at = 0;         // a level
  std::optional<ShownFrom> shown{};  // at each level; nothing: at all of them from `completed` on
};

struct History {
  std::vector<RecordedTxn> transactions;
  // Every list after the end; a list that it lacks is empty. Nothing: not known.
  std::optional<std::map<std::string, List>> final_state{};
};

struct CheckOptions {
  bool real_time = true;  // strict serializability; without it only serializability
  bool session = true;    // real time includes it: what only it shows is named "session ...", not "strict ..."
};

struct Anomaly {
  std::string name;
  std::vector<std::uint64_t> transactions;  // ids; of a cycle: in its order
  std::string text;                         // for people, several lines
};

struct CheckResult {
  std::vector<Anomaly> anomalies;  // at most kMostOfAName of each name
  std::size_t left_out = 0;        // those beyond
  std::size_t committed = 0;       // transactions that the check took as committed
  std::size_t edges = 0;           // dependencies that were found, helper edges included
  // Reads that the replay in commit order explained or did not. 0 if no replay took place: it needs the number of
  // every committed transaction that appends. A transaction that only reads and has no number is not replayed.
  std::size_t replayed_reads = 0;

  static constexpr std::size_t kMostOfAName = 20;

  bool clean() const { return anomalies.empty(); }
  bool has(const std::string& name) const;
  std::string text() const;  // all of it, for a failure message
};

// Throws std::invalid_argument for what is no history: a value appended twice to one list, a completion before its
// invocation, an id used twice, transactions of one client that overlap (with options.session).
// Time and memory: linear in the operations and the lengths of all lists read, plus one sort.
CheckResult check_history(const History& history, const CheckOptions& options = {});

}  // namespace azoth::test
