// What a snapshot needs to outlive its store: LMDB, the row codec, and the claim on the directory. It ends with the
// last of the store and its snapshots; until then nobody else may open the directory for writing.
#pragma once

#include <memory>
#include <optional>

#include "azoth/core/error.h"
#include "lmdb_env.h"
#include "lmdb_tables.h"
#include "store_files.h"

namespace azoth {

struct Environment {
  Environment(std::unique_ptr<DirectoryClaim> directory_claim, const std::filesystem::path& canonical,
              const LmdbEnv::Settings& settings, LmdbEnv::Mode mode, const Uuid& store_id, bool verify)
      : claim(std::move(directory_claim)), lmdb(canonical, settings, mode), rows(store_id), verify_reads(verify) {}

  const std::unique_ptr<DirectoryClaim> claim;  // first in, last out
  LmdbEnv lmdb;
  const Rows rows;
  const bool verify_reads;
  // Of a store that is open for reading only: the timeline it was opened on, set before the first snapshot. A repair
  // beside it cuts off what its overlay may hold and LMDB will never get.
  std::optional<Uuid> reading_timeline;

  void check_timeline(const LmdbReadTxn& txn) const {
    if (!reading_timeline || rows.store(txn).timeline() == *reading_timeline) return;
    throw Error(ErrorCode::StoreFailed,
                "the store was repaired while it was open here, and its history has been cut; open it again");
  }
};

}  // namespace azoth
