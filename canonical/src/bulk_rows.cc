#include "bulk_rows.h"

#include <vector>

#include "azoth/core/codec.h"

namespace azoth {

namespace {

constexpr std::size_t kPieceBytes = std::size_t{256} << 10;
constexpr std::string_view kPrefix =
    "\xF0"
    "bulk";

std::string piece_key(CommitSeq commit, std::uint64_t piece) {
  std::string key(kPrefix);
  key.resize(kPrefix.size() + sizeof commit + sizeof piece);
  codec::store_big(key.data() + kPrefix.size(), commit);
  codec::store_big(key.data() + kPrefix.size() + sizeof commit, piece);
  return key;
}

// Collects bytes and writes a row whenever there are enough of them.
class PieceWriter {
 public:
  PieceWriter(LmdbWriteTxn& txn, const Rows& rows, CommitSeq commit) : txn_(txn), rows_(rows), commit_(commit) {}

  void append(std::string_view bytes) {
    while (!bytes.empty()) {
      std::size_t some = std::min(bytes.size(), kPieceBytes - buffer_.size());
      buffer_.append(bytes.substr(0, some));
      bytes.remove_prefix(some);
      if (buffer_.size() == kPieceBytes) flush();
    }
  }

  void flush() {
    if (buffer_.empty()) return;
    rows_.put_value(txn_, Table::System, piece_key(commit_, piece_++), buffer_);
    buffer_.clear();
  }

 private:
  LmdbWriteTxn& txn_;
  const Rows& rows_;
  const CommitSeq commit_;
  std::uint64_t piece_ = 0;
  std::string buffer_;
};

}  // namespace

void put_bulk_record(LmdbWriteTxn& txn, const Rows& rows, std::string_view record) {
  RecordReader reader(record);
  PieceWriter pieces(txn, rows, reader.header().commit_seq);
  pieces.append(record.substr(0, kRecordHeaderBytes));
  if (reader.header().operations != 0) {
    while (auto entry = reader.next()) {
      if (entry->kind != RecordEntry::Kind::Event) pieces.append(entry->bytes);
    }
  }
  pieces.flush();
}

void drop_bulk_records(LmdbWriteTxn& txn, CommitSeq before) {
  std::vector<std::string> keys;
  {
    LmdbCursor row = txn.cursor(Table::System);
    std::string end = piece_key(before, 0);
    for (bool more = row.seek(kPrefix); more && row.key() < end; more = row.next()) keys.emplace_back(row.key());
  }
  for (const std::string& key : keys) txn.del(Table::System, key);
}

std::optional<BulkPiece> bulk_piece(std::string_view system_key) {
  constexpr std::size_t kNumbers = sizeof(BulkPiece::commit) + sizeof(BulkPiece::number);
  if (!system_key.starts_with(kPrefix) || system_key.size() != kPrefix.size() + kNumbers) return std::nullopt;
  const char* numbers = system_key.data() + kPrefix.size();
  return BulkPiece{codec::load_big(numbers), codec::load_big(numbers + sizeof(BulkPiece::commit))};
}

bool was_bulk(const LmdbReadTxn& txn, CommitSeq commit) {
  return txn.get(Table::System, piece_key(commit, 0)).has_value();
}

CommitSeq last_not_bulk(const LmdbReadTxn& txn, CommitSeq commit) {
  while (was_bulk(txn, commit)) --commit;
  return commit;
}

std::optional<std::string> bulk_record(const LmdbReadTxn& txn, const Rows& rows, CommitSeq commit) {
  std::string record;
  for_each_bulk_piece(txn, rows, commit, [&](std::string_view piece) { record.append(piece); });
  return record.empty() ? std::nullopt : std::optional(std::move(record));
}

void for_each_bulk_piece(const LmdbReadTxn& txn, const Rows& rows, CommitSeq commit,
                         const std::function<void(std::string_view)>& each) {
  for (std::uint64_t piece = 0;; ++piece) {
    std::string key = piece_key(commit, piece);
    auto row = txn.get(Table::System, key);
    if (!row) break;
    each(rows.value(key, *row, true));
  }
}

}  // namespace azoth
