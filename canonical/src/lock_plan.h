// The keys that a transaction locks, and how. What writes very many keys names each stripe only once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "azoth/lockmgr/stripe_locks.h"

namespace azoth {

class LockPlan {
 public:
  // The views must live until the locks are taken.
  explicit LockPlan(const StripeLocks& locks) : locks_(locks) {}

  void exclusive(std::string_view key) { add({key, LockMode::Exclusive}); }
  void shared(std::string_view key) { add({key, LockMode::Shared}); }

  const std::vector<LockKey>& keys() const { return keys_; }

 private:
  static constexpr std::size_t kMany = 64;  // from here on it is worth while to look for repetitions

  void add(LockKey key) {
    if (keys_.size() >= kMany && repeats(key)) return;
    keys_.push_back(key);
  }

  // An exclusive wish is good for a shared one, too.
  bool repeats(const LockKey& key) {
    if (seen_.empty()) {
      seen_.resize(locks_.stripes());
      for (const LockKey& earlier : keys_) note(earlier);
    }
    char& seen = seen_[locks_.stripe_of(key.key)];
    if (seen == kExclusive || (seen == kShared && key.mode == LockMode::Shared)) return true;
    note(key);
    return false;
  }
  void note(const LockKey& key) {
    char& seen = seen_[locks_.stripe_of(key.key)];
    if (seen != kExclusive) seen = key.mode == LockMode::Exclusive ? kExclusive : kShared;
  }

  static constexpr char kShared = 1;
  static constexpr char kExclusive = 2;

  const StripeLocks& locks_;
  std::vector<LockKey> keys_;
  std::vector<char> seen_;  // by stripe; empty while there are few keys
};

}  // namespace azoth
