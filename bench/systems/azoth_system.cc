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
                       .require(kLimitKey, [this](auto value) { return think(value); }, "no change is allowed")
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

class AzothSystem final : public System {
 public:
  AzothSystem(const std::filesystem::path& directory, Durability level, const AzothWay& way)
      : db_(Db::open_or_create(directory)), level_(level), way_(way) {
    if (db_.read().exists(kLimitKey)) return;
    WriteSet set;
    set.put(kLimitKey, "1");
    db_.submit(std::move(set)).value().wait();
  }

  std::unique_ptr<Client> client() override {
    switch (way_.kind) {
      case AzothWay::Kind::Transaction:
        return std::make_unique<TransactionClient>(db_, level_, way_.thinking);
      case AzothWay::Kind::WriteTxn:
        return std::make_unique<WriteTxnClient>(db_, level_);
      case AzothWay::Kind::ExpectedVersion:
        return std::make_unique<VersionClient>(db_, level_, versions_);
      case AzothWay::Kind::Submit:
        break;
    }
    return std::make_unique<AzothClient>(db_, level_);
  }
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
  Db db_;
  const Durability level_;
  const AzothWay way_;
  Versions versions_;
};

}  // namespace

SystemKind azoth_system(Safety safety, const AzothWay& way) {
  Durability level = Durability::Durable;
  if (safety == Safety::ProcessDeath) level = Durability::Written;
  if (safety == Safety::Nothing) level = Durability::Applied;
  return {way.name, safety, [=](const std::filesystem::path& directory) {
            return std::make_unique<AzothSystem>(directory, level, way);
          }};
}

}  // namespace azoth::bench
