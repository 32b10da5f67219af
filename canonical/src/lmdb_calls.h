// What lmdb_env.cc and lmdb_txn.cc share: LMDB's header, which nobody else sees, and its results as Errors.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>
#include <string>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <lmdb++.h>
#pragma GCC diagnostic pop

namespace azoth {

struct LmdbReader {
  MDB_txn* txn;
  std::atomic<std::int64_t> since{0};  // coarse milliseconds; 0 while it is in the pool

  // A few milliseconds are good enough for ages, and a tenth of the price.
  static std::int64_t now() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return std::int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
  }
};

[[noreturn]] void throw_lmdb(int rc, const std::string& what);

inline void check(int rc, const char* what) {
  if (rc != MDB_SUCCESS) throw_lmdb(rc, what);
}

}  // namespace azoth
