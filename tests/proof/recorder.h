// The recorder: a library that is loaded into a program (LD_PRELOAD) and writes down everything that the program does
// to the files below one directory (trace.h), whoever does it: Azoth, LMDB, SQLite, the standard library.
//
// Each call and its entry in the log are one step, so the log's order is the order in which things happened. Syncs are
// noted and not carried out, and space is not really allocated: the files lie in memory, and what a sync is worth is
// worked out later. This also makes a program fast that only has it loaded, without a root: one that checks states.
//
// It can lie, so that those who look for lost commits can be seen to find them. AZOTH_PROOF_FAULT is one of these, each
// about the paths that contain TEXT, which may be empty:
//   skip-sync:TEXT             syncs of such files do nothing, and succeed
//   skip-nth-sync:N:TEXT       the Nth of these does nothing
//   skip-directory-syncs:TEXT  syncs of such directories do nothing
//   plain-meta:TEXT            O_DSYNC and O_SYNC do nothing
//   rename-first:TEXT          what is written aside is renamed into place before it is synced
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trace.h"

struct stat;

namespace azoth::proof {

struct Descriptor {
  bool inside = false;  // below the root
  bool directory = false;
  bool synchronous = false;
  dev_t device = 0;
  ino_t inode = 0;
  std::string path;
};

// What the calls in interposed_calls.cc note, each under the lock.
class Recorder {
 public:
  static Recorder& get();

  bool on() const { return log_ >= 0; }
  std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }

  // The path below the root; nothing if it lies elsewhere.
  std::optional<std::string> inside(int directory, const char* path) const;
  void emit(OpKind kind, std::uint8_t flags, std::uint64_t inode, std::uint64_t offset, std::string_view path = {},
            std::string_view other = {}, std::string_view data = {}) const;

  // After a descriptor was opened.
  void opened(int fd, const std::string& path, int flags, bool existed);
  void closed(int fd);
  // What a descriptor is; null if it has nothing to do with the root. Descriptors come and go behind the recorder's
  // back, too (opendir, dup), so it is looked at each time.
  const Descriptor* find(int fd);

  void wrote(const Descriptor& to, std::uint64_t offset, const void* bytes, std::size_t size) const;
  void synced(const Descriptor& file);
  void renamed(std::string_view from, std::string_view to);
  void unknown(std::string_view what) const;

 private:
  Recorder();
  Descriptor& slot(int fd);
  std::optional<std::string> below_root(const std::string& path) const;
  bool is_skipped(const Descriptor& file);
  // Whether the fault is of this kind and means this path.
  bool is_fault(std::string_view kind, std::string_view path) const;

  std::mutex mutex_;
  std::string root_;
  std::string fault_;       // its kind
  std::string fault_text_;  // of the paths it is about
  int fault_number_ = 0;
  int log_ = -1;
  int syncs_ = 0;                // that the fault could have meant
  std::uint64_t late_sync_ = 0;  // the inode of what is to be synced behind the next rename
  std::vector<Descriptor> descriptors_;
};

}  // namespace azoth::proof
