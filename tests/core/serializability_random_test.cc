// The checker of recorded histories against random ones: those of a serial executor, which are right; those with one
// planted fault; and small wild ones, whose verdict is found by trying all orders.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iostream>
#include <random>
#include <set>

#include "support/seed.h"
#include "support/serializability.h"

namespace azoth::test {
namespace {

using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t limit) { return static_cast<std::size_t>(random() % limit); }
bool chance(Random& random, std::size_t percent) { return below(random, 100) < percent; }

struct Shape {
  std::size_t transactions = 30;
  std::size_t clients = 4;
  std::size_t lists = 3;
  std::size_t longest = 1000;  // a list that long is replaced by a new one
  std::size_t most_ops = 4;
  std::size_t aborted = 10;  // percent
  std::size_t unknown = 5;
  bool numbers = true;  // give commit numbers
};

// Clients whose transactions overlap at random; each takes effect at one moment between its invocation and its
// completion, or, of unknown outcome, later or never.
class SerialExecutor {
 public:
  SerialExecutor(const Shape& shape, Random& random) : shape_(shape), random_(random), clients_(shape.clients) {
    for (std::size_t i = 0; i < shape.lists; ++i) open_new_list(i);
  }

  History run() {
    while (completed_ < shape_.transactions) step(below(random_, clients_.size()));
    for (std::size_t t : late_) {
      if (chance(random_, 50)) take_effect(t);
    }
    history_.final_state = state_;
    return std::move(history_);
  }

 private:
  enum class Phase { Idle, Invoked, Done };
  struct Client {
    Phase phase = Phase::Idle;
    std::size_t txn = 0;
  };

  void open_new_list(std::size_t i) {
    names_.resize(std::max(names_.size(), i + 1));
    names_[i] = "list" + std::to_string(next_list_++);
  }

  void step(std::size_t number) {
    Client& client = clients_[number];
    ++tick_;
    if (client.phase == Phase::Idle) {
      if (history_.transactions.size() == shape_.transactions) return;
      client.txn = history_.transactions.size();
      client.phase = Phase::Invoked;
      begin(number);
    } else if (client.phase == Phase::Invoked) {
      client.phase = Phase::Done;
      const TxnOutcome outcome = history_.transactions[client.txn].outcome;
      if (outcome == TxnOutcome::Committed) take_effect(client.txn);
      if (outcome == TxnOutcome::Unknown) late_.push_back(client.txn);
    } else {
      history_.transactions[client.txn].completed = tick_;
      client.phase = Phase::Idle;
      ++completed_;
    }
    if (!late_.empty() && chance(random_, 20)) {
      take_effect(late_.back());
      late_.pop_back();
    }
  }

  void begin(std::size_t client) {
    RecordedTxn txn{.id = history_.transactions.size() + 1,
                    .client = static_cast<std::uint32_t>(client),
                    .invoked = tick_,
                    .ops = {}};
    const std::size_t dice = below(random_, 100);
    if (dice < shape_.aborted + shape_.unknown) txn.outcome = TxnOutcome::Unknown;
    if (dice < shape_.aborted) txn.outcome = TxnOutcome::Aborted;
    const std::size_t ops = 1 + below(random_, shape_.most_ops);
    for (std::size_t i = 0; i < ops; ++i) {
      const std::string& key = names_[below(random_, names_.size())];
      txn.ops.push_back(chance(random_, 50) ? MicroOp::append(key, next_value_++) : MicroOp::read(key, {}));
    }
    history_.transactions.push_back(std::move(txn));
  }

  void take_effect(std::size_t t) {
    RecordedTxn& txn = history_.transactions[t];
    bool appends = false;
    for (MicroOp& op : txn.ops) {
      List& list = state_[op.key];
      if (op.kind == MicroOp::Kind::Read) {
        op.seen = list;
        continue;
      }
      appends = true;
      list.push_back(op.value);
      const auto at = std::find(names_.begin(), names_.end(), op.key);
      if (list.size() >= shape_.longest && at != names_.end()) {
        open_new_list(static_cast<std::size_t>(at - names_.begin()));
      }
    }
    commits_ += appends ? 1 : 0;
    if (shape_.numbers) txn.commit = commits_;
  }

  const Shape shape_;
  Random& random_;
  History history_;
  std::map<std::string, List> state_;
  std::vector<Client> clients_;
  std::vector<std::string> names_;
  std::vector<std::size_t> late_;
  std::size_t next_list_ = 0;
  ListValue next_value_ = 1;
  std::uint64_t tick_ = 0;
  std::uint64_t commits_ = 0;
  std::size_t completed_ = 0;
};

History valid_history(const Shape& shape, Random& random) { return SerialExecutor(shape, random).run(); }

const Shape kLarge{.transactions = 100'000, .clients = 16, .lists = 20, .longest = 100};

void expect_clean_and_tell_the_time(const History& history, bool replayed) {
  const auto before = std::chrono::steady_clock::now();
  const CheckResult result = check_history(history);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - before;
  EXPECT_TRUE(result.clean()) << result.text();
  EXPECT_EQ(result.replayed_reads > 0, replayed);
  std::cout << history.transactions.size() << " transactions, " << result.edges << " edges: " << taken.count()
            << " s\n";
}

TEST(SerializabilityRandom, AHundredThousandSerialTransactionsAreClean) {
  Random random(test_seed());
  Shape shape = kLarge;
  expect_clean_and_tell_the_time(valid_history(shape, random), true);
  shape.numbers = false;
  History history = valid_history(shape, random);
  expect_clean_and_tell_the_time(history, false);
  history.final_state.reset();
  expect_clean_and_tell_the_time(history, false);
}

TEST(SerializabilityRandom, OneStaleReadAmongAHundredThousandTransactionsIsFound) {
  Random random(test_seed());
  Shape shape = kLarge;
  shape.numbers = false;
  History history = valid_history(shape, random);
  for (auto txn = history.transactions.rbegin(); txn != history.transactions.rend(); ++txn) {
    if (txn->outcome != TxnOutcome::Committed || txn->ops.size() != 1) continue;
    if (txn->ops[0].kind != MicroOp::Kind::Read || txn->ops[0].seen.size() <= 80) continue;
    txn->ops[0].seen.clear();
    const CheckResult result = check_history(history);
    ASSERT_FALSE(result.clean());
    const std::vector<std::uint64_t>& ids = result.anomalies[0].transactions;
    EXPECT_TRUE(std::find(ids.begin(), ids.end(), txn->id) != ids.end()) << result.text();
    return;
  }
  FAIL() << "the history has no read to spoil";
}

TEST(SerializabilityRandom, SmallSerialHistoriesAreClean) {
  const std::uint64_t seed = test_seed();
  for (std::uint64_t run = 0; run < 500; ++run) {
    Random random(seed + run);
    Shape shape;
    shape.transactions = 1 + below(random, 40);
    shape.clients = 1 + below(random, 8);
    shape.lists = 1 + below(random, 4);
    History history = valid_history(shape, random);
    if (chance(random, 30)) history.final_state.reset();
    const CheckResult result = check_history(history);
    ASSERT_TRUE(result.clean()) << "AZOTH_TEST_SEED=" << seed << " run " << run << '\n' << result.text();
  }
}

// --- One fault in a right history -----------------------------------------------------------------------------------

struct Spot {
  std::size_t txn;
  std::size_t op;
};

// All operations of one kind and outcome; reads only if the transaction does nothing else with the list.
std::vector<Spot> spots(const History& history, MicroOp::Kind kind, TxnOutcome outcome) {
  std::vector<Spot> found;
  for (std::size_t t = 0; t < history.transactions.size(); ++t) {
    const RecordedTxn& txn = history.transactions[t];
    if (txn.outcome != outcome) continue;
    for (std::size_t i = 0; i < txn.ops.size(); ++i) {
      const auto same = std::count_if(txn.ops.begin(), txn.ops.end(),
                                      [&](const MicroOp& other) { return other.key == txn.ops[i].key; });
      if (txn.ops[i].kind == kind && (kind == MicroOp::Kind::Append || same == 1)) found.push_back({t, i});
    }
  }
  return found;
}

const RecordedTxn& writer_of(const History& history, const std::string& key, ListValue value) {
  for (const RecordedTxn& txn : history.transactions) {
    for (const MicroOp& op : txn.ops) {
      if (op.kind == MicroOp::Kind::Append && op.key == key && op.value == value) return txn;
    }
  }
  throw std::logic_error("a value that nobody wrote");
}

// Every list of that name that is part of the history.
std::vector<List*> all_lists(History& history, const std::string& key) {
  std::vector<List*> lists;
  for (RecordedTxn& txn : history.transactions) {
    for (MicroOp& op : txn.ops) {
      if (op.kind == MicroOp::Kind::Read && op.key == key) lists.push_back(&op.seen);
    }
  }
  lists.push_back(&(*history.final_state)[key]);
  return lists;
}

// A fault, and the name and the transaction that must be reported for it.
struct Fault {
  std::set<std::string> names;
  std::uint64_t id = 0;
};
using Mutation = std::optional<Fault> (*)(History&, Random&);  // nothing: no place for it in this history

const std::set<std::string> kCycles{"G0",         "G1c",         "G-single",         "G2",
                                    "session G0", "session G1c", "session G-single", "session G2",
                                    "strict G0",  "strict G1c",  "strict G-single",  "strict G2"};

std::optional<Fault> stale_read(History& history, Random& random) {
  std::vector<Spot> at = spots(history, MicroOp::Kind::Read, TxnOutcome::Committed);
  std::shuffle(at.begin(), at.end(), random);
  for (const Spot& spot : at) {
    RecordedTxn& txn = history.transactions[spot.txn];
    MicroOp& op = txn.ops[spot.op];
    for (std::size_t kept = op.seen.size(); kept-- > 0;) {
      const RecordedTxn& missed = writer_of(history, op.key, op.seen[kept]);
      if (missed.outcome != TxnOutcome::Committed || missed.completed >= txn.invoked) continue;
      op.seen.resize(kept);
      return Fault{kCycles, txn.id};
    }
  }
  return std::nullopt;
}

std::optional<Fault> read_of_the_future(History& history, Random& random) {
  std::vector<Spot> at = spots(history, MicroOp::Kind::Read, TxnOutcome::Committed);
  std::shuffle(at.begin(), at.end(), random);
  for (const Spot& spot : at) {
    RecordedTxn& txn = history.transactions[spot.txn];
    MicroOp& op = txn.ops[spot.op];
    const List& all = (*history.final_state)[op.key];
    for (std::size_t shown = op.seen.size(); shown < all.size(); ++shown) {
      if (writer_of(history, op.key, all[shown]).invoked <= txn.completed) continue;
      op.seen.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(shown) + 1);
      return Fault{kCycles, txn.id};
    }
  }
  return std::nullopt;
}

std::optional<Fault> dropped_append(History& history, Random& random) {
  const std::vector<Spot> at = spots(history, MicroOp::Kind::Append, TxnOutcome::Committed);
  if (at.empty()) return std::nullopt;
  const Spot spot = at[below(random, at.size())];
  const MicroOp op = history.transactions[spot.txn].ops[spot.op];
  for (List* list : all_lists(history, op.key)) std::erase(*list, op.value);
  return Fault{{"lost update"}, history.transactions[spot.txn].id};
}

std::optional<Fault> visible_aborted_value(History& history, Random& random) {
  const std::vector<Spot> at = spots(history, MicroOp::Kind::Append, TxnOutcome::Aborted);
  if (at.empty()) return std::nullopt;
  const Spot spot = at[below(random, at.size())];
  const MicroOp op = history.transactions[spot.txn].ops[spot.op];
  const std::size_t place = below(random, (*history.final_state)[op.key].size() + 1);
  const std::vector<List*> lists = all_lists(history, op.key);
  for (List* list : lists) {
    if (list->size() > place || list == lists.back()) {
      list->insert(list->begin() + static_cast<std::ptrdiff_t>(place), op.value);
    }
  }
  return Fault{{"G1a"}, history.transactions[spot.txn].id};
}

std::optional<Fault> reversed_read(History& history, Random& random) {
  std::vector<Spot> at = spots(history, MicroOp::Kind::Read, TxnOutcome::Committed);
  std::shuffle(at.begin(), at.end(), random);
  for (const Spot& spot : at) {
    RecordedTxn& txn = history.transactions[spot.txn];
    List& seen = txn.ops[spot.op].seen;
    if (seen.size() < 2) continue;
    std::reverse(seen.begin(), seen.end());
    return Fault{{"incompatible orders"}, txn.id};
  }
  return std::nullopt;
}

bool reported(const CheckResult& result, const Fault& fault) {
  return std::any_of(result.anomalies.begin(), result.anomalies.end(), [&](const Anomaly& anomaly) {
    return fault.names.contains(anomaly.name) &&
           std::find(anomaly.transactions.begin(), anomaly.transactions.end(), fault.id) != anomaly.transactions.end();
  });
}

void expect_found_each_time(Mutation mutation, bool replay_finds_it_too) {
  constexpr std::uint64_t kHistories = 200;
  const std::uint64_t seed = test_seed();
  std::uint64_t planted = 0;
  for (std::uint64_t run = 0; planted < kHistories; ++run) {
    ASSERT_LT(run, 10 * kHistories) << "hardly a history has a place for the fault";
    Random random(seed + run);
    History history = valid_history({}, random);
    const std::optional<Fault> fault = mutation(history, random);
    if (!fault) continue;
    ++planted;
    const CheckResult result = check_history(history);
    ASSERT_TRUE(reported(result, *fault)) << "AZOTH_TEST_SEED=" << seed << " run " << run << ": T" << fault->id << '\n'
                                          << result.text();
    if (replay_finds_it_too) {
      ASSERT_TRUE(result.has("replay")) << "AZOTH_TEST_SEED=" << seed << " run " << run;
    }
  }
}

TEST(SerializabilityRandom, AStaleReadIsFoundEachTime) { expect_found_each_time(stale_read, true); }
TEST(SerializabilityRandom, AReadOfTheFutureIsFoundEachTime) { expect_found_each_time(read_of_the_future, true); }
TEST(SerializabilityRandom, ADroppedAppendIsFoundEachTime) { expect_found_each_time(dropped_append, false); }
TEST(SerializabilityRandom, AVisibleAbortedValueIsFoundEachTime) {
  expect_found_each_time(visible_aborted_value, false);
}
TEST(SerializabilityRandom, AReversedReadIsFoundEachTime) { expect_found_each_time(reversed_read, true); }

// --- Against the trying of all orders -------------------------------------------------------------------------------

// Whether some order of the committed and any of the unknown transactions explains everything.
class AllOrders {
 public:
  AllOrders(const History& history, bool real_time) : history_(history), real_time_(real_time) {}

  bool any() {
    placed_.assign(history_.transactions.size(), false);
    return place();
  }

 private:
  bool place() {
    bool all = true;
    for (std::size_t t = 0; t < placed_.size(); ++t) {
      const RecordedTxn& txn = history_.transactions[t];
      if (placed_[t] || txn.outcome == TxnOutcome::Aborted) continue;
      all = all && txn.outcome == TxnOutcome::Unknown;
      if (must_wait(txn)) continue;
      const std::map<std::string, List> before = state_;
      placed_[t] = true;
      if (apply(txn) && place()) return true;
      placed_[t] = false;
      state_ = before;
    }
    return all && ends_right();
  }

  bool must_wait(const RecordedTxn& txn) const {
    for (std::size_t t = 0; t < placed_.size(); ++t) {
      const RecordedTxn& other = history_.transactions[t];
      if (placed_[t] || other.outcome != TxnOutcome::Committed) continue;
      const std::uint64_t shown = other.shown ? (*other.shown)[txn.looks_at] : other.completed;
      if (real_time_ && shown < txn.invoked + (other.client == txn.client ? 1 : 0)) return true;
    }
    return false;
  }

  bool apply(const RecordedTxn& txn) {
    for (const MicroOp& op : txn.ops) {
      List& list = state_[op.key];
      if (op.kind == MicroOp::Kind::Append) {
        list.push_back(op.value);
      } else if (op.seen != list) {
        return false;
      }
    }
    return true;
  }

  bool ends_right() {
    if (!history_.final_state) return true;
    for (const auto& [key, list] : *history_.final_state) {
      if (state_[key] != list) return false;
    }
    for (const auto& [key, list] : state_) {
      if (!list.empty() && !history_.final_state->contains(key)) return false;
    }
    return true;
  }

  const History& history_;
  const bool real_time_;
  std::vector<bool> placed_;
  std::map<std::string, List> state_;
};

// A few reads of a right history are cut, extended or emptied; a few lists of the end too.
void spoil(History& history, Random& random) {
  std::map<std::string, List> all = *history.final_state;
  auto spoil_list = [&](const std::string& key, List& list) {
    const List& longest = all[key];
    list.assign(longest.begin(), longest.begin() + static_cast<std::ptrdiff_t>(below(random, longest.size() + 1)));
    if (list.size() > 1 && chance(random, 10)) std::swap(list[0], list[1]);
  };
  for (RecordedTxn& txn : history.transactions) {
    for (MicroOp& op : txn.ops) {
      if (op.kind == MicroOp::Kind::Read && chance(random, 25)) spoil_list(op.key, op.seen);
    }
    txn.looks_at = static_cast<std::uint8_t>(below(random, 3));
    if (chance(random, 50)) txn.shown = ShownFrom{txn.completed, txn.completed + below(random, 4), kNever, kNever};
  }
  for (auto& [key, list] : *history.final_state) {
    if (chance(random, 5)) spoil_list(key, list);
  }
  if (chance(random, 50)) history.final_state.reset();
}

std::string text(const History& history) {
  std::string all;
  auto add_list = [&](const List& list) {
    all += '[';
    for (ListValue value : list) all += std::to_string(value) + ' ';
    all += ']';
  };
  for (const RecordedTxn& txn : history.transactions) {
    constexpr std::array<const char*, 3> kOutcomes{"committed", "aborted", "unknown"};
    all += 'T' + std::to_string(txn.id) + " client " + std::to_string(txn.client) + ' ' + std::to_string(txn.invoked) +
           ".." + std::to_string(txn.completed) + ' ' + kOutcomes[static_cast<std::size_t>(txn.outcome)];
    for (const MicroOp& op : txn.ops) {
      all += "  " + op.key + (op.kind == MicroOp::Kind::Append ? " + " + std::to_string(op.value) : " = ");
      if (op.kind == MicroOp::Kind::Read) add_list(op.seen);
    }
    all += '\n';
  }
  if (!history.final_state) return all;
  for (const auto& [key, list] : *history.final_state) {
    all += "in the end " + key + " = ";
    add_list(list);
    all += '\n';
  }
  return all;
}

TEST(SerializabilityRandom, TheVerdictIsThatOfTryingAllOrders) {
  const std::uint64_t seed = test_seed();
  std::size_t right = 0;
  std::size_t wrong = 0;
  for (std::uint64_t run = 0; run < 4000; ++run) {
    Random random(seed + run);
    Shape shape{.unknown = 10, .numbers = false};
    shape.transactions = 2 + below(random, 5);
    shape.clients = 1 + below(random, 4);
    shape.lists = 1 + below(random, 3);
    History history = valid_history(shape, random);
    spoil(history, random);
    const bool real_time = chance(random, 70);
    const bool explained = AllOrders(history, real_time).any();
    const CheckResult result = check_history(history, {.real_time = real_time, .session = real_time});
    ASSERT_EQ(result.clean(), explained) << "AZOTH_TEST_SEED=" << seed << " run " << run << '\n'
                                         << text(history) << result.text();
    ++(explained ? right : wrong);
  }
  EXPECT_GT(right, 400u);
  EXPECT_GT(wrong, 400u);
  std::cout << right << " can be explained, " << wrong << " cannot\n";
}

}  // namespace
}  // namespace azoth::test
