#include "query_vfs.h"

#include <sqlite3.h>

#include <cstddef>
#include <string>
#include <utility>

#include "azoth/core/error.h"

namespace azoth::query_vfs {

namespace {

constexpr const char* kName = "azoth-query";
constexpr int kTemporary = SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_TEMP_JOURNAL | SQLITE_OPEN_TRANSIENT_DB |
                           SQLITE_OPEN_SUBJOURNAL | SQLITE_OPEN_DELETEONCLOSE;

thread_local bool opening = false;
thread_local TemporarySpace* current_space = nullptr;

// In memory of SQLite's, aligned to eight bytes; the real file stands behind it.
struct TemporaryFile {
  sqlite3_file base;
  TemporarySpace* space;
  sqlite3_int64 size;
};
static_assert(alignof(TemporaryFile) <= 8);

TemporaryFile& own(sqlite3_file* file) { return *reinterpret_cast<TemporaryFile*>(file); }
sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<sqlite3_file*>(&own(file) + 1); }
sqlite3_vfs* system_vfs(sqlite3_vfs* vfs) { return static_cast<sqlite3_vfs*>(vfs->pAppData); }

int write(sqlite3_file* file, const void* bytes, int count, sqlite3_int64 offset) {
  TemporaryFile& mine = own(file);
  const sqlite3_int64 end = offset + count;
  if (mine.space != nullptr && end > mine.size) {
    const auto growth = static_cast<std::uint64_t>(end - mine.size);
    if (growth > mine.space->limit - mine.space->used) {
      mine.space->exceeded = true;
      return SQLITE_FULL;
    }
    mine.space->used += growth;
  }
  if (end > mine.size) mine.size = end;
  return real(file)->pMethods->xWrite(real(file), bytes, count, offset);
}

int truncate(sqlite3_file* file, sqlite3_int64 size) {
  TemporaryFile& mine = own(file);
  if (size < mine.size) {
    if (mine.space != nullptr) mine.space->used -= static_cast<std::uint64_t>(mine.size - size);
    mine.size = size;
  }
  return real(file)->pMethods->xTruncate(real(file), size);
}

int close(sqlite3_file* file) {
  TemporaryFile& mine = own(file);
  if (mine.space != nullptr) mine.space->used -= static_cast<std::uint64_t>(mine.size);
  mine.base.pMethods = nullptr;
  return real(file)->pMethods->xClose(real(file));
}

int read(sqlite3_file* file, void* to, int count, sqlite3_int64 offset) {
  return real(file)->pMethods->xRead(real(file), to, count, offset);
}
int sync(sqlite3_file* file, int flags) { return real(file)->pMethods->xSync(real(file), flags); }
int file_size(sqlite3_file* file, sqlite3_int64* size) { return real(file)->pMethods->xFileSize(real(file), size); }
int lock(sqlite3_file* file, int level) { return real(file)->pMethods->xLock(real(file), level); }
int unlock(sqlite3_file* file, int level) { return real(file)->pMethods->xUnlock(real(file), level); }
int check_lock(sqlite3_file* file, int* held) { return real(file)->pMethods->xCheckReservedLock(real(file), held); }
int control(sqlite3_file* file, int what, void* argument) {
  if (what == SQLITE_FCNTL_SIZE_HINT) return SQLITE_OK;  // it would make the file grow uncounted
  return real(file)->pMethods->xFileControl(real(file), what, argument);
}
int sector_size(sqlite3_file* file) { return real(file)->pMethods->xSectorSize(real(file)); }
int characteristics(sqlite3_file* file) { return real(file)->pMethods->xDeviceCharacteristics(real(file)); }

constexpr sqlite3_io_methods kMethods = [] {
  sqlite3_io_methods methods{};  // version 1: no shared memory, no mapping
  methods.iVersion = 1;
  methods.xClose = close;
  methods.xRead = read;
  methods.xWrite = write;
  methods.xTruncate = truncate;
  methods.xSync = sync;
  methods.xFileSize = file_size;
  methods.xLock = lock;
  methods.xUnlock = unlock;
  methods.xCheckReservedLock = check_lock;
  methods.xFileControl = control;
  methods.xSectorSize = sector_size;
  methods.xDeviceCharacteristics = characteristics;
  return methods;
}();

int open_temporary(sqlite3_vfs* system, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  TemporaryFile& mine = own(file);
  mine.base.pMethods = nullptr;
  mine.space = current_space;
  mine.size = 0;
  const int code = system->xOpen(system, path, real(file), flags, out_flags);
  if (code == SQLITE_OK) mine.base.pMethods = &kMethods;
  return code;
}

// A file of the system's VFS, or one of ours if it is temporary. The write-ahead log is named by SQLite, not by a
// statement.
int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  sqlite3_vfs* system = system_vfs(vfs);
  file->pMethods = nullptr;
  if (path == nullptr || (flags & kTemporary) != 0) {
    if (path != nullptr) return SQLITE_CANTOPEN;
    return open_temporary(system, path, file, flags, out_flags);
  }
  if ((flags & SQLITE_OPEN_WAL) == 0 && !(opening && (flags & SQLITE_OPEN_MAIN_DB) != 0)) return SQLITE_CANTOPEN;
  return system->xOpen(system, path, file, flags, out_flags);
}

int refuse_delete(sqlite3_vfs*, const char*, int) { return SQLITE_IOERR_DELETE; }
int access(sqlite3_vfs* vfs, const char* path, int flags, int* answer) {
  return system_vfs(vfs)->xAccess(system_vfs(vfs), path, flags, answer);
}
int full_path(sqlite3_vfs* vfs, const char* path, int size, char* full) {
  return system_vfs(vfs)->xFullPathname(system_vfs(vfs), path, size, full);
}
int randomness(sqlite3_vfs* vfs, int size, char* bytes) {
  return system_vfs(vfs)->xRandomness(system_vfs(vfs), size, bytes);
}
int sleep(sqlite3_vfs* vfs, int microseconds) { return system_vfs(vfs)->xSleep(system_vfs(vfs), microseconds); }
int time(sqlite3_vfs* vfs, double* days) { return system_vfs(vfs)->xCurrentTime(system_vfs(vfs), days); }
int last_error(sqlite3_vfs* vfs, int size, char* text) {
  return system_vfs(vfs)->xGetLastError(system_vfs(vfs), size, text);
}
int time64(sqlite3_vfs* vfs, sqlite3_int64* milliseconds) {
  return system_vfs(vfs)->xCurrentTimeInt64(system_vfs(vfs), milliseconds);
}

// Registered once for the process, and not as the default: nobody else's connections use it. It has no xDlOpen.
sqlite3_vfs make() {
  sqlite3_vfs* system = sqlite3_vfs_find(nullptr);
  if (system == nullptr) throw Error(ErrorCode::Io, "SQLite has no file system");
  sqlite3_vfs vfs{};
  vfs.iVersion = 2;
  vfs.szOsFile = static_cast<int>(sizeof(TemporaryFile)) + system->szOsFile;
  vfs.mxPathname = system->mxPathname;
  vfs.zName = kName;
  vfs.pAppData = system;
  vfs.xOpen = open;
  vfs.xDelete = refuse_delete;
  vfs.xAccess = access;
  vfs.xFullPathname = full_path;
  vfs.xRandomness = randomness;
  vfs.xSleep = sleep;
  vfs.xCurrentTime = time;
  vfs.xGetLastError = last_error;
  vfs.xCurrentTimeInt64 = time64;
  return vfs;
}

}  // namespace

const char* name() {
  static sqlite3_vfs vfs = make();
  static const int code = sqlite3_vfs_register(&vfs, 0);
  if (code != SQLITE_OK) throw Error(ErrorCode::OutOfMemory, "SQLite takes no file system for queries");
  return kName;
}

Opening::Opening() { opening = true; }
Opening::~Opening() { opening = false; }

Using::Using(TemporarySpace& space) : before_(std::exchange(current_space, &space)) {}
Using::~Using() { current_space = before_; }

}  // namespace azoth::query_vfs
