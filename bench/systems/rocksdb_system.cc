#include <rocksdb/db.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "azoth/core/error.h"
#include "content.h"
#include "rows.h"
#include "system.h"

namespace azoth::bench {

namespace {

void check(const rocksdb::Status& status) {
  if (!status.ok()) throw Error(ErrorCode::Io, "RocksDB: " + status.ToString());
}

rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }

class FlushCounter final : public rocksdb::EventListener {
 public:
  void OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo&) override { flushes.fetch_add(1); }
  std::atomic<std::uint64_t> flushes{0};
};

// As much memory as Azoth's Deltas have: one that is filled, two on their way. No compression, as the bytes do not
// compress. Logs are used again, which saves the sync their metadata.
rocksdb::Options options() {
  rocksdb::Options result;
  result.create_if_missing = true;
  result.write_buffer_size = std::size_t{32} << 20;
  result.max_write_buffer_number = 3;
  result.compression = rocksdb::kNoCompression;
  result.recycle_log_file_num = 4;
  result.max_background_jobs = 2;
  return result;
}

class RocksSystem final : public System {
 public:
  RocksSystem(const std::filesystem::path& directory, bool synced) {
    rocksdb::Options with_counter = options();
    with_counter.listeners.push_back(counter_);
    rocksdb::DB* db = nullptr;
    check(rocksdb::DB::Open(with_counter, directory.native(), &db));
    db_.reset(db);
    write_options_.sync = synced;
  }

  std::unique_ptr<Client> client() override;
  std::unique_ptr<Reader> reader() override;

  void settle() override {
    check(db_->SyncWAL());
    while (busy()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::uint64_t background_writes() override { return counter_->flushes.load(); }

  void fill(std::uint64_t keys, std::size_t value_size) override {
    constexpr std::uint64_t kBatch = 1000;
    rocksdb::WriteOptions unlogged;
    unlogged.disableWAL = true;
    Name key(std::string(1, 's').append(kKeyPrefix));
    for (std::uint64_t next = 0; next < keys;) {
      rocksdb::WriteBatch batch;
      for (std::uint64_t end = std::min(keys, next + kBatch); next < end; ++next) {
        check(batch.Put(slice(key.of(next)), slice(some_bytes(mix(next), value_size))));
      }
      check(db_->Write(unlogged, &batch));
    }
    check(db_->Flush({}));
    settle();
  }

  void write(rocksdb::WriteBatch& batch) { check(db_->Write(write_options_, &batch)); }
  std::uint64_t next_id() { return next_id_.fetch_add(1, std::memory_order_relaxed); }

 private:
  bool busy() {
    using Properties = rocksdb::DB::Properties;
    for (const std::string& name : {Properties::kMemTableFlushPending, Properties::kNumRunningFlushes,
                                    Properties::kCompactionPending, Properties::kNumRunningCompactions}) {
      std::uint64_t value = 0;
      if (db_->GetIntProperty(name, &value) && value != 0) return true;
    }
    return false;
  }

  std::shared_ptr<FlushCounter> counter_ = std::make_shared<FlushCounter>();
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::WriteOptions write_options_;
  std::atomic<std::uint64_t> next_id_{1};
};

class RocksClient final : public Client {
 public:
  explicit RocksClient(RocksSystem& system) : system_(system) {}

  void commit(const Change& change) override {
    batch_.Clear();
    key_.assign(1, 's').append(change.key);
    put(change.value);
    if (!change.type.empty()) add_event(change);
    system_.write(batch_);
  }

 private:
  void add_event(const Change& change) {
    std::uint64_t id = system_.next_id();
    body_.clear();
    event_body(body_, change);
    key_.assign(1, 'e');
    event_key(key_, id);
    put(body_);
    if (!change.tag.empty()) {
      key_.assign(1, 't');
      tag_key(key_, change, id);
      put({});
    }
  }

  void put(std::string_view value) { check(batch_.Put(key_, slice(value))); }

  RocksSystem& system_;
  rocksdb::WriteBatch batch_;
  std::string key_;
  std::string body_;
};

class RocksReader final : public Reader {
 public:
  explicit RocksReader(rocksdb::DB& db) : db_(db) {}
  void read(std::string_view key) override {
    key_.assign(1, 's').append(key);
    rocksdb::Status status = db_.Get(rocksdb::ReadOptions(), db_.DefaultColumnFamily(), key_, &value_);
    if (status.IsNotFound()) throw_missing_key();
    check(status);
    use_value({value_.data(), value_.size()});
    value_.Reset();
  }

 private:
  rocksdb::DB& db_;
  std::string key_;
  rocksdb::PinnableSlice value_;
};

std::unique_ptr<Reader> RocksSystem::reader() { return std::make_unique<RocksReader>(*db_); }

std::unique_ptr<Client> RocksSystem::client() { return std::make_unique<RocksClient>(*this); }

}  // namespace

SystemKind rocksdb_system(Safety safety) {
  bool synced = safety == Safety::PowerCut;
  return {synced ? "rocksdb sync" : "rocksdb nosync", safety, [synced](const std::filesystem::path& directory) {
            return std::make_unique<RocksSystem>(directory, synced);
          }};
}

}  // namespace azoth::bench
