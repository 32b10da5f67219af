// Counts every fdatasync and fsync of the process, whoever calls it: the program's own definitions of the two stand in
// front of the C library's. As only one system works at a time, a difference of two readings is that system's.
//
// What is not counted: writes through a descriptor opened O_DSYNC, of which LMDB does one a commit (its meta page) in
// its default mode.
#pragma once

#include <cstdint>

namespace azoth::bench {

std::uint64_t syncs_so_far();

}  // namespace azoth::bench
