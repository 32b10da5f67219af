#include <array>
#include <chrono>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>

#include "azoth/core/error.h"
#include "azoth/db.h"
#include "fill.h"
#include "system.h"

namespace azoth::bench {

namespace {

constexpr std::string_view kLimitKey = "limit";

class AzothClient : public Client {
 public:
  AzothClient(Db& db, Durability level) : db_(db), level_(level) {}

  void commit(const Change& change) override { begin(change).wait(); }
  void start(const Change& change) override { in_flight_.push_back(begin(change)); }
  void finish_oldest() override {
    in_flight_.front().wait();
    in_flight_.pop_front();
  }

 protected:
  virtual Ticket begin(const Change& change) { return submit(change, {}); }

  Ticket submit(const Change& change, std::span<const Condition> conditions) {
    SubmitOptions options{.level = level_, .timeout = kPatience};
    return std::move(db_.submit(to_write_set(change), conditions, options)).value();
  }

  static constexpr std::chrono::seconds kPatience{60};
  Db& db_;
  const Durability level_;

 private:
  std::deque<Ticket> in_flight_;
};

// The usual way: the key and a limit that all share are declared, and the limit is looked at before the key is changed.
class TransactionClient final : public AzothClient {
 public:
  TransactionClient(Db& db, Durability level, std::chrono::nanoseconds thinking)
      : AzothClient(db, level), thinking_(thinking) {}

 private:
  Ticket begin(const Change& change) override {
    auto outcome = db_.transaction()
                       .exclusive(change.key)
                       .require(
                           kLimitKey, [this](auto value) { return think(value); }, "no change is allowed")
                       .durability(level_)
                       .timeout(kPatience)
                       .submit([&](Txn& txn) {
                         txn.put(change.key, change.value);
                         if (!change.type.empty()) txn.append(event_of(change));
                       });
    return outcome.ticket();
  }

  bool think(std::optional<std::string_view> limit) const {
    auto end = std::chrono::steady_clock::now() + thinking_;
    while (thinking_.count() != 0 && std::chrono::steady_clock::now() < end) {
    }
    return limit.has_value();
  }

  const std::chrono::nanoseconds thinking_;
};

class WriteTxnClient final : public AzothClient {
 public:
  using AzothClient::AzothClient;

 private:
  Ticket begin(const Change& change) override {
    WriteTxn txn = db_.begin(kPatience);
    if (!txn.exists(kLimitKey)) throw Error(ErrorCode::NotFound, "the limit is missing");
    txn.put(change.key, change.value);
    if (!change.type.empty()) txn.append(event_of(change));
    return txn.commit_async(level_);
  }
};

// The newest event of each tag, as the clients know it. Each tag is one client's only.
using Versions = std::unordered_map<std::string, EventId>;

// Each change expects the version of its tag that this client has seen last.
class VersionClient final : public AzothClient {
 public:
  VersionClient(Db& db, Durability level, Versions& versions) : AzothClient(db, level), versions_(versions) {}

 private:
  Ticket begin(const Change& change) override {
    tag_ = change.tag;
    EventId& seen = versions_.at(tag_);
    Ticket ticket = submit(change, std::array{Condition::tag_version(change.tag, ExpectedVersion::exactly(seen))});
    seen = ticket.info().last_event;
    return ticket;
  }

  Versions& versions_;
  std::string tag_;
};

// Each change is made on the condition that since this client's last one there is no event like its own. Each tag is
// one client's only.
class NoEventClient final : public AzothClient {
 public:
  NoEventClient(Db& db, Durability level) : AzothClient(db, level) {
    ReadTxn log = db.read();
    decided_at_ = log.last_event();
    for (const EventView& newest : log.events({.reverse = true, .limit = 1})) check_refused(newest);
  }

 private:
  Ticket begin(const Change& change) override {
    Ticket ticket = submit(change, std::array{none_like(change.type, change.tag)});
    decided_at_ = ticket.info().last_event;
    return ticket;
  }

  Condition none_like(std::string_view type, std::string_view tag) const {
    return Condition::no_event({{.types = {std::string(type)}, .tags = {std::string(tag)}}}, decided_at_);
  }

  // A condition that does not hold must be seen, or nothing is measured.
  void check_refused(const EventView& newest) {
    --decided_at_;
    WriteSet set;
    set.put(kLimitKey, "1");
    if (db_.submit(std::move(set), std::array{none_like(newest.type(), *newest.tags().begin())})) {
      throw Error(ErrorCode::Corruption, "an event did not stand in the way of a change");
    }
    ++decided_at_;
  }

  EventId decided_at_ = 0;
};

class AzothReader final : public Reader {
 public:
  explicit AzothReader(Db& db) : db_(db) {}
  void read(std::string_view key) override {
    ReadTxn snapshot = db_.read();
    std::optional<std::string_view> value = snapshot.get(key);
    if (!value) throw_missing_key();
    use_value(*value);
  }

 private:
  Db& db_;
};

class AzothSystem final : public System {
 public:
  AzothSystem(const std::filesystem::path& directory, Durability level, const AzothWay& way)
      : own_(Db::open_or_create(directory)), db_(*own_), level_(level), way_(way) {
    prepare();
  }
  AzothSystem(Db& db, Durability level) : db_(db), level_(level) { prepare(); }

  std::unique_ptr<Client> client() override {
    switch (way_.kind) {
      case AzothWay::Kind::Transaction:
        return std::make_unique<TransactionClient>(db_, level_, way_.thinking);
      case AzothWay::Kind::WriteTxn:
        return std::make_unique<WriteTxnClient>(db_, level_);
      case AzothWay::Kind::ExpectedVersion:
        return std::make_unique<VersionClient>(db_, level_, versions_);
      case AzothWay::Kind::NoEvent:
        return std::make_unique<NoEventClient>(db_, level_);
      case AzothWay::Kind::Submit:
        break;
    }
    return std::make_unique<AzothClient>(db_, level_);
  }
  std::unique_ptr<Reader> reader() override { return std::make_unique<AzothReader>(db_); }
  void settle() override { db_.checkpoint(); }
  std::uint64_t background_writes() override { return db_.status().flushes; }
  void fill(std::uint64_t keys, std::size_t value_size) override { fill_keys(db_, keys, value_size); }
  void fill_log(std::uint64_t events, std::uint64_t tags, std::size_t payload_size) override {
    fill_events(db_, events, tags, payload_size);
    ReadTxn log = db_.read();
    for (const EventView& event : log.events()) {
      for (std::string_view tag : event.tags()) versions_[std::string(tag)] = event.id();
    }
  }

 private:
  void prepare() {
    if (db_.read().exists(kLimitKey)) return;
    WriteSet set;
    set.put(kLimitKey, "1");
    db_.submit(std::move(set)).value().wait();
  }

  std::optional<Db> own_;
  Db& db_;
  const Durability level_;
  const AzothWay way_;
  Versions versions_;
};

Durability level_for(Safety safety) {
  switch (safety) {
    case Safety::PowerCut:
      return Durability::Durable;
    case Safety::ProcessDeath:
      return Durability::Written;
    case Safety::Nothing:
      break;
  }
  return Durability::Applied;
}

}  // namespace

SystemKind azoth_system(Safety safety, const AzothWay& way) {
  return {way.name, safety, [=](const std::filesystem::path& directory) {
            return std::make_unique<AzothSystem>(directory, level_for(safety), way);
          }};
}

std::unique_ptr<System> azoth_on(Db& db, Safety safety) { return std::make_unique<AzothSystem>(db, level_for(safety)); }

}  // namespace azoth::bench
