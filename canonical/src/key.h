// The limits of a key, in one place for all who take one.
#pragma once

#include <string>
#include <string_view>

#include "azoth/core/bytes.h"
#include "azoth/core/error.h"
#include "azoth/core/limits.h"

namespace azoth {

inline void check_key(std::string_view key) {
  if (key.empty()) throw Error(ErrorCode::KeyEmpty, "a key must have at least one byte");
  if (key.size() > limits::kMaxKeyBytes) {
    throw Error(ErrorCode::KeyTooLarge, "the key " + printable(key) + " has " + std::to_string(key.size()) +
                                            " bytes and a key may have " + std::to_string(limits::kMaxKeyBytes));
  }
}

}  // namespace azoth
