#include "azoth/core/event_source.h"

#include "azoth/core/codec.h"
#include "azoth/core/digest.h"

namespace azoth {

void EventSlice::clear() {
  entries_.clear();
  bytes_.clear();
}

void EventSlice::add(const EventView& event) {
  const std::size_t offset = bytes_.size();
  bytes_.append(event.body());  // first: if there is no memory for it, there is no event without it
  entries_.push_back({event.id(), event.commit_seq(), event.commit_time(), offset, event.body().size()});
}

EventView EventSlice::operator[](std::size_t index) const {
  const Entry& entry = entries_[index];
  return {entry.id, entry.commit_seq, entry.commit_time, std::string_view(bytes_).substr(entry.offset, entry.size)};
}

std::uint64_t checksum_of(const EventView& event) {
  std::string head;
  codec::append(head, event.id());
  codec::append(head, event.commit_seq());
  codec::append(head, event.commit_time().time_since_epoch().count());
  return checksum64(event.body(), checksum64(head));
}

}  // namespace azoth
