// The result of something that may be rejected: a value, or why not. A rejection is an expected answer and changed
// nothing; trouble is thrown as Error instead.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "azoth/core/error.h"
#include "azoth/core/ids.h"

namespace azoth {

// A condition that did not hold.
struct FailedCondition {
  std::string key = {};   // the key it is about, if it is about one
  std::string tag = {};   // the tag it is about, if it is about one
  EventId event = 0;      // the event that is in the way: the first that matches, or the tag's newest
  std::string message;    // in words
};

// Why a transaction was rejected: every condition that did not hold. (Of those that a commit violated which came while
// they were evaluated, only the first.)
struct Rejection {
  std::vector<FailedCondition> failures;

  std::string message() const;  // all of them, in words
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
    if (!value_) throw Error(ErrorCode::Rejected, rejection_.message());
  }

  std::optional<T> value_;
  Rejection rejection_;
};

}  // namespace azoth
