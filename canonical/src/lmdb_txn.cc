// The transactions and cursors of lmdb_env.h.
#include <utility>

#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "lmdb_calls.h"
#include "lmdb_env.h"

namespace azoth {

namespace {

MDB_val to_val(std::string_view bytes) { return {bytes.size(), const_cast<char*>(bytes.data())}; }
std::string_view to_view(const MDB_val& val) { return {static_cast<const char*>(val.mv_data), val.mv_size}; }

bool cursor_result(int rc, const char* what) {
  if (rc == MDB_NOTFOUND) return false;
  check(rc, what);
  return true;
}

std::optional<std::string_view> get_value(MDB_txn* txn, unsigned dbi, std::string_view key) {
  MDB_val k = to_val(key);
  MDB_val v{};
  int rc = mdb_get(txn, dbi, &k, &v);
  if (rc == MDB_NOTFOUND) return std::nullopt;
  check(rc, "reading LMDB");
  return to_view(v);
}

std::uint64_t count_entries(MDB_txn* txn, unsigned dbi) {
  MDB_stat stat{};
  check(mdb_stat(txn, dbi, &stat), "reading LMDB's statistics");
  return stat.ms_entries;
}

}  // namespace

// --- LmdbCursor

LmdbCursor::LmdbCursor(MDB_txn* txn, unsigned dbi) { check(mdb_cursor_open(txn, dbi, &cursor_), "opening a cursor"); }

LmdbCursor::LmdbCursor(LmdbCursor&& other) noexcept
    : cursor_(std::exchange(other.cursor_, nullptr)), key_(other.key_), value_(other.value_) {}

LmdbCursor& LmdbCursor::operator=(LmdbCursor&& other) noexcept {
  std::swap(cursor_, other.cursor_);
  key_ = other.key_;
  value_ = other.value_;
  return *this;
}

LmdbCursor::~LmdbCursor() {
  if (cursor_ != nullptr) mdb_cursor_close(cursor_);
}

bool LmdbCursor::get(int operation, std::string_view key) {
  MDB_val k = to_val(key);
  MDB_val v{};
  if (!cursor_result(mdb_cursor_get(cursor_, &k, &v, static_cast<MDB_cursor_op>(operation)), "walking LMDB")) {
    return false;
  }
  key_ = to_view(k);
  value_ = to_view(v);
  return true;
}

bool LmdbCursor::first() { return get(MDB_FIRST); }
bool LmdbCursor::last() { return get(MDB_LAST); }
bool LmdbCursor::next() { return get(MDB_NEXT); }
bool LmdbCursor::previous() { return get(MDB_PREV); }
bool LmdbCursor::seek(std::string_view key) { return key.empty() ? first() : get(MDB_SET_RANGE, key); }
bool LmdbCursor::seek_before(std::string_view key) {
  if (key.empty()) return false;
  return get(MDB_SET_RANGE, key) ? previous() : last();
}

// --- LmdbReadTxn

LmdbReadTxn::LmdbReadTxn(LmdbEnv* env, LmdbReader* reader)
    : env_(env), reader_(reader), txn_(reader->txn), id_(mdb_txn_id(txn_)) {}

LmdbReadTxn::LmdbReadTxn(LmdbReadTxn&& other) noexcept
    : env_(other.env_), reader_(other.reader_), txn_(std::exchange(other.txn_, nullptr)), id_(other.id_) {}

LmdbReadTxn::~LmdbReadTxn() {
  if (txn_ != nullptr) env_->give_back(reader_);
}

std::optional<std::string_view> LmdbReadTxn::get(Table table, std::string_view key) const {
  return get_value(txn_, env_->dbis_[static_cast<unsigned>(table)], key);
}

LmdbCursor LmdbReadTxn::cursor(Table table) const {
  return LmdbCursor(txn_, env_->dbis_[static_cast<unsigned>(table)]);
}

std::uint64_t LmdbReadTxn::entries(Table table) const {
  return count_entries(txn_, env_->dbis_[static_cast<unsigned>(table)]);
}

// LMDB takes a snapshot's number first and its content after that, from the one of two places that the number's parity
// says. If two commits came in between, the content is the newer one's, and the number says nothing.
std::optional<CommitSeq> LmdbReadTxn::published_commit() const {
  MDB_envinfo info{};
  if (mdb_env_info(env_->env_, &info) != 0 || info.me_last_txnid > id_ + 1) return std::nullopt;
  const LmdbEnv::Published& slot = env_->published_[id_ % LmdbEnv::kPublished];
  if (slot.txn_id.load(std::memory_order_acquire) != id_) return std::nullopt;
  CommitSeq commit = slot.commit.load(std::memory_order_acquire);
  // The slot may have been given to a later transaction in between; the id is stored last and cleared first.
  if (slot.txn_id.load(std::memory_order_acquire) != id_) return std::nullopt;
  return commit;
}

// --- LmdbWriteTxn

LmdbWriteTxn::LmdbWriteTxn(LmdbEnv& env) : env_(env) {
  check(mdb_txn_begin(env.env_, nullptr, 0, &txn_), "beginning an LMDB transaction");
}

LmdbWriteTxn::~LmdbWriteTxn() {
  if (txn_ != nullptr) mdb_txn_abort(txn_);
}

std::optional<std::string_view> LmdbWriteTxn::get(Table table, std::string_view key) const {
  return get_value(txn_, env_.dbis_[static_cast<unsigned>(table)], key);
}

std::optional<std::string_view> LmdbWriteTxn::seek(Table table, std::string_view key) {
  MDB_val k = to_val(key);
  MDB_val v{};
  if (!cursor_result(mdb_cursor_get(position(table), &k, &v, MDB_SET), "reading LMDB")) return std::nullopt;
  return to_view(v);
}

void LmdbWriteTxn::put(Table table, std::string_view key, std::string_view value) {
  value.copy(reserve(table, key, value.size(), false), value.size());
}

char* LmdbWriteTxn::reserve(Table table, std::string_view key, std::size_t size, bool append) {
  MDB_val k = to_val(key);
  MDB_val v{size, nullptr};
  unsigned flags = append ? MDB_RESERVE | MDB_APPEND : MDB_RESERVE;
  check(mdb_cursor_put(position(table), &k, &v, flags), "writing LMDB");
  return static_cast<char*>(v.mv_data);
}

void LmdbWriteTxn::del(Table table, std::string_view key) {
  MDB_val k = to_val(key);
  MDB_cursor* at = position(table);
  int rc = mdb_cursor_get(at, &k, nullptr, MDB_SET);
  if (rc == MDB_SUCCESS) rc = mdb_cursor_del(at, 0);
  if (rc != MDB_NOTFOUND) check(rc, "deleting from LMDB");
}

MDB_cursor* LmdbWriteTxn::position(Table table) {
  auto index = static_cast<unsigned>(table);
  MDB_cursor*& cursor = positions_[index];
  if (cursor == nullptr) check(mdb_cursor_open(txn_, env_.dbis_[index], &cursor), "opening a cursor");
  return cursor;
}

std::uint64_t LmdbWriteTxn::entries(Table table) const {
  return count_entries(txn_, env_.dbis_[static_cast<unsigned>(table)]);
}

LmdbCursor LmdbWriteTxn::cursor(Table table) const {
  return LmdbCursor(txn_, env_.dbis_[static_cast<unsigned>(table)]);
}

// A failure is never NoSpace or OutOfMemory, after which the same is tried again: whether anything has changed is not
// known, and what a failed sync has lost, a second one does not write. So its message must not want for memory.
void LmdbWriteTxn::commit(CommitSeq last_commit) {
  const Error failed(ErrorCode::Io, "committing to LMDB");
  env_.publish(mdb_txn_id(txn_), last_commit);
  try {
    int rc = AZOTH_FAULT("lmdb.commit");
    if (rc == 0) rc = mdb_txn_commit(std::exchange(txn_, nullptr));
    if (rc != MDB_SUCCESS) throw Error(ErrorCode::Io, std::string("committing to LMDB: ") + mdb_strerror(rc));
  } catch (const std::bad_alloc&) {
    throw failed;
  }
  env_.extend_to_end();
}

}  // namespace azoth
