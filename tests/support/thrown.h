// What a call throws, as a value that a test can compare.
#pragma once

#include <ostream>
#include <string>

#include "azoth/core/error.h"

namespace azoth {

inline void PrintTo(ErrorCode code, std::ostream* to) {  // found by gtest
  *to << (code == ErrorCode{} ? "no error" : error_name(code));
}

}  // namespace azoth

namespace azoth::test {

// ErrorCode{} if nothing.
template <class Call>
ErrorCode code_of(Call call) {
  try {
    static_cast<void>(call());
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode{};
}

template <class Call>
std::string message_of(Call call) {
  try {
    static_cast<void>(call());
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace azoth::test
