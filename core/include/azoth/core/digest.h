// Hashes. Checksums (XXH3, 64 bits) find accidents; a Digest (BLAKE2b, 256 bits) names content.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace azoth {

std::uint64_t checksum64(std::string_view bytes, std::uint64_t seed = 0);

// A digest built up piece by piece. Pieces are not separated: callers write lengths. Numbers are added as eight
// little-endian bytes.
class Digest {
 public:
  Digest();
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;

  void add(std::string_view bytes);
  void add_length_prefixed(std::string_view bytes);
  void add(std::uint64_t value);
  std::string finish_hex();  // once; later calls, and additions, throw InvalidArgument

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace azoth
