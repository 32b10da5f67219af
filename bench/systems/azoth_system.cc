#include <deque>
#include <utility>

#include "azoth/db.h"
#include "fill.h"
#include "system.h"

namespace azoth::bench {

namespace {

class AzothClient final : public Client {
 public:
  AzothClient(Db& db, Durability level) : db_(db), level_(level) {}

  void commit(const Change& change) override { submit(change).wait(); }
  void start(const Change& change) override { in_flight_.push_back(submit(change)); }
  void finish_oldest() override {
    in_flight_.front().wait();
    in_flight_.pop_front();
  }

 private:
  Ticket submit(const Change& change) {
    return std::move(db_.submit(to_write_set(change), {}, {.level = level_, .timeout = std::chrono::seconds(60)}))
        .value();
  }

  Db& db_;
  const Durability level_;
  std::deque<Ticket> in_flight_;
};

class AzothSystem final : public System {
 public:
  AzothSystem(const std::filesystem::path& directory, Durability level)
      : db_(Db::open_or_create(directory)), level_(level) {}

  std::unique_ptr<Client> client() override { return std::make_unique<AzothClient>(db_, level_); }
  void settle() override { db_.checkpoint(); }
  std::uint64_t background_writes() override { return db_.status().flushes; }
  void fill(std::uint64_t keys, std::size_t value_size) override { fill_keys(db_, keys, value_size); }

 private:
  Db db_;
  const Durability level_;
};

}  // namespace

SystemKind azoth_system(Safety safety) {
  Durability level = safety == Safety::PowerCut ? Durability::Durable : Durability::Written;
  return {"azoth", safety,
          [level](const std::filesystem::path& directory) { return std::make_unique<AzothSystem>(directory, level); }};
}

}  // namespace azoth::bench
