// Files and directories, as far as Azoth's own files need them (LMDB and SQLite do their own I/O).
//
// An interface, so that tests can put a simulated disk underneath and cut its power. All functions throw Error; no
// failed sync is ever retried by the callers, because the kernel reports a write-back error once and then forgets it.
// Files are made 0600, directories 0700, descriptors are close-on-exec and symbolic links are not followed: the last
// component of a path must not be one; nor are pipes and devices opened. A missing file is NotFound, one that should
// not exist AlreadyExists, a full disk NoSpace, anything else Io.
//
// The posix file system passes these fault points (fault.h): file.create, file.write, file.sync, file.truncate,
// file.allocate, file.make_directory, file.rename, file.remove, file.sync_directory.
//
// A File may be used by several threads at once; it reads and writes at given offsets and has no position.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace azoth {

class File {
 public:
  virtual ~File() = default;
  // Reads up to `size` bytes at `offset`; fewer only at the end of the file.
  virtual std::size_t read_at(std::uint64_t offset, char* to, std::size_t size) = 0;
  // Writes all of `bytes` or throws.
  virtual void write_at(std::uint64_t offset, std::string_view bytes) = 0;
  virtual void sync_data() = 0;  // fdatasync
  virtual void truncate(std::uint64_t size) = 0;
  virtual std::uint64_t size() = 0;
  // Reserves the blocks of the first `size` bytes and grows the file to it, so that a full disk shows before anything
  // is written. Does nothing where that is not supported.
  virtual void allocate(std::uint64_t /*size*/) {}
  // A hint that these bytes will be touched soon.
  virtual void will_need(std::uint64_t offset, std::uint64_t size) = 0;
};

class FileSystem {
 public:
  enum class Mode { Read, Write, Create };  // Write: must exist, read and write. Create: must not exist

  virtual ~FileSystem() = default;
  virtual std::unique_ptr<File> open(const std::filesystem::path& path, Mode mode) = 0;
  virtual bool exists(const std::filesystem::path& path) = 0;
  virtual std::vector<std::string> list(const std::filesystem::path& directory) = 0;  // names, sorted
  virtual void make_directory(const std::filesystem::path& path) = 0;                 // fine if it exists
  // Replaces a file that is there, atomically.
  virtual void rename(const std::filesystem::path& from, const std::filesystem::path& to) = 0;
  virtual void remove(const std::filesystem::path& path) = 0;  // a file or an empty directory
  virtual void sync_directory(const std::filesystem::path& path) = 0;

  static FileSystem& posix();
};

// From the root on, so that it means the same when the process goes to another directory; InvalidArgument if it is
// empty. `resolved` also follows symbolic links, as far as there is something.
std::filesystem::path absolute_path(const std::filesystem::path& path);
std::filesystem::path resolved_path(const std::filesystem::path& path);

// The whole file; throws NotFound if it is missing and Corruption if it is larger than `limit`.
std::string read_file(FileSystem& fs, const std::filesystem::path& path, std::size_t limit);

// Puts a file in place whole or not at all, durably: temporary file, sync, rename, directory sync. When it throws, the
// old content is in place, or the new one if only the last step failed. A crash may leave NAME.*.tmp beside the file.
void write_file_atomically(FileSystem& fs, const std::filesystem::path& path, std::string_view content);

// Makes a directory and those above it that are missing, durably; fine if it exists.
void make_directories(FileSystem& fs, const std::filesystem::path& directory);

// Makes a file of `size` zero bytes whose blocks are really allocated and written, so that later writes inside it
// change no metadata; synced, directory entry included. When it throws, there is no file. A crash may leave a shorter
// one, or one without its entry.
void create_zero_filled(FileSystem& fs, const std::filesystem::path& path, std::uint64_t size);

}  // namespace azoth
