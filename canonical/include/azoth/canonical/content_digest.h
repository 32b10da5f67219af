// Digests of a store's content (docs/format.md, "Digest"): equal content, equal digests, whatever the history.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "azoth/core/digest.h"
#include "azoth/core/event.h"

namespace azoth {

class StateDigest {
 public:
  void add(std::string_view key, std::string_view value);  // in key order
  std::string finish_hex();                                // once

 private:
  Digest digest_;
  std::uint64_t keys_ = 0;
};

class EventsDigest {
 public:
  void add(const EventView& event);  // in id order, from 1 on
  std::string finish_hex();          // once

 private:
  Digest digest_;
};

// Of both, given in hex: what Store::digest() answers.
std::string content_digest_of(std::string_view state_digest, std::string_view events_digest);

}  // namespace azoth
