#include "lmdb_env.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <tuple>

#include "azoth/core/error.h"
#include "azoth/core/fault.h"
#include "azoth/core/log.h"
#include "lmdb_calls.h"
#include "record.h"

namespace azoth {

namespace {

constexpr std::array<const char*, kTables> kTableNames = {"state", "events", "tags", "system"};
constexpr unsigned kFreeList = 0;  // LMDB's own table of free pages

// 0 if there is no such file. Only that says that it is missing: one that cannot be looked at may be whole.
std::uint64_t size_of_regular_file(const std::filesystem::path& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return 0;
    throw_errno(errno, "looking up " + path.string());
  }
  if (S_ISREG(status.st_mode)) return static_cast<std::uint64_t>(status.st_size);
  throw Error(ErrorCode::Corruption, path.string() + " is not a regular file; refusing to touch it");
}

// LMDB writes its lock file through a sparse map, which on a full disk would kill the process by SIGBUS. Allocating it
// first makes that an error. The size stays: who has mapped less of it must not meet slots behind that, and LMDB makes
// it larger when nobody else has it open. Only when no environment of this process is open on it.
void allocate_lock_file(const std::filesystem::path& path, unsigned max_readers) {
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) throw_errno(errno, "opening " + path.string());
  constexpr off_t kHeader = 192;
  constexpr off_t kSlot = 64;
  const off_t bytes = kHeader + kSlot * static_cast<off_t>(max_readers);
  int error = 0;
  do {
    error = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, bytes) == 0 ? 0 : errno;
  } while (error == EINTR);
  close(fd);
  const bool cannot = error == EOPNOTSUPP || error == ENOSYS || error == EINVAL;
  if (error != 0 && !cannot) throw_errno(error, "allocating " + path.string());
}

bool address_space_is_limited() {
  rlimit limit{};
  return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

// As much address space as asked for, or as the process may have.
std::uint64_t map_size_within_limits(std::uint64_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    wanted = std::min<std::uint64_t>(wanted, limit.rlim_cur / 2);
  }
  auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return wanted / page * page;
}

}  // namespace

void throw_lmdb(int rc, const std::string& what) {
  std::string message = what + ": " + mdb_strerror(rc);
  switch (rc) {
    case MDB_MAP_FULL:
      throw Error(ErrorCode::NoSpace, what + ": the map is full; open the store with a larger map");
    case ENOSPC:
    case EDQUOT:
      throw Error(ErrorCode::NoSpace, message);
    case MDB_READERS_FULL:
      throw Error(ErrorCode::ReadersFull, "too many snapshots are alive; end some or open the store for more readers");
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
      throw Error(ErrorCode::Corruption, message);
    case ENOMEM:
      throw Error(ErrorCode::OutOfMemory, message);
    case MDB_MAP_RESIZED:
      throw Error(ErrorCode::Io, what +
                                     ": a writer with a larger map has made the store larger than what this reader " +
                                     "has mapped; close it and open it again");
    default:
      throw Error(ErrorCode::Io, message);
  }
}

LmdbEnv::LmdbEnv(const std::filesystem::path& directory, const Settings& settings, Mode mode)
    : data_file_(directory / "data.mdb") {
  const std::filesystem::path& data = data_file_;
  std::filesystem::path lock = directory / "lock.mdb";
  const bool has_data = size_of_regular_file(data) != 0;
  const bool has_lock = size_of_regular_file(lock) != 0;
  if (mode != Mode::Create && !has_data) {
    throw Error(ErrorCode::Corruption, data.string() + " is missing or empty; restore it from a copy or a backup");
  }
  if (mode != Mode::Create) check_lmdb_metas(data);  // LMDB takes its page size from there, and divides by it
  unsigned readers = settings.max_readers + 1;       // and the environment's own
  if (mode != Mode::Read || !has_lock) allocate_lock_file(lock, readers);
  check(mdb_env_create(&env_), "creating an LMDB environment");
  try {
    // A reader needs as much as the writer has, which the file knows and LMDB takes from there.
    bool as_in_file = mode == Mode::Read && !address_space_is_limited();
    std::uint64_t map_bytes = map_size_within_limits(settings.map_bytes);
    check(mdb_env_set_mapsize(env_, as_in_file ? 0 : map_bytes), "setting LMDB's map size");
    check(mdb_env_set_maxreaders(env_, readers), "setting LMDB's readers");
    check(mdb_env_set_maxdbs(env_, kTables), "setting LMDB's tables");
    int rc = mdb_env_open(env_, directory.c_str(), mode == Mode::Read ? MDB_NOTLS | MDB_RDONLY : MDB_NOTLS, 0600);
    if (rc == EACCES && mode == Mode::Read) {
      throw Error(ErrorCode::Io, "cannot open " + directory.string() +
                                     ": reading needs permission to read data.mdb and " +
                                     "to write lock.mdb, in which readers note themselves");
    }
    if (rc != MDB_SUCCESS) throw_lmdb(rc, "opening " + data.string());
    if (as_in_file) raise_map_size(map_bytes);
    check(mdb_env_get_fd(env_, &data_fd_), "asking LMDB for its file");
    fcntl(data_fd_, F_SETFD, FD_CLOEXEC);
    check_whole();
    clear_stale_readers();
    if (mode == Mode::Write) finish_for_dead_writer();
    if (mode != Mode::Create) check_entrance(mode == Mode::Write);
    open_tables(mode == Mode::Create);
    most_pooled_ = std::clamp(settings.max_readers / 4, 1u, 64u);
    own_reader_ = begin_fresh_read();
    mdb_txn_reset(own_reader_);
  } catch (...) {
    mdb_env_close(env_);
    throw;
  }
}

LmdbEnv::~LmdbEnv() {
  for (const auto& reader : readers_) mdb_txn_abort(reader->txn);
  mdb_txn_abort(own_reader_);
  mdb_env_close(env_);
}

// Reading a page that lies behind the end of a mapped file kills the process, so a file that was cut (by a copy that
// did not end, say) must be found here.
void LmdbEnv::check_whole() {
  std::uint64_t end = end_bytes();  // first, because a writer in another process extends the file before it uses it
  struct stat status {};
  if (fstat(data_fd_, &status) != 0) throw_errno(errno, "finding the size of " + data_file_.string());
  auto size = static_cast<std::uint64_t>(status.st_size);
  if (size >= end) return;
  throw Error(ErrorCode::Corruption, data_file_.string() + " has " + std::to_string(size) + " bytes and should have " +
                                         std::to_string(end) + ": it was cut; restore it from a copy or a backup");
}

// A snapshot of LMDB's, and what its meta page says: until `check` is through, none of its pages changes. Nothing if a
// writer has committed twice since it was taken. If none has, the file is not the one that lock.mdb tells of.
template <class Check>
std::optional<LmdbCheck> LmdbEnv::check_transaction(MDB_txn* txn, Check check) {
  LmdbFile file(data_fd_, data_file_);
  const std::size_t id = mdb_txn_id(txn);
  if (std::optional<LmdbMeta> meta = file.of_transaction(id)) return check(file, *meta);
  try {
    std::unique_ptr<MDB_txn, decltype(&mdb_txn_abort)> newest(begin_fresh_read(), mdb_txn_abort);
    if (mdb_txn_id(newest.get()) != id) return std::nullopt;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::ReadersFull) throw;
    return std::nullopt;  // the next time tells
  }
  throw Error(ErrorCode::Corruption,
              data_file_.string() + " does not have transaction " + std::to_string(id) +
                  ", which lock.mdb beside it tells of: it was replaced while a process had the store open. End that "
                  "process before a store is put in place");
}

// What command ids there are may take long to look at, and is not needed to open a store.
void LmdbEnv::check_entrance(bool writing) {
  auto skip = [](std::string_view low, std::optional<std::string_view> high) {
    constexpr char kCommands = static_cast<char>(azoth::Space::Command);
    return low.starts_with(kCommands) && high && high->starts_with(kCommands);
  };
  std::optional<LmdbCheck> found;
  while (!found) {
    std::unique_ptr<MDB_txn, decltype(&mdb_txn_abort)> txn(begin_fresh_read(), mdb_txn_abort);
    found = check_transaction(txn.get(), [&](const LmdbFile& file, const LmdbMeta& meta) {
      return check_lmdb_entrance(file, meta, kTableNames[static_cast<unsigned>(Table::System)], skip, writing);
    });
  }
  if (found->problems.empty()) return;
  throw Error(ErrorCode::Corruption,
              found->problems.front() + "; nothing was changed, restore the store from a backup");
}

std::optional<LmdbCheck> LmdbEnv::check_pages(const LmdbReadTxn& snapshot) {
  return check_transaction(snapshot.txn_, check_lmdb);
}

void LmdbEnv::require_whole_pages() {
  std::optional<LmdbCheck> found;
  while (!found) found = check_pages(begin_read());
  if (found->problems.empty()) return;
  throw Error(ErrorCode::Corruption,
              found->problems.front() + "; nothing was changed. Restore the store from a copy or a backup");
}

// A writer that is killed while LMDB syncs its last page has committed, but has not told: as long as a reader keeps
// LMDB's lock file alive, snapshots go on showing the transaction before, until the next write transaction begins.
// Recovery must know what was committed, so let one begin.
void LmdbEnv::finish_for_dead_writer() {
  MDB_txn* txn = nullptr;
  check(mdb_txn_begin(env_, nullptr, 0, &txn), "beginning an LMDB transaction");
  mdb_txn_abort(txn);
}

// For a writer that will be opened with more; if there is no address space for that, what the file needs has to do.
// That is tried out first, because LMDB gives its map up before it knows. Before there is any transaction.
void LmdbEnv::raise_map_size(std::uint64_t bytes) {
  MDB_envinfo info{};
  check(mdb_env_info(env_, &info), "asking LMDB for its size");
  if (info.me_mapsize >= bytes) return;
  void* room = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return;
  munmap(room, bytes);
  check(mdb_env_set_mapsize(env_, bytes), "setting LMDB's map size");
}

// LMDB does not write the pages that a transaction took and gave back. If they are the last ones, and were not
// reserved, the file would look as if it had been cut.
void LmdbEnv::extend_to_end() noexcept {
  MDB_envinfo info{};
  MDB_stat stat{};
  if (mdb_env_info(env_, &info) != 0 || mdb_env_stat(env_, &stat) != 0) return;
  const int error = lengthen((info.me_last_pgno + 1) * stat.ms_psize);
  if (error != 0) log(LogLevel::Warning, "extending data.mdb: ", std::strerror(error));
}

void LmdbEnv::open_tables(bool create) {
  MDB_txn* txn = nullptr;
  check(mdb_txn_begin(env_, nullptr, create ? 0 : MDB_RDONLY, &txn), "beginning an LMDB transaction");
  for (std::size_t i = 0; i < kTables; ++i) {
    int rc = mdb_dbi_open(txn, kTableNames[i], create ? MDB_CREATE : 0, &dbis_[i]);
    if (rc == MDB_SUCCESS) continue;
    mdb_txn_abort(txn);
    if (rc == MDB_NOTFOUND) {
      throw Error(ErrorCode::Corruption, std::string("LMDB's table ") + kTableNames[i] + " is missing");
    }
    throw_lmdb(rc, std::string("opening LMDB's table ") + kTableNames[i]);
  }
  check(mdb_txn_commit(txn), "opening LMDB's tables");
}

void LmdbEnv::publish(std::uint64_t txn_id, CommitSeq last_commit) {
  Published& slot = published_[txn_id % kPublished];
  slot.txn_id.store(0, std::memory_order_release);
  slot.commit.store(last_commit, std::memory_order_release);
  slot.txn_id.store(txn_id, std::memory_order_release);
}

LmdbReadTxn LmdbEnv::begin_read() {
  LmdbReader* reader = spare_reader_.exchange(nullptr, std::memory_order_acquire);
  if (reader == nullptr) {
    std::lock_guard lock(pool_mutex_);
    if (!pool_.empty()) {
      reader = pool_.back();
      pool_.pop_back();
    }
  }
  if (reader == nullptr) {
    auto fresh = std::make_unique<LmdbReader>();
    std::lock_guard lock(pool_mutex_);
    pool_.reserve(readers_.size() + 1);  // so that giving back cannot fail
    readers_.reserve(readers_.size() + 1);
    fresh->txn = begin_fresh_read();
    reader = readers_.emplace_back(std::move(fresh)).get();
  } else if (int rc = mdb_txn_renew(reader->txn); rc != MDB_SUCCESS) {
    std::lock_guard lock(pool_mutex_);
    pool_.push_back(reader);
    throw_lmdb(rc, "beginning an LMDB snapshot");
  }
  reader->since.store(LmdbReader::now(), std::memory_order_relaxed);
  live_readers_.fetch_add(1, std::memory_order_relaxed);
  return LmdbReadTxn(this, reader);
}

std::chrono::milliseconds LmdbEnv::oldest_reader_age() {
  std::lock_guard lock(pool_mutex_);
  std::int64_t now = LmdbReader::now();
  std::int64_t oldest = now;
  for (const auto& reader : readers_) {
    std::int64_t since = reader->since.load(std::memory_order_relaxed);
    if (since != 0) oldest = std::min(oldest, since);
  }
  return std::chrono::milliseconds(now - oldest);
}

MDB_txn* LmdbEnv::begin_fresh_read() {
  MDB_txn* txn = nullptr;
  int rc = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn);
  if (rc == MDB_READERS_FULL) {
    clear_stale_readers();
    rc = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn);
  }
  check(rc, "beginning an LMDB snapshot");
  return txn;
}

void LmdbEnv::give_back(LmdbReader* reader) noexcept {
  live_readers_.fetch_sub(1, std::memory_order_relaxed);
  reader->since.store(0, std::memory_order_relaxed);
  mdb_txn_reset(reader->txn);
  LmdbReader* none = nullptr;
  if (spare_reader_.compare_exchange_strong(none, reader, std::memory_order_release, std::memory_order_relaxed)) return;
  std::lock_guard lock(pool_mutex_);
  if (pool_.size() < most_pooled_) {
    pool_.push_back(reader);  // there is room
    return;
  }
  mdb_txn_abort(reader->txn);  // its place is for whoever needs one, in any process
  std::erase_if(readers_, [&](const auto& one) { return one.get() == reader; });
}

// LMDB tells of its readers only in text: a title, then for each slot a process, a thread, and a transaction or "-".
LmdbEnv::Readers LmdbEnv::readers_of_all_processes() {
  MDB_envinfo info{};
  check(mdb_env_info(env_, &info), "asking LMDB for its state");
  std::string text;
  auto collect = [](const char* line, void* to) {
    static_cast<std::string*>(to)->append(line);
    return 0;
  };
  mdb_reader_list(env_, collect, &text);
  Readers readers;
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    std::size_t at = line.find_last_of(' ');
    if (at == std::string::npos || at + 1 == line.size() ||
        line.find_first_not_of("0123456789", at + 1) != std::string::npos) {
      continue;
    }
    std::uint64_t txn = std::strtoull(line.c_str() + at, nullptr, 10);
    ++readers.snapshots;
    if (txn < info.me_last_txnid) readers.oldest_lag = std::max(readers.oldest_lag, info.me_last_txnid - txn);
  }
  return readers;
}

void LmdbEnv::sync_commits(bool on) {
  check(mdb_env_set_flags(env_, MDB_NOSYNC, on ? 0 : 1), "telling LMDB when to sync");
}

void LmdbEnv::begin_writing() noexcept { std::ignore = sync_file_range(data_fd_, 0, 0, SYNC_FILE_RANGE_WRITE); }

void LmdbEnv::sync() {
  if (int error = AZOTH_FAULT("lmdb.sync")) throw_errno(error, "syncing LMDB");
  unsigned flags = 0;
  check(mdb_env_get_flags(env_, &flags), "syncing LMDB");
  if ((flags & MDB_RDONLY) == 0) return check(mdb_env_sync(env_, 1), "syncing LMDB");
  const bool synced = fdatasync(data_fd_) == 0;
  const bool can_be = errno != EROFS && errno != EINVAL;  // of what cannot be written there is nothing to sync
  if (!synced && can_be) throw_errno(errno, "syncing " + data_file_.string());
}

void LmdbEnv::clear_stale_readers() {
  int dead = 0;
  check(mdb_reader_check(env_, &dead), "clearing stale LMDB readers");
}

// To this size at least, without taking room for it. An errno, or 0.
int LmdbEnv::lengthen(std::uint64_t bytes) const {
  struct stat status {};
  if (fstat(data_fd_, &status) != 0) return errno;
  const auto end = static_cast<off_t>(bytes);
  return status.st_size >= end || ftruncate(data_fd_, end) == 0 ? 0 : errno;
}

void LmdbEnv::reserve_disk(std::uint64_t bytes) {
  constexpr std::uint64_t kStep = std::uint64_t{1} << 20;
  std::uint64_t end = (end_bytes() + bytes + kStep - 1) / kStep * kStep;
  int error = 0;
  do {
    error = AZOTH_FAULT("lmdb.reserve");
    if (error == 0 && end > reserved_disk_ && fallocate(data_fd_, 0, 0, static_cast<off_t>(end)) != 0) error = errno;
  } while (error == EINTR);  // a signal of the program's; some file systems give up for any
  // Then at least its length is there before LMDB relies on it, and LMDB's own sync makes it durable.
  const bool cannot = error == EOPNOTSUPP || error == ENOSYS;
  if (cannot) error = lengthen(end);
  if (error != 0) throw_errno(error, "extending data.mdb");
  reserved_disk_ = std::max(reserved_disk_, end);
}

std::uint64_t LmdbEnv::end_bytes() {
  MDB_envinfo info{};
  MDB_stat stat{};
  check(mdb_env_info(env_, &info), "asking LMDB for its size");
  check(mdb_env_stat(env_, &stat), "asking LMDB for its size");
  return (info.me_last_pgno + 1) * stat.ms_psize;
}

class LmdbEnv::OwnRead {
 public:
  explicit OwnRead(LmdbEnv& env) : lock_(env.own_reader_mutex_), txn_(env.own_reader_) {
    check(mdb_txn_renew(txn_), "beginning an LMDB snapshot");
  }
  ~OwnRead() { mdb_txn_reset(txn_); }
  OwnRead(const OwnRead&) = delete;
  OwnRead& operator=(const OwnRead&) = delete;

 private:
  std::lock_guard<std::mutex> lock_;
  MDB_txn* txn_;
};

LmdbEnv::Space LmdbEnv::space() {
  MDB_envinfo info{};
  check(mdb_env_info(env_, &info), "asking LMDB for its size");
  std::uint64_t oldest = info.me_last_txnid - std::min(readers_of_all_processes().oldest_lag, info.me_last_txnid);
  OwnRead own(*this);
  MDB_stat stat{};
  check(mdb_stat(own_reader_, kFreeList, &stat), "reading LMDB's statistics");
  LmdbCursor cursor(own_reader_, kFreeList);
  std::uint64_t free_pages = 0;
  for (bool more = cursor.first(); more; more = cursor.next()) {
    std::size_t freed_by = 0;  // each entry has the transaction as its key, and begins with the number of pages
    std::size_t pages = 0;
    std::memcpy(&freed_by, cursor.key().data(), sizeof freed_by);
    std::memcpy(&pages, cursor.value().data(), sizeof pages);
    if (freed_by <= oldest) free_pages += pages;
  }
  return {info.me_mapsize, end_bytes(), free_pages * stat.ms_psize};
}

LmdbEnv::Pages LmdbEnv::pages(Table table) {
  OwnRead own(*this);
  MDB_stat stat{};
  check(mdb_stat(own_reader_, dbis_[static_cast<unsigned>(table)], &stat), "reading LMDB's statistics");
  return {.leaf = stat.ms_leaf_pages, .overflow = stat.ms_overflow_pages, .bytes = stat.ms_psize};
}

}  // namespace azoth
