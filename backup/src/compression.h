// All that this layer takes from zstd: single blocks of bounded size.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace azoth::backup {

inline constexpr int kMaxCompressionLevel = 19;
void check_compression_level(int level);  // 0 is none; InvalidArgument

class Compressor {
 public:
  explicit Compressor(int level);  // 1..kMaxCompressionLevel
  ~Compressor();
  // The compressed bytes, valid until the next call; empty if they would not be fewer.
  std::string_view compress(std::string_view raw);

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::string out_;
};

class Decompressor {
 public:
  Decompressor();
  ~Decompressor();
  // Fills `to` with exactly raw_size bytes and never writes more; false if that is not what `compressed` holds.
  bool decompress(std::string_view compressed, char* to, std::size_t raw_size);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace azoth::backup
