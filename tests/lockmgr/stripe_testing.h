// What the tests of stripe locks share.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "azoth/core/error.h"
#include "azoth/lockmgr/stripe_locks.h"

namespace azoth::test {

inline constexpr auto kShared = LockMode::Shared;
inline constexpr auto kExclusive = LockMode::Exclusive;
inline constexpr std::chrono::nanoseconds kAtOnce{0};
inline constexpr std::chrono::nanoseconds kForever = std::chrono::nanoseconds::max();

// Until something is so that another thread brings about. No limit: what never comes is the test's time-out.
template <typename Condition>
void await(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

// A guard that counts for no thread, so that this one may go on acquiring.
inline StripeGuard hold(StripeLocks& locks, std::initializer_list<LockKey> keys) {
  StripeGuard guard = locks.acquire(keys, kAtOnce);
  guard.detach();
  return guard;
}

template <typename Call>
std::optional<Error> error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

template <typename Call>
std::optional<ErrorCode> code_of(Call call) {
  std::optional<Error> error = error_of(call);
  return error ? std::optional(error->code()) : std::nullopt;
}

inline bool is_free(StripeLocks& locks, LockKey key) {
  return !code_of([&] { auto guard = locks.acquire({key}, kAtOnce); });
}

// A key of this stripe; `which` tells apart several of the same.
inline std::string key_in(const StripeLocks& locks, std::uint32_t stripe, int which = 0) {
  for (int i = 0;; ++i) {
    std::string key = "key" + std::to_string(i);
    if (locks.stripe_of(key) == stripe && which-- == 0) return key;
  }
}

inline std::vector<HeldStripe> held(const StripeGuard& guard) {
  std::vector<HeldStripe> stripes;
  for (std::size_t i = 0; i < guard.size(); ++i) stripes.push_back(guard[i]);
  return stripes;
}

// Starts a thread that acquires without a deadline and runs `inside` with the guard; returns once it waits.
inline std::jthread waiter(
    StripeLocks& locks, std::vector<LockKey> keys, std::function<void()> inside = [] {}) {
  const std::uint32_t before = locks.waiting();
  std::jthread thread([&locks, keys = std::move(keys), inside = std::move(inside)] {
    auto guard = locks.acquire(keys, kForever);
    inside();
  });
  await([&] { return locks.waiting() > before; });
  return thread;
}

}  // namespace azoth::test
