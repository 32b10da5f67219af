// The records of several files of one snapshot, one after the other, read ahead by a thread of its own: while one
// record is worked on, the next ones are read, checked, decrypted and unpacked.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "azoth/backup/snapshot_set.h"

namespace azoth::backup {

class RecordStream {
 public:
  // `on_bytes` is told how much of the files has been read, and `on_record` each record: by the reading thread.
  RecordStream(const SnapshotSet& set, const Manifest& manifest, std::vector<ManifestFile> files,
               SnapshotSet::Reads reads = SnapshotSet::Reads::Hashed, std::function<void(std::uint64_t)> on_bytes = {},
               std::function<void(std::string_view)> on_record = {});
  ~RecordStream();  // gives up what was not read
  RecordStream(const RecordStream&) = delete;
  RecordStream& operator=(const RecordStream&) = delete;

  // Valid until the next call; nothing behind the last one, and then every file was whole. Throws what is wrong with a
  // file, when all that was read before it has been handed on.
  std::optional<std::string_view> next();

  // The files of one kind, by shard.
  static std::vector<ManifestFile> files_of(const Manifest& manifest, FileKind kind);

 private:
  struct Slab {
    std::string bytes;
    std::vector<std::size_t> ends;
  };

  void read_all();
  void read_file(const ManifestFile& file);
  void hand_over();
  bool given_up();

  const SnapshotSet& set_;
  const Manifest& manifest_;
  const std::vector<ManifestFile> files_;
  const SnapshotSet::Reads reads_;
  const std::function<void(std::uint64_t)> on_bytes_;
  const std::function<void(std::string_view)> on_record_;
  Slab filling_;  // the reading thread's
  Slab current_;  // the caller's
  std::size_t next_ = 0;

  std::mutex mutex_;  // everything below
  std::condition_variable changed_;
  std::deque<Slab> ready_;
  std::size_t ready_bytes_ = 0;
  std::exception_ptr failure_;
  bool ended_ = false;
  bool given_up_ = false;
  std::thread thread_;
};

}  // namespace azoth::backup
