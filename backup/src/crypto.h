// All that this layer takes from libsodium.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "azoth/backup/key_file.h"

namespace azoth::backup {

void prepare_sodium();  // before any other use
void wipe(void* memory, std::size_t size) noexcept;

// Secret bytes of a derived key, wiped at the end.
class Secret {
 public:
  Secret() = default;
  ~Secret() { wipe(bytes_.data(), bytes_.size()); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;

  unsigned char* data() { return bytes_.data(); }
  const unsigned char* data() const { return bytes_.data(); }
  static constexpr std::size_t size() { return 32; }

 private:
  std::array<unsigned char, 32> bytes_{};
};

struct Key::Impl {
  Impl();
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  void name();  // sets id, once the bytes are there

  unsigned char* bytes;  // kKeyBytes
  std::string id;
};

inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::size_t kStreamHeaderBytes = 24;
inline constexpr std::size_t kStreamOverhead = 17;  // what a block gets longer by being encrypted

// A keyed hash (BLAKE2b-256) of `bytes`; `purpose` keeps the uses of one key apart.
void derive(const Key& key, std::string_view purpose, std::string_view bytes, Secret& to);
std::string authenticator_hex(const Key& key, std::string_view purpose, std::string_view bytes);
bool equal_in_constant_time(std::string_view a, std::string_view b);

// XChaCha20-Poly1305 over the blocks of one file, in their order. The last one carries the final tag.
class EncryptingStream {
 public:
  explicit EncryptingStream(const Secret& file_key);
  ~EncryptingStream();
  const std::string& header() const { return header_; }
  // Appends the encrypted `plain` to `to`. `associated` is authenticated with it.
  void push(std::string_view plain, std::string_view associated, bool last, std::string& to);

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::string header_;
};

class DecryptingStream {
 public:
  DecryptingStream(const Secret& file_key, std::string_view header);
  ~DecryptingStream();
  // Decrypts into `to`, which has room for encrypted.size() - kStreamOverhead bytes. False if it is not what was
  // encrypted with this key at this place, or not with this `last`.
  bool pull(std::string_view encrypted, std::string_view associated, bool last, char* to);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace azoth::backup
