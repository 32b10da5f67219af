#include <string>

#include "bare_lmdb.h"
#include "rows.h"
#include "system.h"

namespace azoth::bench {

namespace {

class LmdbSystem final : public System {
 public:
  LmdbSystem(const std::filesystem::path& directory, unsigned flags) : lmdb_(directory, flags) {}

  std::unique_ptr<Client> client() override;
  void settle() override { check_lmdb(mdb_env_sync(lmdb_.env(), 1), "syncing"); }

  void commit(const Change& change, std::string& scratch) {
    MDB_txn* txn = lmdb_.begin();
    try {
      put_row(txn, lmdb_.state, change.key, change.value);
      if (!change.type.empty()) add_event(txn, change, scratch);
    } catch (...) {
      mdb_txn_abort(txn);
      throw;
    }
    check_lmdb(mdb_txn_commit(txn), "committing");
  }

 private:
  // The write transaction excludes all others; after a failure nothing is measured any more.
  void add_event(MDB_txn* txn, const Change& change, std::string& scratch) {
    std::uint64_t id = ++last_id_;
    scratch.clear();
    event_key(scratch, id);
    event_body(scratch, change);
    put_row(txn, lmdb_.events, std::string_view(scratch).substr(0, 8), std::string_view(scratch).substr(8), MDB_APPEND);
    if (change.tag.empty()) return;
    scratch.clear();
    tag_key(scratch, change, id);
    put_row(txn, lmdb_.tags, scratch, {});
  }

  BareLmdb lmdb_;
  std::uint64_t last_id_ = 0;
};

class LmdbClient final : public Client {
 public:
  explicit LmdbClient(LmdbSystem& system) : system_(system) {}
  void commit(const Change& change) override { system_.commit(change, scratch_); }

 private:
  LmdbSystem& system_;
  std::string scratch_;
};

std::unique_ptr<Client> LmdbSystem::client() { return std::make_unique<LmdbClient>(*this); }

}  // namespace

SystemKind bare_lmdb(Safety safety) {
  bool synced = safety == Safety::PowerCut;
  unsigned flags = synced ? 0 : MDB_NOSYNC;
  return {synced ? "lmdb" : "lmdb nosync", safety,
          [flags](const std::filesystem::path& directory) { return std::make_unique<LmdbSystem>(directory, flags); }};
}

}  // namespace azoth::bench
