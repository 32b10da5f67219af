#include "file_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "azoth/core/error.h"

namespace azoth::file_vfs {

namespace {

constexpr const char* kName = "azoth-file";
constexpr int kSectorBytes = 4096;
// The header's two bytes that say which versions may write and read it: 1 with a rollback journal, 2 with a write-ahead
// log.
constexpr sqlite3_int64 kVersionBytes[] = {18, 19};

thread_local File* to_be_opened = nullptr;

// In memory of SQLite's.
struct OpenFile {
  sqlite3_file base;
  File* file;
  bool read_only;
};

OpenFile& own(sqlite3_file* file) { return *reinterpret_cast<OpenFile*>(file); }

// SQLite cannot be thrown through.
template <class Call>
int guarded(int otherwise, Call call) {
  try {
    return call();
  } catch (const Error& error) {
    return error.code() == ErrorCode::NoSpace ? SQLITE_FULL : otherwise;
  } catch (...) {
    return SQLITE_NOMEM;
  }
}

int close(sqlite3_file* file) {
  file->pMethods = nullptr;
  return SQLITE_OK;
}

// Without a write-ahead log a file is all of its database, but SQLite would make one before it reads a file whose
// header speaks of it. It is shown a header that does not.
void hide_log(char* bytes, int count, sqlite3_int64 offset) {
  for (sqlite3_int64 at : kVersionBytes) {
    if (at >= offset && at < offset + count && bytes[at - offset] == 2) bytes[at - offset] = 1;
  }
}

int read(sqlite3_file* file, void* to, int count, sqlite3_int64 offset) {
  return guarded(SQLITE_IOERR_READ, [&] {
    auto* bytes = static_cast<char*>(to);
    const auto size = static_cast<std::size_t>(count);
    const std::size_t got = own(file).file->read_at(static_cast<std::uint64_t>(offset), bytes, size);
    std::memset(bytes + got, 0, size - got);  // as SQLite expects it
    hide_log(bytes, count, offset);
    return got == size ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
  });
}

int write(sqlite3_file* file, const void* bytes, int count, sqlite3_int64 offset) {
  if (own(file).read_only) return SQLITE_READONLY;
  return guarded(SQLITE_IOERR_WRITE, [&] {
    own(file).file->write_at(static_cast<std::uint64_t>(offset),
                             {static_cast<const char*>(bytes), static_cast<std::size_t>(count)});
    return SQLITE_OK;
  });
}

int truncate(sqlite3_file* file, sqlite3_int64 size) {
  if (own(file).read_only) return SQLITE_READONLY;
  return guarded(SQLITE_IOERR_TRUNCATE, [&] {
    own(file).file->truncate(static_cast<std::uint64_t>(size));
    return SQLITE_OK;
  });
}

int file_size(sqlite3_file* file, sqlite3_int64* size) {
  return guarded(SQLITE_IOERR_FSTAT, [&] {
    *size = static_cast<sqlite3_int64>(own(file).file->size());
    return SQLITE_OK;
  });
}

int sync(sqlite3_file*, int) { return SQLITE_OK; }  // whoever has the File does that
int lock(sqlite3_file*, int) { return SQLITE_OK; }  // nobody else has it
int check_lock(sqlite3_file*, int* held) {
  *held = 0;
  return SQLITE_OK;
}
int control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int sector_size(sqlite3_file*) { return kSectorBytes; }
int characteristics(sqlite3_file*) { return 0; }

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
  methods.xUnlock = lock;
  methods.xCheckReservedLock = check_lock;
  methods.xFileControl = control;
  methods.xSectorSize = sector_size;
  methods.xDeviceCharacteristics = characteristics;
  return methods;
}();

int open(sqlite3_vfs*, const char*, sqlite3_file* file, int flags, int* out_flags) {
  file->pMethods = nullptr;
  if ((flags & SQLITE_OPEN_MAIN_DB) == 0 || to_be_opened == nullptr) return SQLITE_CANTOPEN;
  OpenFile& mine = own(file);
  mine.base.pMethods = &kMethods;
  mine.file = std::exchange(to_be_opened, nullptr);
  mine.read_only = (flags & SQLITE_OPEN_READONLY) != 0;
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int refuse_delete(sqlite3_vfs*, const char*, int) { return SQLITE_IOERR_DELETE; }
int access(sqlite3_vfs*, const char*, int, int* answer) {
  *answer = 0;  // there is nothing beside it
  return SQLITE_OK;
}
int full_path(sqlite3_vfs*, const char* path, int size, char* full) {
  const std::size_t length = std::strlen(path);
  if (length >= static_cast<std::size_t>(size)) return SQLITE_CANTOPEN;
  std::memcpy(full, path, length + 1);
  return SQLITE_OK;
}

sqlite3_vfs* system_vfs(sqlite3_vfs* vfs) { return static_cast<sqlite3_vfs*>(vfs->pAppData); }
int randomness(sqlite3_vfs* vfs, int size, char* bytes) {
  return system_vfs(vfs)->xRandomness(system_vfs(vfs), size, bytes);
}
int sleep(sqlite3_vfs* vfs, int microseconds) { return system_vfs(vfs)->xSleep(system_vfs(vfs), microseconds); }
int time(sqlite3_vfs* vfs, double* days) { return system_vfs(vfs)->xCurrentTime(system_vfs(vfs), days); }
int time64(sqlite3_vfs* vfs, sqlite3_int64* milliseconds) {
  return system_vfs(vfs)->xCurrentTimeInt64(system_vfs(vfs), milliseconds);
}
int last_error(sqlite3_vfs*, int, char*) { return 0; }

// Registered once for the process, and not as the default: nobody else's connections use it. It has no xDlOpen.
sqlite3_vfs make() {
  sqlite3_vfs* system = sqlite3_vfs_find(nullptr);
  if (system == nullptr) throw Error(ErrorCode::Io, "SQLite has no file system");
  sqlite3_vfs vfs{};
  vfs.iVersion = 2;
  vfs.szOsFile = static_cast<int>(sizeof(OpenFile));
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
  if (code != SQLITE_OK) throw Error(ErrorCode::OutOfMemory, "SQLite takes no file system for open files");
  return kName;
}

Opening::Opening(File& file) { to_be_opened = &file; }
Opening::~Opening() { to_be_opened = nullptr; }

}  // namespace azoth::file_vfs
