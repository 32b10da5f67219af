#include "clients.h"

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

#include "azoth/core/error.h"
#include "files.h"

namespace azoth::proof {

using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

constexpr std::array kLevels = {Durability::Applied, Durability::Written, Durability::Durable};

template <class T, std::size_t N>
const T& any_of(Random& random, const T (&from)[N]) {
  return from[random.below(N)];
}

}  // namespace

Scenario Scenario::of(Random& random) {
  Scenario scenario;
  scenario.clients = 1 + static_cast<int>(random.below(4));
  scenario.acts = 3 + static_cast<int>(random.below(10));
  scenario.has_admin = random.one_in(3);
  scenario.has_subscriber = random.one_in(3);
  scenario.closes_early = random.one_in(4);
  scenario.large_values = random.one_in(2);
  Options& options = scenario.options;
  options.delta_bytes = limits::kMinDeltaBytes;
  options.segment_bytes = limits::kMinSegmentBytes;
  options.map_bytes = std::size_t{64} << 20;
  options.max_readers = 30;
  options.delta_age = milliseconds(any_of(random, {1, 5, 50, 1000}));
  options.sync_interval = milliseconds(any_of(random, {1, 2, 10}));
  options.timeout =
      any_of<std::chrono::nanoseconds>(random, {microseconds(300), milliseconds(20), std::chrono::seconds(5)});
  options.stripes = any_of<std::size_t>(random, {1, 4, 256});
  options.sequence_block = 1 + random.below(6);
  options.command_retention = std::chrono::seconds(any_of(random, {0, 0, 1}));
  return scenario;
}

void Scene::accept(const char* act, const Error& error, bool was_held_up) {
  Scheduler::Undisturbed undisturbed;
  Scheduler::get()->note(static_cast<std::uint64_t>(error.code()));
  Scheduler::get()->tell(std::string(act) + ": " + error.what());
  const bool trouble = Files::get().had_trouble();
  switch (error.code()) {
    case ErrorCode::LockTimeout:
    case ErrorCode::Backpressure:
      return;
    case ErrorCode::Sealed:
    case ErrorCode::Paused:
      if (was_held_up) return;
      break;
    case ErrorCode::Closed:
      if (closing) return;
      break;
    case ErrorCode::StoreFailed:
    case ErrorCode::NoSpace:
    case ErrorCode::Io:  // LMDB lets nobody read any more when it could not write its meta page
      if (trouble) return;
      break;
    default:
      break;
  }
  fail(std::string(act) + " failed: " + error.what());
}

// --- A client

void Client::run() {
  for (int i = 0; i < scene_.scenario.acts; ++i) act();
  for (const Pending& pending : pending_) settle(pending);
}

void Client::act() {
  if (random_.one_in(4)) std::this_thread::sleep_for(microseconds(random_.below(random_.one_in(8) ? 20'000 : 500)));
  switch (random_.below(24)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return transact();
    case 4:
    case 5:
      return submit_decided();
    case 6:
      return submit_in_bulk();
    case 7:
      return command();
    case 8:
    case 9:
      return write_exclusively();
    case 10:
    case 11:
      return take_numbers();
    case 12:
    case 13:
    case 14:
      return read();
    case 15:
      return look_at_marks();
    case 16:
      return make_safe();
    default:
      return submit();
  }
}

template <class Act>
void Client::attempt(const char* name, Act act) {
  ++scene_.answers;
  const std::uint64_t let_go = scene_.let_go;
  try {
    act();
  } catch (const Error& error) {
    scene_.accept(name, error, scene_.is_held_up || scene_.let_go != let_go);
  }
}

// An error says that nothing was done, unless it says that this is not known.
template <class Act>
void Client::attempt(const char* name, int deed, Act act) {
  attempt(name, [&] {
    try {
      act();
    } catch (const Error& error) {
      if (!error.outcome_unknown() && ledger_.place(deed) == nullptr) ledger_.refused(deed);
      throw;
    }
  });
}

// --- What there is to do

Durability Client::any_level() { return kLevels[random_.below(kLevels.size())]; }
std::string Client::any_key() { return "k" + std::to_string(random_.below(6)); }
std::string Client::any_tag() { return "t:" + std::to_string(random_.below(3)); }

std::optional<std::chrono::nanoseconds> Client::any_timeout() {
  if (!random_.one_in(4)) return std::nullopt;
  return microseconds(random_.below(300));
}

Deed Client::new_deed(bool counts) {
  Scheduler::Undisturbed undisturbed;
  Deed deed;
  deed.number = ledger_.begin_deed();
  const std::size_t most = scene_.scenario.large_values ? 9'000 : 200;
  for (std::uint64_t i = random_.below(3); i > 0; --i) deed.puts.emplace_back(any_key(), 8 + random_.below(most));
  if (random_.one_in(3)) deed.deletes.push_back(any_key());
  for (std::uint64_t i = counts ? 1 + random_.below(2) : 0; i > 0; --i) {
    std::string key = "n" + std::to_string(random_.below(3));
    if (std::find(deed.counts.begin(), deed.counts.end(), key) == deed.counts.end()) deed.counts.push_back(key);
  }
  if (!random_.one_in(3)) deed.tags.push_back(any_tag());
  deed.events = 1 + static_cast<int>(random_.below(3));
  return deed;
}

void Client::placed(int deed, const CommitInfo& info, std::uint64_t seal) {
  Scheduler::Undisturbed undisturbed;
  Scheduler::get()->note(static_cast<std::uint64_t>(deed) << 32 ^ info.commit_seq);
  Scheduler::get()->tell("has its place: transaction " + std::to_string(deed) + ", commit " +
                         std::to_string(info.commit_seq));
  if (seal != 0 && ledger_.current_seal() == seal) fail("a transaction was done in a sealed store");
  ledger_.sequenced(deed, info);
  ++scene_.placed;
}

void Client::follow(const Ticket& ticket, int deed) {
  const Durability level = any_level();
  switch (random_.below(6)) {
    case 0:
      pending_.push_back({ticket, deed});
      return;
    case 1: {
      Scene& scene = scene_;
      int& called = scene.callbacks.emplace_back(0);
      ticket.then(level, [&scene, &called, deed, level](const CommitInfo&, const Error* failure) {
        Scheduler::Undisturbed undisturbed;
        if (++called > 1) fail("a callback has come twice");
        if (failure != nullptr) return scene.accept("a callback", *failure);
        scene.ledger.acknowledged(deed, level);
      });
      return;
    }
    case 2:
      return attempt("waiting for a while", [&] {
        if (ticket.wait_for(level, microseconds(random_.below(400)))) ledger_.acknowledged(deed, level);
      });
    case 3:
      return attempt("a future", [&] {
        ticket.future(level).get();
        ledger_.acknowledged(deed, level);
      });
    default:
      return settle({ticket, deed});
  }
}

void Client::settle(const Pending& pending) {
  attempt("waiting", [&] {
    const Durability level = any_level();
    pending.ticket.wait(level);
    Scheduler::Undisturbed undisturbed;
    Scheduler::get()->tell("was told that transaction " + std::to_string(pending.deed) + " is safe");
    ledger_.acknowledged(pending.deed, level);
  });
}

void Client::submit() {
  const Deed deed = new_deed(false);
  attempt("submit", deed.number, [&] {
    const std::uint64_t seal = ledger_.current_seal();
    WriteSet set;
    deed.write(set);
    Outcome<Ticket> outcome = store_.submit(std::move(set), {}, {.level = any_level(), .timeout = any_timeout()});
    placed(deed.number, outcome->info(), seal);
    follow(*outcome, deed.number);
  });
}

// A decision that rests on what was read before.
void Client::submit_decided() {
  Deed deed = new_deed(false);
  attempt("a conditional submit", deed.number, [&] {
    const std::uint64_t seal = ledger_.current_seal();
    const std::string tag = any_tag();
    const ReadTxn snapshot = store_.read(any_level());
    const EventId version = snapshot.tag_version(tag);
    deed.expected.emplace_back(tag, version);
    if (random_.one_in(2)) deed.tags = {tag};
    std::vector<Condition> conditions;
    if (random_.one_in(2)) {
      conditions.push_back(
          Condition::tag_version(tag, version == 0 ? ExpectedVersion::none() : ExpectedVersion::exactly(version)));
    } else {
      conditions.push_back(snapshot.guarded({{.types = {}, .tags = {tag}}}, version).unchanged());
    }
    if (random_.one_in(4)) std::this_thread::sleep_for(microseconds(random_.below(300)));
    WriteSet set;
    deed.write(set);
    Outcome<Ticket> outcome =
        store_.submit(std::move(set), conditions, {.level = any_level(), .timeout = any_timeout()});
    if (!outcome) return ledger_.refused(deed.number);
    placed(deed.number, outcome->info(), seal);
    follow(*outcome, deed.number);
  });
}

void Client::submit_in_bulk() {
  Deed deed = new_deed(false);
  deed.puts.emplace_back(any_key(), limits::kMinSegmentBytes / 2 + random_.below(9'000));
  attempt("a bulk transaction", deed.number, [&] {
    const std::uint64_t seal = ledger_.current_seal();
    WriteSet set;
    deed.write(set);
    Outcome<Ticket> outcome = store_.submit(std::move(set), {}, {.level = any_level(), .timeout = any_timeout()});
    placed(deed.number, outcome->info(), seal);
    ledger_.acknowledged(deed.number, Durability::Durable);
  });
}

// The same command is sent twice, as somebody would who has not heard the answer. Where ids are not kept for ever, a
// sync that takes long may be between the two.
void Client::command() {
  const auto retention = scene_.scenario.options.command_retention;
  const auto first_sent = std::chrono::system_clock::now();
  auto may_be_forgotten = [&] {
    return retention.count() != 0 && std::chrono::system_clock::now() - first_sent >= retention;
  };
  const Deed deed = new_deed(false);
  const std::string id = "command " + std::to_string(deed.number);
  auto send = [&](const Deed& what) {
    WriteSet set;
    what.write(set);
    return store_.submit(std::move(set), {}, {.level = any_level(), .timeout = any_timeout(), .command = Command{id}});
  };
  attempt("a command", deed.number, [&] {
    const std::uint64_t seal = ledger_.current_seal();
    Outcome<Ticket> outcome = send(deed);
    placed(deed.number, outcome->info(), seal);
    follow(*outcome, deed.number);
  });
  const CommitInfo* before = ledger_.place(deed.number);
  const Deed again = new_deed(false);
  if (before == nullptr) return ledger_.refused(again.number);
  const CommitInfo first = *before;
  attempt("a repeated command", again.number, [&] {
    const std::uint64_t seal = ledger_.current_seal();
    Outcome<Ticket> outcome = send(again);
    if (outcome->info().already_applied && outcome->info().commit_seq == first.commit_seq) {
      return ledger_.refused(again.number);
    }
    if (may_be_forgotten()) return placed(again.number, outcome->info(), seal);
    fail("command " + id + " was carried out a second time, by commit " + std::to_string(outcome->info().commit_seq));
  });
}

void Client::transact() {
  const Deed deed = new_deed(true);
  attempt("a transaction", deed.number, [&] {
    const std::uint64_t seal = ledger_.current_seal();
    Transaction transaction = store_.transaction();
    for (const auto& [key, bytes] : deed.puts) transaction.exclusive(key);
    for (const std::string& key : deed.deletes) transaction.exclusive(key);
    for (const std::string& key : deed.counts) transaction.exclusive(key);
    const bool fails = random_.one_in(8);
    if (fails) transaction.require_exists("never");
    if (random_.one_in(4)) transaction.require_absent("never");
    if (auto timeout = any_timeout()) transaction.timeout(*timeout);
    auto end = transaction.durability(any_level()).submit([&](Txn& txn) {
      deed.write(txn);
      deed.count(txn);
    });
    if (fails == end.has_value()) fail(fails ? "a check that fails has passed" : "a check that passes has failed");
    if (!end) return ledger_.refused(deed.number);
    placed(deed.number, end.commit(), seal);
    follow(end.ticket(), deed.number);
  });
}

void Client::write_exclusively() {
  const Deed deed = new_deed(true);
  attempt("a WriteTxn", deed.number, [&] {
    const std::uint64_t seal = ledger_.current_seal();
    WriteTxn txn = store_.begin(any_timeout());
    deed.write(txn);
    deed.count(txn);
    if (random_.one_in(4)) std::this_thread::sleep_for(microseconds(random_.below(300)));
    if (random_.one_in(6)) return ledger_.refused(deed.number);
    const Ticket ticket = txn.commit_async(any_level());
    placed(deed.number, ticket.info(), seal);
    follow(ticket, deed.number);
  });
}

void Client::take_numbers() {
  attempt("next_sequence", [&] {
    const std::string name = random_.one_in(2) ? "a" : "b";
    const std::uint64_t before = ledger_.next_number(name);
    const std::uint64_t count = 1 + random_.below(4);
    const Durability level = any_level();
    const std::uint64_t first = store_.next_sequence(name, count, level);
    Scheduler::Undisturbed undisturbed;
    if (first < before) {
      fail("number " + std::to_string(first) + " of " + name + " was handed out, and all below " +
           std::to_string(before) + " were before");
    }
    ledger_.handed_out(name, first, count, level);
  });
}

void Client::read() {
  attempt("a snapshot", [&] {
    const Durability level = any_level();
    const CommitSeq at_least = ledger_.acknowledged(level);
    const ReadTxn snapshot = store_.read(level);
    if (random_.one_in(3)) std::this_thread::sleep_for(microseconds(random_.below(2'000)));
    const Content content = Content::of(snapshot);
    Scheduler::Undisturbed undisturbed;
    // What was applied only is not shown any more when it cannot be made safe.
    const bool may_lack = level == Durability::Applied && Files::get().had_trouble();
    ledger_.check(content, may_lack ? 0 : at_least);
  });
}

void Client::look_at_marks() {
  attempt("status", [&] {
    const Status status = store_.status();
    const std::array<CommitSeq, 4> marks = {status.flushed_seq, status.durable_seq, status.visible_seq,
                                            status.applied_seq};
    Scheduler::Undisturbed undisturbed;
    if (!std::is_sorted(marks.begin(), marks.end())) fail("flushed <= durable <= visible <= applied does not hold");
    for (std::size_t i = 0; i < marks.size(); ++i) {
      if (marks.at(i) < marks_.at(i)) fail("a mark has moved back");
    }
    marks_ = marks;
  });
}

void Client::make_safe() {
  attempt("flush", [&] {
    const CommitSeq placed = ledger_.acknowledged(Durability::Applied);
    if (random_.one_in(2)) {
      store_.checkpoint();
    } else {
      store_.flush(Durability::Durable);
    }
    if (store_.read(Durability::Durable).commit_seq() < placed) fail("a flush has returned too early");
  });
}

// --- Others

namespace {

// Nothing is done while the store is held up.
void see_that_nothing_moves(Scene& scene, Random& random) {
  const CommitSeq before = scene.store.read(Durability::Applied).commit_seq();
  std::this_thread::sleep_for(microseconds(random.below(1'000)));
  if (Files::get().had_trouble()) return;  // then what is applied is not shown
  if (scene.store.read(Durability::Applied).commit_seq() != before) fail("a store that was held up has gone on");
}

// The state of the seal is what it was if an error says that nothing was done, and else in between.
template <class Change>
void change_seal(Ledger& ledger, Ledger::Seal meanwhile, Ledger::Seal after, Change change) {
  const Ledger::Seal before = std::exchange(ledger.seal, meanwhile);
  try {
    change();
    ledger.seal = after;
    if (after == Ledger::Seal::Sealed) ++ledger.seals;
  } catch (const Error& error) {
    if (!error.outcome_unknown()) ledger.seal = before;
    throw;
  }
}

void seal_for_a_while(Scene& scene, Random& random) {
  using Seal = Ledger::Seal;
  EventId last = 0;
  change_seal(scene.ledger, Seal::Sealing, Seal::Sealed, [&] { last = scene.store.seal(); });
  see_that_nothing_moves(scene, random);
  if (scene.store.read(Durability::Durable).last_event() != last) fail("a seal is not behind the last event");
  if (random.one_in(6)) return;  // it stays sealed, and is so when it is opened again
  change_seal(scene.ledger, Seal::Unsealing, Seal::Open, [&] { scene.store.unseal(); });
}

}  // namespace

void administer(Scene& scene, std::uint64_t seed) {
  Random random(seed);
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(microseconds(random.below(3'000)));
    try {
      scene.is_held_up = true;
      if (random.one_in(2)) {
        seal_for_a_while(scene, random);
      } else {
        const Pause pause = scene.store.pause("admin");
        see_that_nothing_moves(scene, random);
      }
    } catch (const Error& error) {
      scene.accept("sealing or pausing", error, true);
    }
    scene.is_held_up = scene.ledger.seal != Ledger::Seal::Open;
    if (!scene.is_held_up) ++scene.let_go;
  }
}

void follow(Scene& scene, Subscription& subscription) {
  try {
    while (true) {
      std::optional<CommittedEvents> commit = subscription.next();
      if (!commit) fail("a subscription ends by itself");
      Scheduler::Undisturbed undisturbed;
      for (const EventView& event : commit->events()) {
        if (event.id() != ++scene.delivered)
          fail("event " + std::to_string(event.id()) + " was delivered out of order");
      }
    }
  } catch (const Error& error) {
    scene.accept("a subscription", error);
  }
}

}  // namespace azoth::proof
