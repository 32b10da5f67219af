// Threads that are told from all others, and that are started, or an Error that says why not: std::thread throws what
// nobody expects of Azoth.
#pragma once

#include <cstdint>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "azoth/core/error.h"

namespace azoth {

// A number of the calling thread that no other thread of the process has had or will have. A std::thread::id can be that
// of a later thread.
std::uint64_t this_thread_number() noexcept;

// What the body throws ends the program: it must catch everything.
template <class Body>
std::thread start_thread(Body body) {
  try {
    return std::thread(std::move(body));
  } catch (const std::system_error& error) {
    throw Error(
        ErrorCode::OutOfMemory,
        std::string("the system starts no more threads; give the process more memory or threads: ") + error.what());
  }
}

}  // namespace azoth
