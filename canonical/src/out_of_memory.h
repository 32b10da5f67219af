// Lack of memory as an Error, at the doors by which calls of the user come in.
#pragma once

#include <new>
#include <utility>

#include "azoth/core/error.h"

namespace azoth {

// For calls that have changed nothing when they throw std::bad_alloc: what fails behind the assignment of numbers is
// StoreFailed.
inline constexpr const char* kNoMemoryForTransaction = "there is no memory for the transaction; nothing was changed";
inline constexpr const char* kNoMemoryForNumbers = "there is no memory to reserve numbers; none was used up";

template <class Call>
auto or_out_of_memory(const char* message, Call&& call) {
  try {
    return std::forward<Call>(call)();
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::OutOfMemory, message);
  }
}

}  // namespace azoth
