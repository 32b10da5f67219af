// Small JSON files that say themselves whether they are whole: the text, and behind it one line
//   {"hash":"…"}  or  {"hash":"…","auth":"…"}
// The hash (BLAKE2b-256 of the text) finds accidents. The authenticator is the same under a key, so that nobody without
// the key can make or change one.
#pragma once

#include <string>
#include <string_view>

#include "azoth/backup/key_file.h"

namespace azoth::backup {

struct SealedText {
  std::string text;
  std::string hash;  // of the text, hexadecimal
  bool has_authenticator = false;
};

// `purpose` keeps files of different kinds apart. `text` ends with a line break. key: null if there is none.
std::string seal_text(std::string_view text, std::string_view purpose, const Key* key);

// Corruption, naming `name`, if it is not whole, or with a key not authentic. Without a key an authenticator is not
// checked.
SealedText open_sealed_text(std::string_view sealed, std::string_view purpose, const Key* key, std::string_view name);

}  // namespace azoth::backup
