// How the bare key-value libraries hold a change: three kinds of rows, as Azoth's tables have them, without Azoth's
// checksums.
#pragma once

#include <cstdint>
#include <string>

#include "azoth/core/codec.h"
#include "system.h"

namespace azoth::bench {

// Big-endian, so that events sort by number.
inline void event_key(std::string& to, std::uint64_t id) {
  char bytes[8];
  codec::store_big(bytes, id);
  to.append(bytes, sizeof bytes);
}

inline void event_body(std::string& to, const Change& change) {
  codec::append(to, static_cast<std::uint8_t>(change.type.size()));
  codec::append(to, static_cast<std::uint8_t>(change.tag.size()));
  to.append(change.type).append(change.tag).append(change.payload);
}

inline void tag_key(std::string& to, const Change& change, std::uint64_t id) {
  to.append(change.tag).append(1, '\0');
  event_key(to, id);
}

}  // namespace azoth::bench
