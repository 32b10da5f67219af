// The same rows twice: in a store of Azoth's, and in a copy of its LMDB file that bare LMDB reads.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "azoth/db.h"
#include "bare_lmdb.h"
#include "contest.h"
#include "scratch.h"

namespace azoth::bench {

class Twin {
 public:
  // Makes a store in one directory, fills it, and copies it to the other.
  Twin(const std::filesystem::path& store, const std::filesystem::path& copy, const Options& options,
       const std::function<void(Db&)>& fill);

  Db& db() { return db_; }
  BareLmdb& lmdb() { return lmdb_; }

 private:
  Db db_;
  BareLmdb lmdb_;
};

// One thread reads for a while: `step` reads some and answers how many.
Sample read_for(double seconds, const std::function<std::uint64_t()>& step);

using ReadRound = std::function<Sample(Twin& twin, unsigned round)>;

struct TwinReaders {
  std::string workload;
  std::string unit;
  std::string reference;
  std::optional<double> at_least;
  ReadRound azoth;
  ReadRound lmdb;
};

// Both read their own copy, in turns.
Contest twin_contest(const TwinReaders& readers, Scratch& scratch, const Options& options,
                     const std::function<void(Db&)>& fill, const std::function<void(Db&)>& after_copy = {});

}  // namespace azoth::bench
