#pragma once

#include <cstdint>

namespace azoth::test {

// How often the calling thread has allocated memory with new since it began.
std::uint64_t allocations();

}  // namespace azoth::test
