#include "azoth/canonical/write_set.h"

#include <algorithm>
#include <limits>

#include "azoth/core/codec.h"
#include "azoth/core/error.h"
#include "azoth/core/limits.h"
#include "key.h"
#include "record.h"

namespace azoth {

WriteSet::WriteSet() {
  record_.reserve(256);
  record_.resize(kRecordHeaderBytes);
}

WriteSet& WriteSet::put(BytesView key, BytesView value) {
  check_key(key);
  RecordBuilder::put(*this, Space::State, key, value);
  counts_.largest_value = std::max(counts_.largest_value, value.size());
  return *this;
}

WriteSet& WriteSet::del(BytesView key) {
  check_key(key);
  RecordBuilder::del(*this, Space::State, key);
  return *this;
}

WriteSet& WriteSet::append(const Event& event) {
  event_codec::validate(event);
  std::size_t size = event_codec::encoded_size(event);
  make_room(kEventBytes + size);
  codec::append(record_, static_cast<std::uint8_t>(RecordEntry::Kind::Event));
  codec::append(record_, static_cast<std::uint32_t>(size));
  event_codec::append(record_, event);
  ++counts_.events;
  counts_.tags += event.tags.size();
  counts_.largest_event = std::max(counts_.largest_event, event_codec::limited_size(event));
  return *this;
}

// Everything that can fail for one more entry of this size, so that what follows it cannot.
void WriteSet::make_room(std::size_t bytes) {
  if (record_.empty()) record_.resize(kRecordHeaderBytes);  // moved from
  if (counts_.operations + counts_.events >= limits::kMaxOperations) {
    throw Error(ErrorCode::TooManyOperations,
                "a transaction may have " + std::to_string(limits::kMaxOperations) +
                    " operations and events together, and this would be one more; split it");
  }
  if (bytes > std::numeric_limits<std::uint32_t>::max() - record_.size()) {
    throw Error(ErrorCode::TransactionTooLarge, "the transaction would have " + std::to_string(record_.size() + bytes) +
                                                    " bytes and no transaction may exceed 4294967295; split it");
  }
  std::size_t needed = record_.size() + bytes;
  if (needed > record_.capacity()) record_.reserve(std::max(needed, record_.capacity() * 2));
}

}  // namespace azoth
