// Randomness of tests: one seed per run of a test program, printed so that a failure can be repeated with
// AZOTH_TEST_SEED=that number.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

namespace azoth::test {

// From the environment variable AZOTH_TEST_SEED, or random. Printed at the first call; noted as a property of each test
// that calls it.
inline std::uint64_t test_seed() {
  static const std::uint64_t seed = [] {
    const char* given = std::getenv("AZOTH_TEST_SEED");
    std::random_device device;
    const std::uint64_t chosen =
        given != nullptr ? std::strtoull(given, nullptr, 0) : (std::uint64_t{device()} << 32 | device());
    std::cout << "AZOTH_TEST_SEED=" << chosen << std::endl;
    return chosen;
  }();
  testing::Test::RecordProperty("seed", std::to_string(seed));
  return seed;
}

}  // namespace azoth::test
