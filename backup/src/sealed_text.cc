#include "sealed_text.h"

#include "azoth/core/digest.h"
#include "azoth/core/error.h"
#include "crypto.h"

namespace azoth::backup {
namespace {

std::string hash_of(std::string_view text) {
  Digest digest;
  digest.add(text);
  return digest.finish_hex();
}

std::string seal_line(const std::string& hash, const std::string& authenticator) {
  return authenticator.empty() ? "{\"hash\":\"" + hash + "\"}\n"
                               : "{\"hash\":\"" + hash + "\",\"auth\":\"" + authenticator + "\"}\n";
}

[[noreturn]] void damaged(std::string_view name, const std::string& why) {
  throw Error(ErrorCode::Corruption, std::string(name) + " is damaged: " + why);
}

}  // namespace

std::string seal_text(std::string_view text, std::string_view purpose, const Key* key) {
  return std::string(text) +
         seal_line(hash_of(text), key == nullptr ? std::string() : authenticator_hex(*key, purpose, text));
}

SealedText open_sealed_text(std::string_view sealed, std::string_view purpose, const Key* key, std::string_view name) {
  constexpr std::size_t kHexBytes = 64;
  constexpr std::string_view kAuth = "\",\"auth\":\"";
  if (sealed.size() < 2 || sealed.back() != '\n') damaged(name, "it does not end with a line of its hash");
  const std::size_t before = sealed.rfind('\n', sealed.size() - 2);
  if (before == std::string_view::npos) damaged(name, "it does not end with a line of its hash");
  const std::string_view text = sealed.substr(0, before + 1);
  const std::string_view line = sealed.substr(before + 1);

  SealedText opened{.text = std::string(text), .hash = hash_of(text)};
  const std::string plain_line = seal_line(opened.hash, "");
  const std::size_t hash_end = plain_line.size() - 3;  // of the digits
  if (line.substr(0, hash_end) != std::string_view(plain_line).substr(0, hash_end)) {
    damaged(name, "its hash does not match its text");
  }
  std::string_view rest = line.substr(hash_end);
  opened.has_authenticator = rest.size() == kAuth.size() + kHexBytes + 3 && rest.starts_with(kAuth);
  if (!opened.has_authenticator && line != plain_line) damaged(name, "the line of its hash is not well formed");
  if (key == nullptr) return opened;
  if (!opened.has_authenticator) damaged(name, "it is not authenticated, but its set is encrypted");
  const std::string expected = seal_line(opened.hash, authenticator_hex(*key, purpose, text));
  if (!equal_in_constant_time(line, expected)) {
    damaged(name, "it was not written with key " + key->id() + ", or was changed on purpose");
  }
  return opened;
}

}  // namespace azoth::backup
