// LMDB without anything around it, as a reference.
#pragma once

#include <lmdb.h>

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace azoth::bench {

void check_lmdb(int rc, const char* what);  // throws Io
inline MDB_val to_val(std::string_view bytes) { return {bytes.size(), const_cast<char*>(bytes.data())}; }
inline std::string_view to_view(const MDB_val& val) { return {static_cast<const char*>(val.mv_data), val.mv_size}; }

// An environment with the tables of state, events and tags.
class BareLmdb {
 public:
  // Makes the tables unless `flags` has MDB_RDONLY.
  BareLmdb(const std::filesystem::path& directory, unsigned flags);
  ~BareLmdb() { mdb_env_close(env_); }
  BareLmdb(const BareLmdb&) = delete;
  BareLmdb& operator=(const BareLmdb&) = delete;

  MDB_txn* begin(unsigned flags = 0);
  MDB_env* env() const { return env_; }

  MDB_dbi state = 0;
  MDB_dbi events = 0;
  MDB_dbi tags = 0;

 private:
  void open_tables(unsigned flags);

  MDB_env* env_ = nullptr;
};

// A row of a write transaction. `flags`: MDB_APPEND for a key behind all others.
void put_row(MDB_txn* txn, MDB_dbi table, std::string_view key, std::string_view value, unsigned flags = 0);

// A reading transaction that is renewed and reset again and again, as a pool of them would.
class BareSnapshot {
 public:
  explicit BareSnapshot(BareLmdb& lmdb) : txn_(lmdb.begin(MDB_RDONLY)) {}
  ~BareSnapshot() { mdb_txn_abort(txn_); }
  BareSnapshot(const BareSnapshot&) = delete;
  BareSnapshot& operator=(const BareSnapshot&) = delete;

  void reset() { mdb_txn_reset(txn_); }
  void renew() { check_lmdb(mdb_txn_renew(txn_), "renewing a snapshot"); }
  std::string_view get(MDB_dbi table, std::string_view key) {
    MDB_val k = to_val(key);
    MDB_val v{};
    check_lmdb(mdb_get(txn_, table, &k, &v), "reading");
    return to_view(v);
  }
  MDB_txn* txn() const { return txn_; }

 private:
  MDB_txn* txn_;
};

class BareCursor {
 public:
  BareCursor(const BareSnapshot& snapshot, MDB_dbi table) {
    check_lmdb(mdb_cursor_open(snapshot.txn(), table, &cursor_), "opening a cursor");
  }
  ~BareCursor() { mdb_cursor_close(cursor_); }
  BareCursor(const BareCursor&) = delete;
  BareCursor& operator=(const BareCursor&) = delete;

  // Whether there is a row, which key() and value() then show.
  bool move(MDB_cursor_op operation, std::string_view to = {}) {
    key_ = to_val(to);
    int rc = mdb_cursor_get(cursor_, &key_, &value_, operation);
    if (rc != MDB_NOTFOUND) check_lmdb(rc, "walking");
    return rc == MDB_SUCCESS;
  }
  std::string_view key() const { return to_view(key_); }
  std::string_view value() const { return to_view(value_); }

 private:
  MDB_cursor* cursor_ = nullptr;
  MDB_val key_{};
  MDB_val value_{};
};

}  // namespace azoth::bench
