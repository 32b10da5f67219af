#include "crypto.h"

#include <sodium.h>

#include <algorithm>
#include <new>

#include "azoth/core/bytes.h"
#include "azoth/core/error.h"

namespace azoth::backup {
namespace {

static_assert(kStreamHeaderBytes == crypto_secretstream_xchacha20poly1305_HEADERBYTES);
static_assert(kStreamOverhead == crypto_secretstream_xchacha20poly1305_ABYTES);
static_assert(Secret::size() == crypto_secretstream_xchacha20poly1305_KEYBYTES);
static_assert(kKeyBytes >= crypto_generichash_KEYBYTES_MIN && kKeyBytes <= crypto_generichash_KEYBYTES_MAX);

constexpr std::size_t kIdBytes = 8;

const unsigned char* raw(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

// The purpose ends with a zero byte, so that no purpose and text run into another's.
void keyed_hash(const unsigned char* key, std::string_view purpose, std::string_view bytes, unsigned char* to,
                std::size_t size) {
  crypto_generichash_state state;
  crypto_generichash_init(&state, key, kKeyBytes, size);
  crypto_generichash_update(&state, raw(purpose), purpose.size());
  const unsigned char end = 0;
  crypto_generichash_update(&state, &end, 1);
  crypto_generichash_update(&state, raw(bytes), bytes.size());
  crypto_generichash_final(&state, to, size);
  wipe(&state, sizeof state);
}

}  // namespace

void prepare_sodium() {
  static const int ready = sodium_init();
  if (ready < 0) throw Error(ErrorCode::Io, "cannot initialise libsodium: the kernel gives no random bytes");
}

void wipe(void* memory, std::size_t size) noexcept { sodium_memzero(memory, size); }

Key::Impl::Impl() {
  prepare_sodium();
  bytes = static_cast<unsigned char*>(sodium_malloc(kKeyBytes));
  if (bytes == nullptr) throw Error(ErrorCode::OutOfMemory, "there is no memory for a backup key");
}

Key::Impl::~Impl() { sodium_free(bytes); }  // wipes

void Key::Impl::name() {
  std::string short_hash(kIdBytes, '\0');
  std::array<unsigned char, 32> hash{};
  keyed_hash(bytes, "azoth backup key id", {}, hash.data(), hash.size());
  std::copy_n(hash.begin(), kIdBytes, short_hash.begin());
  id = to_hex(short_hash);
}

void derive(const Key& key, std::string_view purpose, std::string_view bytes, Secret& to) {
  keyed_hash(key.impl().bytes, purpose, bytes, to.data(), Secret::size());
}

std::string authenticator_hex(const Key& key, std::string_view purpose, std::string_view bytes) {
  std::string hash(32, '\0');
  keyed_hash(key.impl().bytes, purpose, bytes, reinterpret_cast<unsigned char*>(hash.data()), hash.size());
  return to_hex(hash);
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

struct EncryptingStream::State {
  crypto_secretstream_xchacha20poly1305_state stream;
};

EncryptingStream::EncryptingStream(const Secret& file_key)
    : state_(std::make_unique<State>()), header_(kStreamHeaderBytes, '\0') {
  crypto_secretstream_xchacha20poly1305_init_push(&state_->stream, reinterpret_cast<unsigned char*>(header_.data()),
                                                  file_key.data());
}

EncryptingStream::~EncryptingStream() { wipe(&state_->stream, sizeof state_->stream); }

void EncryptingStream::push(std::string_view plain, std::string_view associated, bool last, std::string& to) {
  const std::size_t begin = to.size();
  to.resize(begin + plain.size() + kStreamOverhead);
  const unsigned char tag =
      last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
  crypto_secretstream_xchacha20poly1305_push(&state_->stream, reinterpret_cast<unsigned char*>(to.data() + begin),
                                             nullptr, raw(plain), plain.size(), raw(associated), associated.size(),
                                             tag);
}

struct DecryptingStream::State {
  crypto_secretstream_xchacha20poly1305_state stream;
  bool valid;
};

DecryptingStream::DecryptingStream(const Secret& file_key, std::string_view header)
    : state_(std::make_unique<State>()) {
  state_->valid = header.size() == kStreamHeaderBytes &&
                  crypto_secretstream_xchacha20poly1305_init_pull(&state_->stream, raw(header), file_key.data()) == 0;
}

DecryptingStream::~DecryptingStream() { wipe(&state_->stream, sizeof state_->stream); }

bool DecryptingStream::pull(std::string_view encrypted, std::string_view associated, bool last, char* to) {
  if (!state_->valid || encrypted.size() < kStreamOverhead) return false;
  unsigned char tag = 0;
  if (crypto_secretstream_xchacha20poly1305_pull(&state_->stream, reinterpret_cast<unsigned char*>(to), nullptr, &tag,
                                                 raw(encrypted), encrypted.size(), raw(associated),
                                                 associated.size()) != 0) {
    return false;
  }
  return tag ==
         (last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE);
}

}  // namespace azoth::backup
