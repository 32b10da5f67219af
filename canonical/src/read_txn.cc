#include "azoth/canonical/read_txn.h"

#include "azoth/core/bytes.h"
#include "key.h"
#include "snapshot.h"

namespace azoth {

ReadTxn::ReadTxn(std::unique_ptr<Snapshot> snapshot) : snapshot_(std::move(snapshot)) {}
ReadTxn::ReadTxn(ReadTxn&&) noexcept = default;
ReadTxn& ReadTxn::operator=(ReadTxn&&) noexcept = default;
ReadTxn::~ReadTxn() = default;

CommitSeq ReadTxn::commit_seq() const { return snapshot_->commit_seq(); }
EventId ReadTxn::last_event() const { return snapshot_->last_event(); }

std::optional<std::string_view> ReadTxn::get(BytesView key) const {
  check_key(key);
  return snapshot_->get(Space::State, key);
}

std::vector<std::optional<std::string_view>> ReadTxn::get_many(std::span<const std::string_view> keys) const {
  std::vector<std::optional<std::string_view>> values;
  values.reserve(keys.size());
  for (std::string_view key : keys) values.push_back(get(key));
  return values;
}

bool ReadTxn::exists(BytesView key) const { return get(key).has_value(); }

StateRange ReadTxn::scan(BytesView prefix, ScanOptions options) const {
  return range({.from = std::string(prefix.view()), .to = prefix_end(prefix)}, options);
}

StateRange ReadTxn::range(KeyRange range, ScanOptions options) const {
  return StateRange(std::make_unique<StateCursor>(*snapshot_, std::move(range), options));
}

std::optional<EventView> ReadTxn::event(EventId id) const { return snapshot_->event(id); }

EventRange ReadTxn::events(EventQuery query) const {
  return EventRange(std::make_unique<EventCursor>(*snapshot_, std::move(query)));
}

GuardedEvents ReadTxn::guarded(std::vector<EventPattern> patterns, EventId after) const {
  return {*snapshot_, after, Condition::no_event(std::move(patterns), last_event())};
}

EventId ReadTxn::tag_version(std::string_view tag) const { return snapshot_->newest_event(tag); }

EventRange GuardedEvents::events() const {
  const auto& patterns = std::get<Condition::NoEvent>(unchanged_.kind()).patterns;
  return EventRange(std::make_unique<EventCursor>(*snapshot_, patterns, after_));
}

template <class Cursor, class Item>
CursorRange<Cursor, Item>::CursorRange(std::unique_ptr<Cursor> cursor) : cursor_(std::move(cursor)) {}
template <class Cursor, class Item>
CursorRange<Cursor, Item>::CursorRange(CursorRange&&) noexcept = default;
template <class Cursor, class Item>
CursorRange<Cursor, Item>& CursorRange<Cursor, Item>::operator=(CursorRange&&) noexcept = default;
template <class Cursor, class Item>
CursorRange<Cursor, Item>::~CursorRange() = default;

template <class Cursor, class Item>
auto CursorRange<Cursor, Item>::Iterator::operator++() -> Iterator& {
  cursor_->advance();
  return *this;
}
template <class Cursor, class Item>
bool CursorRange<Cursor, Item>::Iterator::operator==(std::default_sentinel_t) const {
  return !cursor_->valid();
}

template <>
StateEntry CursorRange<StateCursor, StateEntry>::Iterator::operator*() const {
  return cursor_->entry();
}
template <>
EventView CursorRange<EventCursor, EventView>::Iterator::operator*() const {
  return cursor_->event();
}

template class CursorRange<StateCursor, StateEntry>;
template class CursorRange<EventCursor, EventView>;

}  // namespace azoth
