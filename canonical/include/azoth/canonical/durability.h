// How safe a commit is.
#pragma once

#include <cstdint>

namespace azoth {

// Ordered: each level includes the ones before it.
enum class Durability : std::uint8_t {
  Applied = 1,  // in its place in the order and visible to later writers; lost if the process dies
  Written = 2,  // in the journal file: survives the death of the process (kill -9), not a power cut
  Durable = 3,  // synced to the device: survives a power cut
};

}  // namespace azoth
