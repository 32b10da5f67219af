#include <lmdb.h>

#include <string>

#include "azoth/core/error.h"
#include "rows.h"
#include "system.h"

namespace azoth::bench {

namespace {

void check(int rc, const char* what) {
  if (rc != MDB_SUCCESS) throw Error(ErrorCode::Io, std::string("LMDB: ") + what + ": " + mdb_strerror(rc));
}

MDB_val to_val(std::string_view bytes) { return {bytes.size(), const_cast<char*>(bytes.data())}; }

class LmdbSystem final : public System {
 public:
  LmdbSystem(const std::filesystem::path& directory, unsigned flags) {
    constexpr std::size_t kMapBytes = std::size_t{64} << 30;
    check(mdb_env_create(&env_), "creating an environment");
    check(mdb_env_set_mapsize(env_, kMapBytes), "setting the map size");
    check(mdb_env_set_maxdbs(env_, 3), "setting the number of tables");
    check(mdb_env_open(env_, directory.c_str(), flags, 0600), "opening the environment");
    MDB_txn* txn = nullptr;
    check(mdb_txn_begin(env_, nullptr, 0, &txn), "beginning a transaction");
    check(mdb_dbi_open(txn, "state", MDB_CREATE, &state_), "making a table");
    check(mdb_dbi_open(txn, "events", MDB_CREATE, &events_), "making a table");
    check(mdb_dbi_open(txn, "tags", MDB_CREATE, &tags_), "making a table");
    check(mdb_txn_commit(txn), "committing");
  }
  ~LmdbSystem() override { mdb_env_close(env_); }

  std::unique_ptr<Client> client() override;
  void settle() override { check(mdb_env_sync(env_, 1), "syncing"); }

  void commit(const Change& change, std::string& scratch) {
    MDB_txn* txn = nullptr;
    check(mdb_txn_begin(env_, nullptr, 0, &txn), "beginning a transaction");
    try {
      put(txn, state_, change.key, change.value, 0);
      std::uint64_t id = next_id_ + 1;  // the write transaction excludes all others
      scratch.clear();
      event_key(scratch, id);
      event_body(scratch, change);
      put(txn, events_, std::string_view(scratch).substr(0, 8), std::string_view(scratch).substr(8), MDB_APPEND);
      if (!change.tag.empty()) {
        scratch.clear();
        tag_key(scratch, change, id);
        put(txn, tags_, scratch, {}, 0);
      }
      next_id_ = id;
    } catch (...) {
      mdb_txn_abort(txn);
      throw;
    }
    check(mdb_txn_commit(txn), "committing");
  }

 private:
  static void put(MDB_txn* txn, MDB_dbi table, std::string_view key, std::string_view value, unsigned flags) {
    MDB_val k = to_val(key);
    MDB_val v = to_val(value);
    check(mdb_put(txn, table, &k, &v, flags), "writing");
  }

  MDB_env* env_ = nullptr;
  MDB_dbi state_ = 0;
  MDB_dbi events_ = 0;
  MDB_dbi tags_ = 0;
  std::uint64_t next_id_ = 0;
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
  return {synced ? "lmdb" : "lmdb nosync", safety, [flags](const std::filesystem::path& directory) {
            return std::make_unique<LmdbSystem>(directory, flags);
          }};
}

}  // namespace azoth::bench
