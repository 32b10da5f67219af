#include <atomic>
#include <string>

#include "bare_sqlite.h"
#include "content.h"
#include "system.h"

namespace azoth::bench {

namespace {

BareSqlite::Synchronous synchronous(bool synced) {
  return synced ? BareSqlite::Synchronous::Full : BareSqlite::Synchronous::Normal;
}

class SqliteClient final : public Client {
 public:
  SqliteClient(const std::filesystem::path& file, bool synced, std::atomic<std::int64_t>& next_id)
      : connection_(file, synchronous(synced)), next_id_(next_id) {}

  void commit(const Change& change) override {
    begin_.step();
    state_.bind(1, change.key).bind(2, change.value).step();
    if (!change.type.empty()) {
      std::int64_t id = next_id_.fetch_add(1);
      event_.bind(1, id).bind(2, change.type).bind(3, change.payload).step();
      if (!change.tag.empty()) tag_.bind(1, change.tag).bind(2, id).step();
    }
    commit_.step();
  }

 private:
  BareSqlite connection_;
  std::atomic<std::int64_t>& next_id_;
  BareStatement begin_{connection_, "BEGIN IMMEDIATE"};
  BareStatement state_{connection_, "INSERT OR REPLACE INTO state VALUES (?, ?)"};
  BareStatement event_{connection_, "INSERT INTO events VALUES (?, ?, ?)"};
  BareStatement tag_{connection_, "INSERT INTO tags VALUES (?, ?)"};
  BareStatement commit_{connection_, "COMMIT"};
};

class SqliteReader final : public Reader {
 public:
  explicit SqliteReader(const std::filesystem::path& file) : connection_(file, BareSqlite::Synchronous::Normal) {}
  void read(std::string_view key) override {
    if (!value_.bind(1, key).first(use_value)) throw_missing_key();
  }

 private:
  BareSqlite connection_;
  BareStatement value_{connection_, "SELECT value FROM state WHERE key = ?"};
};

class SqliteSystem final : public System {
 public:
  SqliteSystem(const std::filesystem::path& directory, bool synced)
      : file_(directory / "bench.db"), synced_(synced), connection_(file_, synchronous(synced)) {
    connection_.run("CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID");
    connection_.run("CREATE TABLE events (id INTEGER PRIMARY KEY, type BLOB, payload BLOB)");
    connection_.run("CREATE TABLE tags (tag BLOB, id INTEGER, PRIMARY KEY (tag, id)) WITHOUT ROWID");
  }

  std::unique_ptr<Client> client() override { return std::make_unique<SqliteClient>(file_, synced_, next_id_); }
  std::unique_ptr<Reader> reader() override { return std::make_unique<SqliteReader>(file_); }

  void fill(std::uint64_t keys, std::size_t value_size) override {
    Name key(kKeyPrefix);
    BareStatement put(connection_, "INSERT OR REPLACE INTO state VALUES (?, ?)");
    connection_.run("BEGIN IMMEDIATE");
    for (std::uint64_t i = 0; i < keys; ++i) put.bind(1, key.of(i)).bind(2, some_bytes(mix(i), value_size)).step();
    connection_.run("COMMIT");
  }

 private:
  const std::filesystem::path file_;
  const bool synced_;
  BareSqlite connection_;  // keeps the write-ahead log between rounds, as a program that stays open does
  std::atomic<std::int64_t> next_id_{1};
};

}  // namespace

SystemKind sqlite_system(Safety safety) {
  bool synced = safety == Safety::PowerCut;
  return {synced ? "sqlite full" : "sqlite normal", safety, [synced](const std::filesystem::path& directory) {
            return std::make_unique<SqliteSystem>(directory, synced);
          }};
}

}  // namespace azoth::bench
