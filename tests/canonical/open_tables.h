// LMDB of a store that is closed, open for tests that tamper with it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "lmdb_env.h"
#include "lmdb_tables.h"
#include "settings.h"
#include "store_files.h"
#include "store_support.h"

namespace azoth::test {

class OpenTables {
 public:
  OpenTables(const std::filesystem::path& directory, const Options& options)
      : paths_(directory),
        env_(paths_.canonical, lmdb_settings(options), LmdbEnv::Mode::Write),
        rows_(read_identity(FileSystem::posix(), paths_).store_id) {}
  explicit OpenTables(const TestStore& store) : OpenTables(store.directory(), store.options()) {}

  LmdbEnv& env() { return env_; }
  const Rows& rows() const { return rows_; }
  Head head() { return rows_.head(env_.begin_read()); }

  // With its checksum; nothing if it is not there.
  std::optional<std::string> row(Table table, std::string_view key) {
    const LmdbReadTxn txn = env_.begin_read();
    const auto row = txn.get(table, key);
    return row ? std::optional(std::string(*row)) : std::nullopt;
  }

  // One transaction that keeps what it does not touch.
  template <class Change>
  void change(Change change) {
    LmdbWriteTxn txn(env_);
    const CommitSeq commit = rows_.head(txn).last_commit;
    change(txn);
    txn.commit(commit);
  }

 private:
  const StorePaths paths_;
  LmdbEnv env_;
  const Rows rows_;
};

inline std::string own_key(Space space, std::string_view key) {
  return std::string(1, static_cast<char>(space)).append(key);
}

}  // namespace azoth::test
