// The result of something that may be rejected: a value, or why not. A rejection is an expected answer and changed
// nothing; trouble is thrown as Error instead.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "azoth/core/error.h"

namespace azoth {

// Why a transaction was rejected: the first condition that did not hold.
struct Rejection {
  std::string key;      // the key it is about
  std::string message;  // in words
};

template <class T>
class [[nodiscard]] Outcome {
 public:
  Outcome(T value) : value_(std::move(value)) {}                          // NOLINT: implicit by design
  Outcome(Rejection rejection) : rejection_(std::move(rejection)) {}      // NOLINT

  bool has_value() const { return value_.has_value(); }
  explicit operator bool() const { return has_value(); }

  // Throws Error(Rejected) with the rejection's message if there is no value.
  T& value() & { return check(), *value_; }
  const T& value() const& { return check(), *value_; }
  T&& value() && { return check(), std::move(*value_); }
  T* operator->() { return &value(); }
  T& operator*() & { return value(); }

  const Rejection& rejection() const { return rejection_; }  // empty if there is a value

 private:
  void check() const {
    if (!value_) throw Error(ErrorCode::Rejected, rejection_.message);
  }

  std::optional<T> value_;
  Rejection rejection_;
};

}  // namespace azoth
