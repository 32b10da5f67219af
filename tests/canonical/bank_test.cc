// A bank whose process is killed at any moment: money neither comes nor goes, no account is overdrawn, what was
// acknowledged is there, and what was sent again with its command id was done once.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "azoth/core/value.h"
#include "store_support.h"
#include "support/child_process.h"
#include "support/seed.h"
#include "write_path_support.h"

namespace azoth::test {
namespace {

constexpr std::size_t kThreads = 4;
constexpr std::size_t kMost = 1 << 15;  // transfers of a thread
constexpr int kAccounts = 12;
constexpr std::int64_t kInitial = 100;
constexpr std::size_t kInFlight = 6;

// What a client has heard of a transfer; in memory that the parent shares with its child, which dies.
constexpr CommitSeq kNothing = 0;
constexpr CommitSeq kRejected = ~CommitSeq{0};  // else: its commit

struct Client {
  std::atomic<std::size_t> sent;                      // transfers 0 .. sent - 1 may have been sent
  std::array<std::atomic<CommitSeq>, kMost> answers;  // in whose order they come
};
struct Clients {
  std::array<Client, kThreads> of;
  std::atomic<int> repeats;  // that had been done before
  std::atomic<int> wrong;    // of them, those whose answer contradicts the log
};

struct Transfer {
  std::string id;
  std::string from;
  std::string to;
  std::int64_t amount;
  bool has_command;  // else it is sent once
  bool as_set;       // submitted with conditions on the balances; else a Transaction
  Durability level;
};

std::string account(std::uint64_t number) { return "account:" + std::to_string(number); }

// The same every time it is made.
Transfer transfer_of(std::uint64_t seed, std::size_t thread, std::size_t number) {
  std::mt19937_64 random(seed ^ (thread << 40 | number));
  random.discard(2);
  std::uint64_t from = random() % kAccounts;
  std::uint64_t to = (from + 1 + random() % (kAccounts - 1)) % kAccounts;
  return {.id = "transfer:" + std::to_string(thread) + "/" + std::to_string(number),
          .from = account(from),
          .to = account(to),
          .amount = 1 + static_cast<std::int64_t>(random() % 40),
          .has_command = random() % 4 != 0,
          .as_set = random() % 5 == 0,
          .level = random() % 3 == 0 ? Durability::Durable : Durability::Written};
}

Event event_of(const Transfer& transfer, const std::string& amount) {
  return {.type = "transferred", .tags = {transfer.id, transfer.from, transfer.to}, .payload = amount};
}

// Nothing if it was rejected.
std::optional<Ticket> send(Store& store, const Transfer& transfer) {
  std::string amount = transfer.from + ">" + transfer.to + ">" + i64(transfer.amount);
  if (!transfer.as_set) {
    Transaction transaction = store.transaction().exclusive({transfer.to, transfer.from});
    if (transfer.has_command) transaction.command(transfer.id, amount);
    auto outcome =
        transaction.require_min(transfer.from, transfer.amount).durability(transfer.level).submit([&](Txn& txn) {
          txn.put(transfer.from, i64(as_i64(*txn.get(transfer.from)) - transfer.amount));
          txn.put(transfer.to, i64(as_i64(*txn.get(transfer.to)) + transfer.amount));
          txn.append(event_of(transfer, amount));
        });
    return outcome ? std::optional(outcome.ticket()) : std::nullopt;
  }
  ReadTxn read = store.read(Durability::Applied);
  std::string from(*read.get(transfer.from));
  std::string to(*read.get(transfer.to));
  std::vector<Condition> conditions = {Condition::key_equals(transfer.from, from),
                                       Condition::key_equals(transfer.to, to)};
  if (as_i64(from) < transfer.amount) conditions.push_back(Condition::key_absent(transfer.from));
  WriteSet set;
  set.put(transfer.from, i64(as_i64(from) - transfer.amount)).put(transfer.to, i64(as_i64(to) + transfer.amount));
  set.append(event_of(transfer, amount));
  SubmitOptions options{.level = transfer.level};
  if (transfer.has_command) options.command = Command{.id = transfer.id, .fingerprint = amount};
  auto outcome = store.submit(std::move(set), conditions, options);
  return outcome ? std::optional(outcome.value()) : std::nullopt;
}

// A repeat's answer is what the log says of the transfer.
bool agrees(const ReadTxn& read, const Transfer& transfer, const CommitInfo& info) {
  std::vector<EventId> ids = ids_of(read.events({.tags = {transfer.id}}));
  if (ids.size() != 1 || ids[0] != info.first_event || ids[0] != info.last_event || info.events != 1) return false;
  auto event = read.event(ids[0]);
  return event->commit_seq() == info.commit_seq && event->commit_time() == info.time && info.keys_written == 2 &&
         info.keys_deleted == 0;
}

// One client's thread: everything again that it has heard nothing of, and then more and more.
class ClientRun {
 public:
  ClientRun(Store& store, Clients& clients, std::uint64_t seed, std::size_t thread)
      : store_(store), clients_(clients), client_(clients.of[thread]), seed_(seed), thread_(thread) {}

  void settle() {
    for (std::size_t number = 0; number < client_.sent; ++number) {
      if (client_.answers[number] == kNothing && transfer_of(seed_, thread_, number).has_command) send_one(number);
    }
    while (!in_flight_.empty()) hear_one();
  }

  void go_on() {
    while (client_.sent < kMost) {
      std::size_t number = client_.sent++;
      send_one(number);
    }
    while (!in_flight_.empty()) hear_one();
    while (true) ::pause();  // everything is sent; the end comes from outside
  }

 private:
  void send_one(std::size_t number) {
    auto ticket = send(store_, transfer_of(seed_, thread_, number));
    if (!ticket) {
      client_.answers[number] = kRejected;
    } else {
      in_flight_.emplace_back(number, std::move(*ticket));
      if (in_flight_.size() > kInFlight) hear_one();
    }
  }

  void hear_one() {
    auto& [number, ticket] = in_flight_.front();
    const CommitInfo& info = ticket.wait();
    if (info.already_applied) {
      ++clients_.repeats;
      if (!agrees(store_.read(Durability::Applied), transfer_of(seed_, thread_, number), info)) ++clients_.wrong;
    }
    client_.answers[number] = info.commit_seq;
    in_flight_.pop_front();
  }

  Store& store_;
  Clients& clients_;
  Client& client_;
  const std::uint64_t seed_;
  const std::size_t thread_;
  std::deque<std::pair<std::size_t, Ticket>> in_flight_;
};

class BankTest : public WritePath {
 protected:
  BankTest() {
    void* shared = mmap(nullptr, sizeof(Clients), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) throw_errno(errno, "sharing memory");
    clients_ = new (shared) Clients{};
    options_ = tiny_options();
    options_.delta_age = std::chrono::milliseconds{20};
    options_.sync_interval = std::chrono::milliseconds{2};
    options_.stripes = 8;
    Store::create(directory(), options_);
    auto store = Store::open(directory(), options_);
    WriteSet set;
    for (int i = 0; i < kAccounts; ++i) set.put(account(static_cast<std::uint64_t>(i)), i64(kInitial));
    commit(*store, std::move(set));
  }
  ~BankTest() override { munmap(clients_, sizeof(Clients)); }

  std::filesystem::path directory() const { return parent_.path() / "store"; }

  void run_threads(Store& store, bool go_on) {
    std::vector<std::jthread> threads;
    for (std::size_t thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        ClientRun run(store, *clients_, seed_, thread);
        run.settle();
        if (go_on) run.go_on();
      });
    }
  }

  std::size_t sent() const {
    std::size_t sent = 0;
    for (const Client& client : clients_->of) sent += client.sent;
    return sent;
  }

  void run_and_kill(std::chrono::microseconds life, bool after_progress) {
    std::size_t before = sent();
    ChildProcess child([&] {
      auto store = Store::open(directory(), options_);
      run_threads(*store, true);
    });
    if (after_progress) await([&] { return sent() > before || sent() == kThreads * kMost || has_ended(child); });
    std::this_thread::sleep_for(life);
    child.kill();
    ASSERT_TRUE(child.was_killed()) << "the child ended by itself";
  }
  static bool has_ended(const ChildProcess& child) {
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
  }

  // Of the transfers in the log, by id, the commit.
  void check_books(const Store& store, std::map<std::string, CommitSeq>& log) {
    ReadTxn read = store.read();
    std::map<std::string, std::int64_t> balances;
    for (int i = 0; i < kAccounts; ++i) balances[account(static_cast<std::uint64_t>(i))] = kInitial;
    for (const EventView& event : read.events()) {
      std::string text(event.payload());
      std::size_t first = text.find('>');
      std::size_t second = text.find('>', first + 1);
      std::int64_t amount = as_i64(text.substr(second + 1));
      std::int64_t& from = balances.at(text.substr(0, first));
      from -= amount;
      balances.at(text.substr(first + 1, second - first - 1)) += amount;
      ASSERT_GE(from, 0) << "event " << event.id() << " overdraws an account";
      std::string id(*event.tags().begin());
      ASSERT_TRUE(log.emplace(id, event.commit_seq()).second) << id << " was done twice";
    }
    std::int64_t total = 0;
    for (const auto& [key, value] : read.scan()) {
      ASSERT_EQ(as_i64(value), balances.at(std::string(key))) << key;
      total += as_i64(value);
    }
    ASSERT_EQ(total, kAccounts * kInitial);
  }

  void check_answers(const std::map<std::string, CommitSeq>& log) {
    ASSERT_EQ(clients_->wrong, 0);
    for (std::size_t thread = 0; thread < kThreads; ++thread) {
      const Client& client = clients_->of[thread];
      for (std::size_t number = 0; number < client.sent; ++number) {
        CommitSeq answer = client.answers[number];
        if (answer == kNothing) continue;
        std::string id = transfer_of(seed_, thread, number).id;
        auto done = log.find(id);
        ASSERT_EQ(done != log.end(), answer != kRejected) << id;
        if (done != log.end()) {
          ASSERT_EQ(done->second, answer) << id;
        }
      }
    }
  }

  void check(const Store& store) {
    std::map<std::string, CommitSeq> log;
    ASSERT_NO_FATAL_FAILURE(check_books(store, log));
    ASSERT_NO_FATAL_FAILURE(check_answers(log));
  }

  const std::uint64_t seed_ = test_seed();
  TempDir parent_;
  Options options_;
  Clients* clients_ = nullptr;
};

int kills() {
  const char* given = std::getenv("AZOTH_TEST_KILLS");
  return given != nullptr ? std::atoi(given) : rounds(40, 1000);
}

TEST_F(BankTest, NoMoneyIsLostAndNoneIsMadeHoweverOftenTheProcessIsKilled) {
  std::mt19937_64 random(seed_);
  for (int i = kills(); i > 0 && !HasFatalFailure(); --i) {
    ASSERT_NO_FATAL_FAILURE(run_and_kill(std::chrono::microseconds(random() % 40'000), i % 3 != 0));
    auto store = Store::open(directory(), options_);
    check(*store);
    if (i % 10 != 1) continue;
    VerifyReport report = store->verify();
    ASSERT_TRUE(report.ok()) << report.problems.front();
  }
  // What nobody has heard of is sent for the last time; then there is nothing left that is unknown.
  auto store = Store::open(directory(), options_);
  run_threads(*store, false);
  check(*store);
  std::size_t done = 0;
  std::size_t rejected = 0;
  for (std::size_t thread = 0; thread < kThreads; ++thread) {
    for (std::size_t number = 0; number < clients_->of[thread].sent; ++number) {
      CommitSeq answer = clients_->of[thread].answers[number];
      done += answer != kNothing && answer != kRejected ? 1 : 0;
      rejected += answer == kRejected ? 1 : 0;
      if (answer == kNothing) {
        ASSERT_FALSE(transfer_of(seed_, thread, number).has_command) << number;
      }
    }
  }
  RecordProperty("transfers", std::to_string(done));
  RecordProperty("repeats", std::to_string(clients_->repeats));
  EXPECT_GT(done, 0u);
  EXPECT_GT(clients_->repeats, 0) << "nothing that was sent again had been done: nothing was at stake";
  EXPECT_GT(rejected, 0u) << "no account was ever too empty: nothing was at stake";
}

}  // namespace
}  // namespace azoth::test
