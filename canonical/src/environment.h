// What a snapshot needs to outlive its store: LMDB, the row codec, and the claim on the directory. It ends with the
// last of the store and its snapshots; until then nobody else may open the directory for writing.
#pragma once

#include <memory>

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
};

}  // namespace azoth
