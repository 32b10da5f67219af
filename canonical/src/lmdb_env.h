// LMDB behind a few RAII types: nobody else sees lmdb++.h.
//
// The environment runs in LMDB's default, fully synced mode, with MDB_NOTLS, in one large map that is reserved once and
// never resized while it is open. Only the flusher (and recovery, before there is one) writes. All functions throw
// Error: NoSpace for a full map or disk, ReadersFull, Corruption for what LMDB finds damaged, Io otherwise.
//
// LMDB's lock file must never be opened a second time in the process: closing any descriptor of it would drop LMDB's
// locks. Nothing here does, and nothing else may.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "azoth/core/ids.h"
#include "lmdb_check.h"

struct MDB_env;
struct MDB_txn;
struct MDB_cursor;

namespace azoth {

enum class Table : unsigned { State, Events, Tags, System };
inline constexpr std::size_t kTables = 4;

class LmdbEnv;
struct LmdbReader;  // a reader slot with what is known of its use

// A position in one table, inside one transaction. Must end before its transaction does.
class LmdbCursor {
 public:
  LmdbCursor() = default;
  LmdbCursor(MDB_txn* txn, unsigned dbi);
  LmdbCursor(LmdbCursor&& other) noexcept;
  LmdbCursor& operator=(LmdbCursor&& other) noexcept;
  ~LmdbCursor();

  // Each answers whether it found an entry, which key() and value() then show.
  bool first();
  bool last();
  bool seek(std::string_view key);         // the first entry at or behind key
  bool seek_before(std::string_view key);  // the last entry before key
  bool next();
  bool previous();

  std::string_view key() const { return key_; }
  std::string_view value() const { return value_; }

 private:
  bool get(int operation, std::string_view key = {});

  MDB_cursor* cursor_ = nullptr;
  std::string_view key_;
  std::string_view value_;
};

// A snapshot of LMDB, taken from a pool of reader slots and given back to it.
class LmdbReadTxn {
 public:
  LmdbReadTxn(LmdbReadTxn&& other) noexcept;
  LmdbReadTxn& operator=(LmdbReadTxn&&) = delete;
  ~LmdbReadTxn();

  std::optional<std::string_view> get(Table table, std::string_view key) const;
  LmdbCursor cursor(Table table) const;
  std::uint64_t entries(Table table) const;
  std::uint64_t id() const { return id_; }

  // The last commit this snapshot holds, if it was published by this process. To be asked right after its begin: later
  // it need not be known any more.
  std::optional<CommitSeq> published_commit() const;

 private:
  friend class LmdbEnv;
  LmdbReadTxn(LmdbEnv* env, LmdbReader* reader);

  LmdbEnv* env_;
  LmdbReader* reader_;
  MDB_txn* txn_;
  std::uint64_t id_;
};

// The write transaction. Aborts unless committed. Begins and ends on one thread. Writes that come in key order are
// cheap: each table's position is kept, and LMDB looks there first.
class LmdbWriteTxn {
 public:
  explicit LmdbWriteTxn(LmdbEnv& env);
  ~LmdbWriteTxn();
  LmdbWriteTxn(const LmdbWriteTxn&) = delete;
  LmdbWriteTxn& operator=(const LmdbWriteTxn&) = delete;

  std::optional<std::string_view> get(Table table, std::string_view key) const;
  // The same with the table's position, which a write of the same key then finds in place.
  std::optional<std::string_view> seek(Table table, std::string_view key);
  void put(Table table, std::string_view key, std::string_view value);
  // Room for a value of `size` bytes, to be filled before the next call. append: the key is larger than all others.
  char* reserve(Table table, std::string_view key, std::size_t size, bool append);
  void del(Table table, std::string_view key);  // fine if absent
  std::uint64_t entries(Table table) const;
  LmdbCursor cursor(Table table) const;

  // Makes the commit number known to readers of this transaction before they can see it, and commits, synced.
  void commit(CommitSeq last_commit);

 private:
  MDB_cursor* position(Table table);

  LmdbEnv& env_;
  MDB_txn* txn_ = nullptr;
  std::array<MDB_cursor*, kTables> positions_{};  // opened when needed; they end with the transaction
};

class LmdbEnv {
 public:
  struct Settings {
    std::uint64_t map_bytes;
    unsigned max_readers;
  };

  enum class Mode { Create, Write, Read };

  // Opens the environment in `directory`, which must hold one unless it is to be created. Refuses symbolic links. Reads
  // with a map as large as the writer's at least, unless the process may not have so much address space. Throws
  // Corruption if those pages are not whole that opening a store needs: meta pages, the list of tables, of `system`
  // what is no command id, and for a writer the list of free pages.
  LmdbEnv(const std::filesystem::path& directory, const Settings& settings, Mode mode);
  ~LmdbEnv();  // no transaction may be alive
  LmdbEnv(const LmdbEnv&) = delete;
  LmdbEnv& operator=(const LmdbEnv&) = delete;

  LmdbReadTxn begin_read();
  std::uint32_t live_readers() const { return live_readers_.load(std::memory_order_relaxed); }
  std::chrono::milliseconds oldest_reader_age();  // of this process; 0 if none is alive
  // Makes durable what can be seen, whoever has written it.
  void sync();
  void clear_stale_readers();

  // While a store is built nobody may use it, and nothing needs to be durable: until it is on again, commits only hand
  // their pages to the kernel, which is told to begin writing them. The first commit behind that makes all of it
  // durable.
  void sync_commits(bool on);
  void begin_writing() noexcept;

  struct Readers {
    std::uint32_t snapshots = 0;   // alive, in any process
    std::uint64_t oldest_lag = 0;  // transactions that were committed since the oldest of them began
  };
  Readers readers_of_all_processes();

  // Makes known which commit an LMDB transaction holds, so that its readers need not look it up. By whoever writes, and
  // when the environment was just opened: not by two threads at a time.
  void publish(std::uint64_t txn_id, CommitSeq last_commit);

  // Makes sure that the disk has room for `bytes` more in the data file.
  void reserve_disk(std::uint64_t bytes);
  static constexpr std::uint64_t kFewRows = std::uint64_t{256} << 10;  // a transaction of a few rows adds less

  struct Space {
    std::uint64_t map_bytes;   // reserved address space, the limit
    std::uint64_t end_bytes;   // up to the last page in use
    std::uint64_t free_bytes;  // pages below it that can be used again: no snapshot needs them
    std::uint64_t used() const { return end_bytes - free_bytes; }
  };
  Space space();
  struct Pages {
    std::uint64_t leaf = 0;      // that hold the table's entries
    std::uint64_t overflow = 0;  // that hold its large values
    std::uint64_t bytes = 0;     // of each
  };
  Pages pages(Table table);

  // Looks at all pages of a snapshot, without LMDB. Nothing if it is not the newest or the one before it any more.
  // Throws Corruption if the file was replaced beside a process that has it open.
  std::optional<LmdbCheck> check_pages(const LmdbReadTxn& snapshot);
  // All pages of the newest snapshot: throws Corruption if they are not whole. LMDB follows damaged ones wherever they
  // lead, when it reads and when it writes.
  void require_whole_pages();

 private:
  friend class LmdbReadTxn;
  friend class LmdbWriteTxn;

  static constexpr std::size_t kPublished = 8;
  struct Published {
    std::atomic<std::uint64_t> txn_id{0};
    std::atomic<CommitSeq> commit{0};
  };

  class OwnRead;  // a snapshot for statistics

  void check_whole();
  void check_entrance(bool writing);
  template <class Check>
  std::optional<LmdbCheck> check_transaction(MDB_txn* txn, Check check);
  int lengthen(std::uint64_t bytes) const;
  void extend_to_end() noexcept;
  void finish_for_dead_writer();
  void raise_map_size(std::uint64_t bytes);
  void open_tables(bool create);
  std::uint64_t end_bytes();
  void give_back(LmdbReader* reader) noexcept;
  MDB_txn* begin_fresh_read();

  MDB_env* env_ = nullptr;
  std::array<unsigned, kTables> dbis_{};
  std::filesystem::path data_file_;
  int data_fd_ = -1;
  std::uint64_t reserved_disk_ = 0;
  std::array<Published, kPublished> published_;
  std::atomic<std::uint32_t> live_readers_{0};

  // Has a slot for good, so that what the flusher must know never fails because too many snapshots are alive.
  std::mutex own_reader_mutex_;
  MDB_txn* own_reader_ = nullptr;

  std::atomic<LmdbReader*> spare_reader_{nullptr};  // one more of the pool, without its mutex

  std::mutex pool_mutex_;
  std::vector<std::unique_ptr<LmdbReader>> readers_;  // all that there are
  std::size_t most_pooled_ = 0;                       // each keeps one of the slots that all processes share
  std::vector<LmdbReader*> pool_;                     // of them, reset and ready to be renewed
};

}  // namespace azoth
