#include "azoth/canonical/condition.h"

#include "key.h"

namespace azoth {

Condition::Condition(Kind kind, BytesView key, BytesView value) : kind_(kind), key_(key.view()), value_(value.view()) {
  check_key(key);
}

Condition Condition::key_equals(BytesView key, BytesView value) { return {Kind::Equals, key, value}; }
Condition Condition::key_exists(BytesView key) { return {Kind::Exists, key, {}}; }
Condition Condition::key_absent(BytesView key) { return {Kind::Absent, key, {}}; }

std::optional<Rejection> Condition::evaluate(std::optional<std::string_view> value) const {
  auto reject = [&](const std::string& what) { return Rejection{key_, "key " + printable(key_) + " " + what}; };
  switch (kind_) {
    case Kind::Exists:
      if (!value) return reject("does not exist");
      break;
    case Kind::Absent:
      if (value) return reject("exists, with the value " + printable(*value));
      break;
    case Kind::Equals:
      if (!value) return reject("does not exist; the value " + printable(value_) + " is required");
      if (*value != value_) return reject("is " + printable(*value) + "; the value " + printable(value_) + " is required");
      break;
  }
  return std::nullopt;
}

}  // namespace azoth
