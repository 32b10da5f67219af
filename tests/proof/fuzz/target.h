// A fuzz target: a function that is given any bytes, and a promise that it keeps for all of them.
//
//   AZOTH_FUZZ(manifest, "a manifest that is accepted encodes to the same bytes") { ... uses `input` ... }
//
// The promise is broken by a crash, a report of a sanitizer, an exception that leaves the function, or expect().
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/core/error.h"

namespace azoth::proof {

struct Target {
  const char* name;
  const char* promise;
  void (*run)(std::string_view input);
};

std::vector<Target>& targets();
inline const Target* find_target(std::string_view name) {
  for (const Target& target : targets()) {
    if (name == target.name) return &target;
  }
  return nullptr;
}

struct Registered {
  Registered(const char* name, const char* promise, void (*run)(std::string_view)) {
    targets().push_back({name, promise, run});
  }
};

inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "broken: " << what << std::endl;
  std::abort();
}

// Runs what may refuse its input by one of our own errors; whether it did not.
template <class Body>
bool accepted(Body body) {
  try {
    body();
    return true;
  } catch (const Error&) {
    return false;
  }
}

// Takes an input apart, front to back; zeros behind its end.
class Input {
 public:
  explicit Input(std::string_view bytes) : rest_(bytes) {}

  std::uint8_t byte() {
    const std::string_view taken = take(1);
    return taken.empty() ? 0 : static_cast<std::uint8_t>(taken.front());
  }
  std::uint16_t word() {
    const unsigned high = byte();
    return static_cast<std::uint16_t>(high << 8 | byte());
  }
  std::string_view take(std::size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view rest() { return take(rest_.size()); }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

// A directory of this process, in memory where there is some; it goes with the process.
const std::filesystem::path& scratch();
void put_file(const std::filesystem::path& path, std::string_view bytes);

}  // namespace azoth::proof

#define AZOTH_FUZZ(name, promise)                                                         \
  static void fuzz_##name(std::string_view input);                                        \
  static const ::azoth::proof::Registered registered_##name(#name, promise, fuzz_##name); \
  static void fuzz_##name(std::string_view input)
