#include "bare_lmdb.h"

#include <string>

#include "azoth/core/error.h"

namespace azoth::bench {

void check_lmdb(int rc, const char* what) {
  if (rc != MDB_SUCCESS) throw Error(ErrorCode::Io, std::string("LMDB: ") + what + ": " + mdb_strerror(rc));
}

BareLmdb::BareLmdb(const std::filesystem::path& directory, unsigned flags) {
  constexpr std::size_t kMapBytes = std::size_t{64} << 30;
  constexpr unsigned kTables = 4;  // as many as a store of Azoth's has
  check_lmdb(mdb_env_create(&env_), "creating an environment");
  try {
    check_lmdb(mdb_env_set_mapsize(env_, kMapBytes), "setting the map size");
    check_lmdb(mdb_env_set_maxdbs(env_, kTables), "setting the number of tables");
    check_lmdb(mdb_env_open(env_, directory.c_str(), flags, 0600), "opening the environment");
    open_tables(flags);
  } catch (...) {
    mdb_env_close(env_);
    throw;
  }
}

void BareLmdb::open_tables(unsigned flags) {
  unsigned create = (flags & MDB_RDONLY) != 0 ? 0 : MDB_CREATE;
  MDB_txn* txn = begin(flags & MDB_RDONLY);
  int rc = mdb_dbi_open(txn, "state", create, &state);
  if (rc == MDB_SUCCESS) rc = mdb_dbi_open(txn, "events", create, &events);
  if (rc == MDB_SUCCESS) rc = mdb_dbi_open(txn, "tags", create, &tags);
  if (rc != MDB_SUCCESS) mdb_txn_abort(txn);
  check_lmdb(rc, "opening a table");
  check_lmdb(mdb_txn_commit(txn), "opening the tables");
}

MDB_txn* BareLmdb::begin(unsigned flags) {
  MDB_txn* txn = nullptr;
  check_lmdb(mdb_txn_begin(env_, nullptr, flags, &txn), "beginning a transaction");
  return txn;
}

void put_row(MDB_txn* txn, MDB_dbi table, std::string_view key, std::string_view value, unsigned flags) {
  MDB_val k = to_val(key);
  MDB_val v = to_val(value);
  check_lmdb(mdb_put(txn, table, &k, &v, flags), "writing");
}

}  // namespace azoth::bench
