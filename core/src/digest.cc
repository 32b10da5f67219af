#include "azoth/core/digest.h"

#include <sodium.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "azoth/core/bytes.h"
#include "azoth/core/codec.h"
#include "azoth/core/error.h"

namespace azoth {
namespace {

constexpr std::size_t kDigestBytes = 32;

void prepare_sodium() {
  static const int ready = sodium_init();  // 0 the first time, 1 when someone else was first, -1 on failure
  if (ready < 0) throw Error(ErrorCode::Io, "cannot initialise libsodium: the kernel gives no random bytes");
}

}  // namespace

std::uint64_t checksum64(std::string_view bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

struct Digest::State {
  crypto_generichash_state hash;
};

Digest::Digest() {
  prepare_sodium();
  state_ = std::make_unique<State>();
  crypto_generichash_init(&state_->hash, nullptr, 0, kDigestBytes);
}

Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

void Digest::add(std::string_view bytes) {
  if (!state_) throw Error(ErrorCode::InvalidArgument, "a finished digest takes no more bytes; begin a new one");
  crypto_generichash_update(&state_->hash, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

void Digest::add_length_prefixed(std::string_view bytes) {
  add(std::uint64_t{bytes.size()});
  add(bytes);
}

void Digest::add(std::uint64_t value) {
  char bytes[sizeof value];
  codec::store(bytes, value);
  add(std::string_view(bytes, sizeof bytes));
}

std::string Digest::finish_hex() {
  if (!state_) throw Error(ErrorCode::InvalidArgument, "a digest is finished once; begin a new one");
  std::string hash(kDigestBytes, '\0');
  crypto_generichash_final(&state_->hash, reinterpret_cast<unsigned char*>(hash.data()), hash.size());
  state_.reset();
  return to_hex(hash);
}

}  // namespace azoth
