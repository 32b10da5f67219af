// Conditions: what must hold for a transaction to be committed. They are evaluated at the transaction's place in the
// commit order, exactly: between the evaluation and the commit nothing else can happen.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "azoth/canonical/outcome.h"
#include "azoth/core/bytes.h"

namespace azoth {

class Condition {
 public:
  // Each throws KeyEmpty or KeyTooLarge.
  static Condition key_equals(BytesView key, BytesView value);
  static Condition key_exists(BytesView key);
  static Condition key_absent(BytesView key);

  const std::string& key() const { return key_; }

  // Whether a key with this value (or without one) satisfies it; if not, why.
  std::optional<Rejection> evaluate(std::optional<std::string_view> value) const;

 private:
  enum class Kind { Equals, Exists, Absent };
  Condition(Kind kind, BytesView key, BytesView value);

  Kind kind_;
  std::string key_;
  std::string value_;
};

}  // namespace azoth
