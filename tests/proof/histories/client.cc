#include "client.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <thread>

namespace azoth::proof::histories {
namespace {

constexpr std::size_t kMostInFlight = 16;
constexpr std::uint64_t kBulkOneIn = 2000;

// What the store says when it takes no transaction for the moment. Nothing was changed then.
bool is_refusal(ErrorCode code) {
  return code == ErrorCode::Paused || code == ErrorCode::Sealed || code == ErrorCode::LockTimeout ||
         code == ErrorCode::Backpressure;
}

Values read_tag(const ReadTxn& snapshot, ListId list, bool reverse = false) {
  Values values;
  for (const EventView& event : snapshot.events({.tags = {list.name()}, .reverse = reverse})) {
    const Values value = parse_values(event.payload());
    values.insert(values.end(), value.begin(), value.end());
  }
  if (reverse) std::reverse(values.begin(), values.end());
  return values;
}

bool next_to_each_other(const std::vector<Wish>& wishes) {
  auto apart = [](const Wish& a, const Wish& b) {
    return a.list.slot() != b.list.slot() || a.list.number() + 1 != b.list.number();
  };
  return wishes.size() > 1 && wishes.front().list.is_key() &&
         std::adjacent_find(wishes.begin(), wishes.end(), apart) == wishes.end();
}

// Of lists that are next to each other.
std::vector<Op> scan_lists(const ReadTxn& snapshot, const std::vector<Wish>& wishes, bool reverse) {
  std::vector<Op> ops;
  for (const Wish& wish : wishes) ops.push_back({wish.list});
  const KeyRange range{.from = wishes.front().list.name(), .to = wishes.back().list.name() + "."};
  for (const auto& [key, value] : snapshot.range(range, {.reverse = reverse})) {
    const ListId list = ListId::parse(key);
    auto op = std::find_if(ops.begin(), ops.end(), [&](const Op& o) { return o.list == list; });
    if (op == ops.end()) throw std::runtime_error("a scan showed " + std::string(key) + " outside of its range");
    op->seen = parse_values(value);
  }
  return ops;
}

std::vector<Op> get_lists(const ReadTxn& snapshot, const std::vector<Wish>& wishes) {
  std::vector<std::string> names;
  for (const Wish& wish : wishes) names.push_back(wish.list.name());
  const std::vector<std::string_view> keys(names.begin(), names.end());
  const auto values = snapshot.get_many(keys);
  std::vector<Op> ops;
  for (std::size_t i = 0; i < wishes.size(); ++i)
    ops.push_back({.list = wishes[i].list, .seen = parse_values(values[i].value_or(""))});
  return ops;
}

// A WriteSet that is used as a transaction: what it reads of keys is what must still be there.
class Optimistic {
 public:
  explicit Optimistic(const ReadTxn& snapshot) : snapshot_(snapshot) {}

  std::optional<std::string_view> get(const std::string& key) {
    const auto [at, is_new] = values_.try_emplace(key);
    if (is_new) {
      if (const auto value = snapshot_.get(key)) at->second = *value;
      conditions.push_back(at->second ? Condition::key_equals(key, *at->second) : Condition::key_absent(key));
    }
    return at->second;
  }
  void put(const std::string& key, const std::string& value) {
    values_[key] = value;
    set.put(key, value);
  }
  void append(const Event& event) { set.append(event); }

  WriteSet set;
  std::vector<Condition> conditions;

 private:
  const ReadTxn& snapshot_;
  std::map<std::string, std::optional<std::string>> values_;
};

}  // namespace

Sight sight_of(Durability level) {
  return level == Durability::Applied ? Sight::Applied : level == Durability::Written ? Sight::Written : Sight::Durable;
}

std::vector<Wish> lists_to_read(Shared& shared, std::mt19937_64& random) {
  std::vector<Wish> wishes;
  if (random() % 3 == 0) {
    const ListId newest = shared.wish(static_cast<Word>(random() % kKeySlots), false).list;
    for (Word number = std::max(newest.number(), 2u) - 2; number <= newest.number() + 1; ++number)
      wishes.push_back({ListId::of(newest.slot(), number)});
  } else {
    for (std::size_t n = 1 + random() % 4; n != 0; --n)
      wishes.push_back(shared.wish(static_cast<Word>(random() % kSlots), false));
  }
  return wishes;
}

std::vector<Op> read_lists(const ReadTxn& snapshot, const std::vector<Wish>& wishes, std::mt19937_64& random) {
  if (next_to_each_other(wishes)) return scan_lists(snapshot, wishes, random() % 2 == 0);
  const bool only_keys = std::all_of(wishes.begin(), wishes.end(), [](const Wish& wish) { return wish.list.is_key(); });
  if (only_keys) return get_lists(snapshot, wishes);
  std::vector<Op> ops;
  for (const Wish& wish : wishes) {
    ops.push_back({.list = wish.list,
                   .seen = wish.list.is_key() ? parse_values(snapshot.get(wish.list.name()).value_or(""))
                                              : read_tag(snapshot, wish.list, random() % 4 == 0)});
  }
  return ops;
}

Client::Client(Db& db, Shared& shared, const Places& places, const Setting& setting)
    : db_(db),
      shared_(shared),
      setting_(setting),
      random_(setting.seed),
      before_(read_attempts(places.attempts(setting.life - 1, setting.client), setting.life - 1, setting.client)),
      file_(places.attempts(setting.life, setting.client)) {}

void Client::run() {
  // What was under way first: it is the oldest that was not answered.
  for (const Attempt& attempt : before_) {
    if (attempt.command && !attempt.answer) ask_again(attempt);
  }
  const std::size_t last = before_.size() > 2 * kMostInFlight ? before_.size() - 2 * kMostInFlight : 0;
  for (std::size_t i = last; i < before_.size(); ++i) {
    if (before_[i].command && before_[i].acknowledged() == Sight::Applied && !stopped()) ask_again(before_[i]);
  }
  while (!stopped()) transact();
  land(0);
}

void Client::transact() {
  switch (random_() % 16) {
    case 0:
    case 1:
    case 2:
      return by_locks(true);
    case 3:
      return by_check();
    case 4:
    case 5:
      return by_conditions(true);
    case 6:
      return exclusively();
    case 7:
    case 8:
    case 9:
      return by_locks(false);
    case 10:
      return by_conditions(false);
    default:
      return by_reading();
  }
}

// --- The ways to transact

void Client::by_locks(bool wait) {
  const bool only_reads = wait && one_in(5);
  begin(wishes(only_reads), !only_reads && one_in(4), [&] { execute(wait); });
}

void Client::execute(bool wait) {
  const Durability level = any_level();
  Tags tags = see_tags();
  Transaction transaction = this->transaction(tags);
  const TransactionEnd outcome = transaction.durability(level).submit([&](Txn& txn) { do_all(txn, tags); });
  end(outcome ? Outcome<Ticket>(outcome.ticket()) : Outcome<Ticket>(outcome.rejection()), level, wait);
  if (outcome && current_.command && one_in(4)) expect_a_repeat(transaction, outcome.commit().commit_seq);
}

// Not of its own, but of what the one before it was told.
void Client::expect_a_repeat(Transaction& transaction, CommitSeq commit) {
  refused([&] {
    const TransactionEnd again = transaction.submit([](Txn&) { throw std::runtime_error("a repeated command ran"); });
    if (!again.already_applied() || again.commit().commit_seq != commit)
      throw std::runtime_error("a repeated command is another commit");
  });
}

// A check that rejects tells what it saw.
void Client::by_check() {
  const Wish append = shared_.wish(static_cast<Word>(random_() % kKeySlots), true);
  begin({{append.list}, append}, false, [&] {
    const Durability level = any_level();
    const bool holds = one_in(2);
    Values seen;
    auto look = [&](std::optional<std::string_view> value) {
      seen = parse_values(value.value_or(""));
      return holds;
    };
    Tags none;
    Transaction transaction = this->transaction(none);
    const TransactionEnd outcome =
        transaction.require(append.list.name(), look, "not this time").durability(level).execute([&](Txn& txn) {
          do_all(txn, none);
        });
    if (outcome) return end(outcome.ticket(), level, true);
    ops_ = {{.list = append.list, .seen = seen}};
    answer({.ending = Ending::Rejected, .level = sight_of(level)});
  });
}

void Client::by_conditions(bool wait) {
  begin(wishes(one_in(8)), one_in(4), [&] {
    const Durability level = any_level();
    std::optional<ReadTxn> snapshot = db_.read(any_level());
    Tags tags = see_tags(*snapshot);
    Optimistic writer(*snapshot);
    do_all(writer, tags);
    snapshot.reset();
    std::vector<Condition> conditions = std::move(writer.conditions);
    conditions.insert(conditions.end(), tags.conditions.begin(), tags.conditions.end());
    std::shuffle(conditions.begin(), conditions.end(), random_);
    const std::string id = command_id();
    SubmitOptions options{.level = level};
    if (current_.command) options.command = Command{.id = id};
    end(db_.submit(std::move(writer.set), conditions, options), level, wait);
  });
}

// While it lives nobody else commits.
void Client::exclusively() {
  begin(wishes(one_in(6)), false, [&] {
    const Durability level = any_level();
    WriteTxn txn = db_.begin();
    Tags tags = see_tags(db_.read(Durability::Applied));
    do_all(txn, tags);
    if (one_in(10)) return answer({.ending = Ending::Aborted});
    end(txn.commit_async(level), level, true);
  });
}

void Client::by_reading() {
  begin(lists_to_read(shared_, random_), false, [&] {
    const Durability level = any_level();
    const ReadTxn snapshot = db_.read(level);
    ops_ = read_lists(snapshot, current_.wishes, random_);
    answer({.level = sight_of(level), .looks_at = sight_of(level), .commit = static_cast<Word>(snapshot.commit_seq())});
  });
}

// --- What is common to them

void Client::begin(std::vector<Wish> wishes, bool command, const std::function<void()>& body) {
  current_ = {.life = setting_.life,
              .client = setting_.client,
              .txn = shared_.next_txn(),
              .invoked = shared_.tick(),
              .wishes = std::move(wishes)};
  current_.command = command && current_.appends();
  bulk_ = current_.appends() && one_in(kBulkOneIn);
  file_.invoked(current_);
  if (refused(body)) answer({.ending = Ending::Aborted});
  shared_.count_ended();
}

// A refusal says nothing about the first attempt, so it is no answer.
void Client::ask_again(const Attempt& before) {
  current_ = before;
  current_.life = setting_.life;
  current_.invoked = shared_.tick();
  bulk_ = false;
  file_.invoked(current_);
  while (refused([&] { execute(true); })) {
    if (stopped()) return;
  }
}

bool Client::refused(const std::function<void()>& body) {
  try {
    body();
    return false;
  } catch (const Error& error) {
    if (!is_refusal(error.code())) throw;
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return true;
}

void Client::end(const Outcome<Ticket>& outcome, Durability level, bool wait) {
  if (!outcome) return answer({.ending = Ending::Aborted});
  const Ticket& ticket = outcome.value();
  const auto commit = static_cast<Word>(ticket.info().commit_seq);
  if (ticket.info().already_applied) {
    ops_.clear();
    return answer({.level = sight_of(level), .commit = commit, .already_applied = true});
  }
  if (wait) ticket.wait(level);
  answer({.level = wait ? sight_of(level) : Sight::Applied, .commit = commit});
  if (wait || level == Durability::Applied) return;
  in_flight_.push_back({current_.txn, ticket, level});
  land(one_in(40) ? 0 : kMostInFlight);
}

void Client::answer(Answer answer) {
  answer.tick = shared_.tick();
  if (answer.ending != Ending::Aborted) answer.ops = std::move(ops_);
  ops_.clear();
  file_.answered(current_.txn, answer);
}

void Client::land(std::size_t most_in_flight) {
  for (; in_flight_.size() > most_in_flight; in_flight_.pop_front()) {
    const auto& [txn, ticket, level] = in_flight_.front();
    one_in(8) ? void(ticket.future(level).get()) : void(ticket.wait(level));
    file_.reached(txn, {shared_.tick(), sight_of(level)});
  }
}

Transaction Client::transaction(const Tags& tags) {
  Transaction transaction = db_.transaction();
  for (const Wish& wish : current_.wishes) {
    if (!wish.list.is_key()) continue;
    wish.append == 0 ? transaction.shared(wish.list.name()) : transaction.exclusive(wish.list.name());
  }
  for (const Condition& condition : tags.conditions) transaction.require(condition);
  if (bulk_) transaction.exclusive(padding());
  if (current_.command) transaction.command(command_id());
  return transaction;
}

Client::Tags Client::see_tags() {
  const bool reads_tags = std::any_of(current_.wishes.begin(), current_.wishes.end(),
                                      [](const Wish& wish) { return !wish.list.is_key() && wish.append == 0; });
  return reads_tags ? see_tags(db_.read(any_level())) : Tags{};
}

Client::Tags Client::see_tags(const ReadTxn& snapshot) {
  Tags tags;
  for (const Wish& wish : current_.wishes) {
    if (wish.list.is_key() || wish.append != 0) continue;
    const auto [list, is_new] = tags.lists.try_emplace(wish.list);
    if (!is_new) continue;
    const std::string name = wish.list.name();
    list->second = read_tag(snapshot, wish.list);
    if (one_in(2)) {
      const EventId newest = snapshot.tag_version(name);
      const auto version = newest == 0 ? ExpectedVersion::none() : ExpectedVersion::exactly(newest);
      tags.conditions.push_back(Condition::tag_version(name, version));
    } else {
      tags.conditions.push_back(snapshot.guarded({{.types = {}, .tags = {name}}}).unchanged());
    }
  }
  return tags;
}

// An event for each value of a tag, then one that says who did all this, and what to keys.
template <class Writer>
void Client::do_all(Writer& writer, Tags& tags) {
  ops_.clear();
  std::vector<Wish> to_keys;
  for (const Wish& wish : current_.wishes) {
    if (!wish.list.is_key()) {
      append_event(writer, tags, wish);
      continue;
    }
    const std::string name = wish.list.name();
    Values values = parse_values(writer.get(name).value_or(""));
    if (wish.append == 0) {
      ops_.push_back({.list = wish.list, .seen = std::move(values)});
    } else {
      values.push_back(wish.append);
      writer.put(name, values_text(values));
      ops_.push_back({wish.list, wish.append});
      to_keys.push_back(wish);
    }
  }
  if (!current_.appends()) return;
  if (bulk_) writer.put(padding(), std::string(setting_.bulk_bytes, 'x'));
  const std::string owner = "client:" + std::to_string(setting_.client);
  const std::string payload = txn_payload(current_.txn, to_keys);
  writer.append({.type = kTxnType, .tags = {owner}, .payload = payload});
}

template <class Writer>
void Client::append_event(Writer& writer, Tags& tags, const Wish& wish) {
  const auto list = tags.lists.find(wish.list);
  if (wish.append == 0) {
    ops_.push_back({.list = wish.list, .seen = list->second});
    return;
  }
  const std::string name = wish.list.name();
  const std::string payload = std::to_string(wish.append);
  writer.append({.type = kAppendType, .tags = {name}, .payload = payload});
  ops_.push_back({wish.list, wish.append});
  if (list != tags.lists.end()) list->second.push_back(wish.append);
}

std::vector<Wish> Client::wishes(bool only_reads) {
  std::vector<Wish> all;
  for (std::size_t n = 1 + random_() % 4; n != 0; --n)
    all.push_back(shared_.wish(static_cast<Word>(random_() % kSlots), !only_reads && one_in(2)));
  return all;
}

// Each client prefers one.
Durability Client::any_level() {
  constexpr Durability kLevels[] = {Durability::Applied, Durability::Written, Durability::Durable};
  const std::uint64_t preferred = setting_.client % 4;
  return kLevels[preferred < 3 && !one_in(4) ? preferred : random_() % 3];
}

}  // namespace azoth::proof::histories
