// An LMDB environment of a test's own.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "azoth/core/fault.h"
#include "lmdb_env.h"
#include "support/temp_dir.h"
#include "support/thrown.h"

namespace azoth::test {

inline constexpr LmdbEnv::Settings kSettings{std::uint64_t{64} << 20, 16};

class LmdbEnvTest : public testing::Test {
 protected:
  LmdbEnvTest() { env_.emplace(path(), kSettings, LmdbEnv::Mode::Create); }
  ~LmdbEnvTest() override { fault::disarm_all(); }

  std::filesystem::path path() const { return directory_.path(); }
  std::filesystem::path data() const { return path() / "data.mdb"; }

  void put(const std::vector<std::string>& keys) {
    LmdbWriteTxn txn(*env_);
    for (const std::string& key : keys) txn.put(Table::State, key, "value of " + key);
    txn.commit(0);
  }
  std::vector<std::string> keys(const LmdbReadTxn& txn) {
    std::vector<std::string> found;
    LmdbCursor cursor = txn.cursor(Table::State);
    for (bool more = cursor.first(); more; more = cursor.next()) found.emplace_back(cursor.key());
    return found;
  }
  std::vector<std::string> keys() { return keys(env_->begin_read()); }
  ErrorCode open_code(const LmdbEnv::Settings& settings = kSettings) {
    return code_of([&] { LmdbEnv(path(), settings, LmdbEnv::Mode::Write); });
  }

  TempDir directory_;
  std::optional<LmdbEnv> env_;
};

}  // namespace azoth::test
