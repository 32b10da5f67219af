#include "delta.h"

#include <algorithm>

namespace azoth {

Delta::Delta(CommitSeq first_commit, EventId first_event, std::size_t full_bytes)
    : first_commit_(first_commit),
      first_event_(first_event),
      versions_(arena_, full_bytes),
      tags_(arena_, full_bytes),
      last_commit_(first_commit - 1) {}

Delta::~Delta() {
  while (newest_ != nullptr) {
    CommitEntry* older = newest_->older;
    newest_->~CommitEntry();
    newest_ = older;
  }
}

CommitEntry* Delta::insert(std::string record) {
  auto* entry = arena_.make<CommitEntry>();
  entry->record = std::move(record);
  entry->older = newest_;
  newest_ = entry;
  RecordReader reader(entry->record);
  entry->header = reader.header();
  latest_ = std::max(latest_, entry->header.time);
  EventId next_event = entry->header.first_event;
  while (auto item = reader.next()) {
    if (item->kind == RecordEntry::Kind::Event) {
      events_.push_back({entry, item->value.data(), static_cast<std::uint32_t>(item->value.size())});
      EventView event(next_event, 0, {}, item->value);
      for (std::string_view tag : event.tags()) tags_.insert(tag, next_event);
      ++next_event;
    } else {
      bool set = item->kind == RecordEntry::Kind::Set;
      versions_.insert(item->space, item->key, entry->header.commit_seq, set ? item->value.data() : nullptr,
                       static_cast<std::uint32_t>(item->value.size()));
    }
  }
  record_bytes_ += entry->record.capacity();
  bytes_.store(arena_.bytes() + record_bytes_, std::memory_order_relaxed);
  last_commit_.store(entry->header.commit_seq, std::memory_order_release);
  return entry;
}

EventId Delta::last_event(CommitSeq commit) const {
  std::size_t low = 0;
  std::size_t high = events_.size();
  while (low < high) {
    std::size_t middle = (low + high) / 2;
    if (events_[middle].commit->header.commit_seq <= commit) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return first_event_ + low - 1;
}

EventView Delta::event(EventId id) const {
  const EventRef& ref = events_[id - first_event_];
  const RecordHeader& commit = ref.commit->header;
  return {id, commit.commit_seq, commit.time, {ref.body, ref.size}};
}

}  // namespace azoth
