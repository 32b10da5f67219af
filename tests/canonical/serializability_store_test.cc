// Recorded histories of the real store, judged by a checker that knows nothing of it: whatever the ways of writing, the
// threads, the levels and the flushes, there is one serial order that explains all that anybody saw.
#include "support/serializability.h"

#include <map>

#include "list_history.h"
#include "write_path_support.h"

namespace azoth::test {
namespace {

constexpr std::size_t kBulkPadding = 40'000;  // more than half of the smallest segment
constexpr std::uint64_t kBulkOneIn = 400;

class Serializability : public WritePath, public testing::WithParamInterface<Levels> {};

std::string name_of(const testing::TestParamInfo<Levels>& info) { return info.param.name; }

List parse(std::string_view text) {
  List list;
  for (const char* at = text.data(); at < text.data() + text.size(); ++at) {
    at = std::from_chars(at, text.data() + text.size(), list.emplace_back()).ptr;
  }
  return list;
}

std::string with(std::optional<std::string_view> text, ListValue value) {
  std::string joined = text ? std::string(*text) + "," : "";
  return joined + std::to_string(value);
}

// --- Lists that are keys: their values are the numbers that were appended, with commas.

class KeyListClient final : public ListClient {
 public:
  using ListClient::ListClient;

  List read(const ReadTxn& snapshot, const std::string& list) override {
    return parse(snapshot.get(list).value_or(""));
  }

 private:
  void transact() override {
    switch (random_() % 8) {
      case 0:
      case 1:
      case 2:
        return by_transaction();
      case 3:
      case 4:
        return by_condition();
      case 5:
        return by_write_txn();
      default:
        return by_reading();
    }
  }

  // In a Txn or a WriteTxn.
  template <class Txn>
  void do_all(const std::vector<Wish>& wishes, Txn& txn) {
    for (const Wish& wish : wishes) {
      auto value = txn.get(wish.list);
      if (wish.append == 0) {
        saw(wish, parse(value.value_or("")));
      } else {
        txn.put(wish.list, with(value, wish.append));
        appended(wish);
      }
    }
  }

  void by_transaction() {
    std::vector<Wish> all = wishes(one_in(4));
    bool bulk = one_in(kBulkOneIn);
    bool command = one_in(8);
    std::string id = "command " + std::to_string(current_.id);
    Transaction transaction = store_.transaction();
    for (const Wish& wish : all) wish.append == 0 ? transaction.shared(wish.list) : transaction.exclusive(wish.list);
    if (bulk) transaction.exclusive(padding());
    if (command) transaction.command(id);
    auto outcome = transaction.durability(write_level()).execute([&](Txn& txn) {
      do_all(all, txn);
      if (bulk) txn.put(padding(), std::string(kBulkPadding, 'x'));
    });
    current_.commit = outcome.commit().commit_seq;
    if (!command || !one_in(2)) return;
    auto again = transaction.execute([](Txn&) { ADD_FAILURE() << "a repeated command ran"; });
    EXPECT_TRUE(again.already_applied());
    EXPECT_EQ(again.commit().commit_seq, *current_.commit);
  }

  void by_write_txn() {
    std::vector<Wish> all = wishes();
    WriteTxn txn = store_.begin();
    do_all(all, txn);
    if (one_in(kBulkOneIn)) txn.put(padding(), std::string(kBulkPadding, 'x'));
    if (one_in(10)) {
      txn.abort();
      current_.outcome = TxnOutcome::Aborted;
    } else {
      current_.commit = txn.commit(write_level()).commit_seq;
    }
  }

  // What was read is what must still be there.
  void by_condition() {
    ReadTxn snapshot = store_.read(Durability::Applied);
    std::map<std::string, std::optional<std::string>> lists;
    WriteSet set;
    std::vector<Condition> conditions;
    for (const Wish& wish : wishes(one_in(8))) {
      auto [list, is_new] = lists.try_emplace(wish.list);
      if (is_new) {
        if (auto value = snapshot.get(wish.list)) list->second = *value;
        conditions.push_back(list->second ? Condition::key_equals(wish.list, *list->second)
                                          : Condition::key_absent(wish.list));
      }
      if (wish.append == 0) {
        saw(wish, parse(list->second.value_or("")));
      } else {
        list->second = with(list->second, wish.append);
        set.put(wish.list, *list->second);
        appended(wish);
      }
    }
    if (one_in(kBulkOneIn)) set.put(padding(), std::string(kBulkPadding, 'x'));
    ended(store_.submit(std::move(set), conditions, {.level = write_level()}));
  }

  std::string padding() const { return "padding:" + std::to_string(client_); }
};

TEST_P(Serializability, OfListsThatAreKeys) {
  bool fast = GetParam().writes == std::vector{Durability::Applied};
  record_and_check<KeyListClient>(GetParam(), transactions_or(fast ? 100'000 : 10'000));
}

// --- Lists that are the events with a tag. Nothing but conditions on events keeps two writers apart.

class EventListClient final : public ListClient {
 public:
  using ListClient::ListClient;

  List read(const ReadTxn& snapshot, const std::string& list) override {
    return numbers(snapshot.events({.tags = {list}}));
  }

 private:
  void transact() override {
    switch (random_() % 8) {
      case 0:
      case 1:
        return by_condition(false);
      case 2:
      case 3:
        return by_condition(true);
      case 4:
        return by_write_txn();
      case 5:
        return blindly();
      default:
        return by_reading();
    }
  }

  static List numbers(EventRange events) {
    List list;
    for (const EventView& event : events)
      list.push_back(std::strtoull(std::string(event.payload()).c_str(), nullptr, 10));
    return list;
  }

  template <class Writer>
  void append_to(Writer& writer, const Wish& wish, bool bulk = false) {
    std::string payload = std::to_string(wish.append) + std::string(bulk ? kBulkPadding : 0, ' ');
    writer.append({.type = one_in(2) ? "added" : "appended", .tags = {"some", wish.list}, .payload = payload});
    appended(wish);
  }

  // The lists as a snapshot shows them and with own appends behind, and the conditions that they stay so.
  struct Seen {
    std::map<std::string, List> lists;
    std::vector<Condition> conditions;
  };
  Seen see(const ReadTxn& snapshot, const std::vector<Wish>& wishes) {
    Seen seen;
    std::vector<EventPattern> together;
    for (const Wish& wish : wishes) {
      auto [list, is_new] = seen.lists.try_emplace(wish.list);
      if (!is_new) continue;
      list->second = read(snapshot, wish.list);
      if (one_in(2)) {
        EventId newest = snapshot.tag_version(wish.list);
        auto version = newest == 0 ? ExpectedVersion::none() : ExpectedVersion::exactly(newest);
        seen.conditions.push_back(Condition::tag_version(wish.list, version));
      } else if (one_in(2)) {
        together.push_back({.types = {"added", "appended"}, .tags = {wish.list, "some"}});
      } else {
        together.push_back({.tags = {wish.list}});
      }
    }
    if (!together.empty()) seen.conditions.push_back(snapshot.guarded(together).unchanged());
    std::shuffle(seen.conditions.begin(), seen.conditions.end(), random_);
    return seen;
  }

  template <class Writer>
  void do_all(const std::vector<Wish>& wishes, Seen& seen, Writer& writer) {
    bool bulk = one_in(kBulkOneIn);
    for (const Wish& wish : wishes) {
      if (wish.append == 0) {
        saw(wish, seen.lists[wish.list]);
      } else {
        append_to(writer, wish, std::exchange(bulk, false));
        seen.lists[wish.list].push_back(wish.append);
      }
    }
  }

  void by_condition(bool in_transaction) {
    std::vector<Wish> all = wishes(one_in(8));
    std::optional<ReadTxn> snapshot = store_.read(Durability::Applied);
    Seen seen = see(*snapshot, all);
    snapshot.reset();
    if (!in_transaction) {
      WriteSet set;
      do_all(all, seen, set);
      return ended(store_.submit(std::move(set), seen.conditions, {.level = write_level()}));
    }
    Transaction transaction = store_.transaction().durability(write_level());
    for (Condition& condition : seen.conditions) transaction.require(std::move(condition));
    auto outcome = transaction.execute([&](Txn& txn) { do_all(all, seen, txn); });
    if (outcome) {
      current_.commit = outcome.commit().commit_seq;
    } else {
      current_.outcome = TxnOutcome::Aborted;
      if (!current_.ops.empty()) return;  // it was rejected behind its body
      for (const Wish& wish : all) {
        if (wish.append != 0) appended(wish);
      }
    }
  }

  // While it lives nobody else commits.
  void by_write_txn() {
    std::vector<Wish> all = wishes();
    WriteTxn txn = store_.begin();
    std::optional<ReadTxn> snapshot = store_.read(Durability::Applied);
    Seen seen = see(*snapshot, all);
    snapshot.reset();
    do_all(all, seen, txn);
    current_.commit = txn.commit(write_level()).commit_seq;
  }

  void blindly() {
    WriteSet set;
    for (std::size_t n = 1 + random_() % 2; n != 0; --n) append_to(set, recording_.wish(random_, true));
    ended(store_.submit(std::move(set), {}, {.level = write_level()}));
  }
};

TEST_P(Serializability, OfListsThatAreEvents) {
  bool fast = GetParam().writes == std::vector{Durability::Applied};
  record_and_check<EventListClient>(GetParam(), transactions_or(fast ? 60'000 : 10'000));
}

INSTANTIATE_TEST_SUITE_P(At, Serializability, testing::ValuesIn(all_levels()), name_of);

}  // namespace
}  // namespace azoth::test
