// For those who read beside a writer in another process.
#pragma once

#include "azoth/core/error.h"

namespace azoth::test {

// Whoever reads beside a writer that is too fast for it is told to try again, and does.
template <class Call>
auto patiently(Call call) {
  for (int attempt = 0;; ++attempt) {
    try {
      return call();
    } catch (const Error& error) {
      if (!error.retryable() || attempt == 100) throw;
    }
  }
}

}  // namespace azoth::test
