#include "snapshot.h"

#include <algorithm>
#include <limits>
#include <map>

#include "azoth/core/codec.h"
#include "azoth/core/error.h"
#include "event_match.h"

namespace azoth {

namespace {

// How many old versions of a key are stepped over before a search is cheaper.
constexpr int kSteps = 4;
constexpr CommitSeq kNewest = std::numeric_limits<CommitSeq>::max();

[[noreturn]] void missing_event(EventId id) {
  throw Error(ErrorCode::Corruption, "event " + std::to_string(id) + " is missing; restore the store from a backup");
}

}  // namespace

// --- VersionCursor

void VersionCursor::seek(std::string_view key) { settle(map_->seek(Space::State, key, kNewest)); }

void VersionCursor::next() {
  std::string_view key = node_->key();
  const VersionMap::Node* node = node_->after();
  for (int step = 0; node != nullptr && node->key() == key && node->space == Space::State; ++step) {
    node = step < kSteps ? node->after() : map_->seek(Space::State, key, 0);
  }
  settle(node);
}

// `node` is the newest version of its key. Finds the first key from there on that has a version at `at_`.
void VersionCursor::settle(const VersionMap::Node* node) {
  for (int step = 0; node != nullptr && node->space == Space::State && node->commit_seq > at_; ++step) {
    if (step < kSteps) {
      node = node->after();
    } else {
      node = map_->seek(Space::State, node->key(), at_);
      step = 0;
    }
  }
  node_ = node != nullptr && node->space == Space::State ? node : nullptr;
}

void VersionCursor::seek_before(std::optional<std::string_view> key) {
  node_ = nullptr;
  const VersionMap::Node* node = map_->seek_before(Space::State, key);
  while (node != nullptr && node_ == nullptr) {
    node_ = map_->find(Space::State, node->key(), at_);
    if (node_ == nullptr) node = map_->seek_before(Space::State, node->key());
  }
}

void VersionCursor::previous() { seek_before(node_->key()); }

// --- Snapshot

Environment& open_environment(const View& view) {
  if (!view.environment) throw Error(ErrorCode::Closed, "the store is closed");
  return *view.environment;
}

Snapshot::Snapshot(CommitSeq commit, std::shared_ptr<const View> view, Reads reads)
    : view_(std::move(view)), environment_(view_->environment), lmdb_(open_environment(*view_).lmdb.begin_read()) {
  verify_reads_ = reads == Reads::Verified || environment_->verify_reads;
  environment_->check_timeline(lmdb_);
  std::optional<CommitSeq> published = lmdb_.published_commit();
  CommitSeq in_lmdb = published ? *published : head().last_commit;
  commit_ = std::max(commit, in_lmdb);
  if (in_lmdb >= commit) {
    view_.reset();
    return;
  }
  for (const auto& delta : view_->deltas) {
    if (delta->first_commit() <= commit && delta->last_commit() > in_lmdb) deltas_.push_back(delta.get());
  }
}

EventId Snapshot::last_event() const {
  for (const Delta* delta : deltas_) {
    EventId last = delta->last_event(commit_);
    if (last >= delta->first_event()) return last;
  }
  return last_lmdb_event();
}

EventId Snapshot::last_lmdb_event() const {
  if (!last_lmdb_event_) last_lmdb_event_ = deltas_.empty() ? head().last_event : deltas_.back()->first_event() - 1;
  return *last_lmdb_event_;
}

std::optional<std::string_view> Snapshot::get(Space space, std::string_view key) const {
  for (const Delta* delta : deltas_) {
    if (const VersionMap::Node* node = delta->versions().find(space, key, commit_)) {
      if (node->removed()) return std::nullopt;
      return node->value_view();
    }
  }
  std::string system_key;
  Table table = Table::State;
  if (space != Space::State) {
    table = Table::System;
    system_key.assign(1, static_cast<char>(space)).append(key);
    key = system_key;
  }
  auto row = lmdb_.get(table, key);
  if (!row) return std::nullopt;
  return rows().value(key, *row, verify_reads());
}

std::optional<EventView> Snapshot::event(EventId id) const {
  if (id == 0 || id > last_event()) return std::nullopt;
  for (const Delta* delta : deltas_) {
    if (id >= delta->first_event()) return delta->event(id);
  }
  auto event = lmdb_event(id);
  if (!event) missing_event(id);
  return event;
}

std::optional<EventView> Snapshot::lmdb_event(EventId id) const {
  char key[8];
  codec::store_big(key, id);
  auto row = lmdb_.get(Table::Events, {key, sizeof key});
  if (!row) return std::nullopt;
  return rows().event(id, *row, verify_reads());
}

EventId Snapshot::newest_event(std::string_view tag) const {
  for (const Delta* delta : deltas_) {
    const TagIndex::Tag* found = delta->tags().find(tag);
    EventId newest = TagIndex::newest(found);
    if (newest == 0) continue;
    EventId last = delta->last_event(commit_);
    if (newest <= last) return newest;
    TagIds ids(found, 0, last);
    if (!ids.empty()) return ids[ids.size() - 1];
  }
  std::string prefix(tag);
  prefix += '\0';
  LmdbCursor cursor = lmdb_.cursor(Table::Tags);
  if (!cursor.seek_before(prefix + event_key(last_lmdb_event() + 1))) return 0;
  std::string_view key = cursor.key();
  bool of_this_tag = key.size() == prefix.size() + 8 && key.starts_with(prefix);
  return of_this_tag ? codec::load_big(key.data() + prefix.size()) : 0;
}

namespace {

// What the Deltas show of each key that they know, of all spaces: its newest version at the snapshot.
template <class Each>
void for_each_overlaid(const Snapshot& snapshot, Each each) {
  const auto& deltas = snapshot.deltas();
  const CommitSeq at = snapshot.commit_seq();
  for (std::size_t i = 0; i < deltas.size(); ++i) {
    const VersionMap::Node* shown = nullptr;
    for (const VersionMap::Node* node = deltas[i]->versions().first(); node != nullptr; node = node->after()) {
      const bool again = shown != nullptr && shown->space == node->space && shown->key() == node->key();
      if (again || node->commit_seq > at) continue;
      shown = node;
      auto knows_newer = [&](const Delta* delta) {
        return delta->versions().find(node->space, node->key(), at) != nullptr;
      };
      if (std::none_of(deltas.begin(), deltas.begin() + static_cast<std::ptrdiff_t>(i), knows_newer)) each(*node);
    }
  }
}

std::string system_key_of(const VersionMap::Node& node) {
  return std::string(1, static_cast<char>(node.space)).append(node.key());
}

}  // namespace

// LMDB knows how many it has; what the Deltas add and remove is looked up key by key.
std::uint64_t count_keys(const Snapshot& snapshot) {
  std::uint64_t keys = snapshot.head().state_keys;
  for_each_overlaid(snapshot, [&](const VersionMap::Node& node) {
    if (node.space != Space::State) return;
    keys += node.removed() ? 0 : 1;
    keys -= snapshot.lmdb().get(Table::State, node.key()) ? 1 : 0;
  });
  return keys;
}

RowTotals row_totals_of(const Snapshot& snapshot) {
  const Head head = snapshot.head();
  RowTotals totals{.state_keys = head.state_keys, .sums = head.sums};
  for_each_overlaid(snapshot, [&](const VersionMap::Node& node) {
    const bool of_state = node.space == Space::State;
    const std::string key = of_state ? std::string(node.key()) : system_key_of(node);
    const auto row = snapshot.lmdb().get(of_state ? Table::State : Table::System, key);
    std::uint64_t& sum = of_state ? totals.sums.state : totals.sums.own;
    sum -= Rows::stored_checksum(row);
    if (!node.removed()) sum += snapshot.rows().checksum(key, node.value_view());
    if (of_state) totals.state_keys += (node.removed() ? 0 : 1) - (row ? 1 : 0);
  });
  for (EventId id = head.last_event + 1; id <= snapshot.last_event(); ++id) {
    totals.sums.events += snapshot.rows().event_checksum(*snapshot.event(id));
  }
  return totals;
}

void for_each_own_row(const Snapshot& snapshot, const EachOwnRow& each) {
  std::map<std::string, const VersionMap::Node*> overlaid;
  for_each_overlaid(snapshot, [&](const VersionMap::Node& node) {
    if (node.space != Space::State) overlaid.emplace(system_key_of(node), &node);
  });
  auto hand_on = [&](std::string_view key, std::string_view value) {
    each(static_cast<Space>(key.front()), key.substr(1), value);
  };
  auto next = overlaid.begin();
  auto hand_on_overlaid = [&] {
    if (!next->second->removed()) hand_on(next->first, next->second->value_view());
    ++next;
  };
  LmdbCursor row = snapshot.lmdb().cursor(Table::System);
  for (bool more = row.first(); more && is_own_space(row.key()); more = row.next()) {
    while (next != overlaid.end() && next->first < row.key()) hand_on_overlaid();
    if (next != overlaid.end() && next->first == row.key()) {
      hand_on_overlaid();
    } else {
      hand_on(row.key(), snapshot.rows().value(row.key(), row.value(), true));
    }
  }
  while (next != overlaid.end()) hand_on_overlaid();
}

// --- StateCursor

StateCursor::StateCursor(const Snapshot& snapshot, KeyRange range, ScanOptions options,
                         std::optional<VersionCursor> own)
    : snapshot_(snapshot),
      range_(std::move(range)),
      reverse_(options.reverse),
      left_(options.limit),
      lmdb_(snapshot.lmdb().cursor(Table::State)) {
  if (own) overlays_.push_back(*own);
  for (const Delta* delta : snapshot.deltas()) overlays_.emplace_back(delta->versions(), snapshot.commit_seq());
  start();
  find_next();
}

void StateCursor::start() {
  for (VersionCursor& overlay : overlays_) {
    if (reverse_) {
      overlay.seek_before(range_.to);
    } else {
      overlay.seek(range_.from.value_or(""));
    }
  }
  if (reverse_) {
    lmdb_valid_ = range_.to ? lmdb_.seek_before(*range_.to) : lmdb_.last();
  } else {
    lmdb_valid_ = range_.from ? lmdb_.seek(*range_.from) : lmdb_.first();
  }
}

void StateCursor::advance() { find_next(); }

bool StateCursor::out_of_range(std::string_view key) const {
  return reverse_ ? range_.from && key < *range_.from : range_.to && key >= *range_.to;
}

// Takes the nearest key of all sources; the first source that has it decides, and all that have it move on.
void StateCursor::find_next() {
  valid_ = false;
  while (left_ > 0) {
    std::optional<std::string_view> nearest;
    auto consider = [&](std::string_view key) {
      if (!nearest || (reverse_ ? key > *nearest : key < *nearest)) nearest = key;
    };
    for (const VersionCursor& overlay : overlays_) {
      if (overlay.valid()) consider(overlay.key());
    }
    if (lmdb_valid_) consider(lmdb_.key());
    if (!nearest || out_of_range(*nearest)) return;

    std::string_view key = *nearest;
    const VersionMap::Node* decides = nullptr;
    for (VersionCursor& overlay : overlays_) {
      if (!overlay.valid() || overlay.key() != key) continue;
      if (decides == nullptr) decides = &overlay.node();
      reverse_ ? overlay.previous() : overlay.next();
    }
    std::string_view row;
    if (lmdb_valid_ && lmdb_.key() == key) {
      row = lmdb_.value();
      key = lmdb_.key();
      lmdb_valid_ = reverse_ ? lmdb_.previous() : lmdb_.next();
    }
    if (decides != nullptr && decides->removed()) continue;
    key_ = key;
    value_ = decides != nullptr ? decides->value_view() : snapshot_.rows().value(key, row, snapshot_.verify_reads());
    --left_;
    valid_ = true;
    return;
  }
}

// --- QueryCursor

QueryCursor::QueryCursor(const Snapshot& snapshot, EventQuery query)
    : snapshot_(snapshot), query_(std::move(query)), left_(query_.limit) {
  EventId last = std::min(query_.to, snapshot.last_event());
  if (query_.after >= last) return;
  if (!query_.tags.empty()) tag_prefix_ = query_.tags.front() + '\0';
  EventId first = query_.after + 1;
  add_part(nullptr, first, std::min(last, snapshot.last_lmdb_event()));
  const auto& deltas = snapshot.deltas();
  for (auto delta = deltas.rbegin(); delta != deltas.rend(); ++delta) {
    add_part(*delta, std::max(first, (*delta)->first_event()),
             std::min(last, (*delta)->last_event(snapshot.commit_seq())));
  }
  if (query_.reverse) std::reverse(parts_.begin(), parts_.end());
  advance();
}

void QueryCursor::add_part(const Delta* delta, EventId first, EventId last) {
  if (first > last) return;
  Part part{delta, first, last, {}};
  if (delta != nullptr && !query_.tags.empty()) part.ids = TagIds(delta->tags().find(query_.tags[0]), first - 1, last);
  parts_.push_back(std::move(part));
}

void QueryCursor::advance() {
  valid_ = false;
  while (left_ > 0 && part_ < parts_.size()) {
    if (!next_in(parts_[part_])) {
      ++part_;
    } else if (matches(event_, query_.types, query_.tags)) {
      valid_ = true;
      --left_;
      return;
    }
  }
}

bool QueryCursor::next_in(Part& part) {
  return part.delta != nullptr ? next_in_delta(part) : next_in_lmdb(part);
}

bool QueryCursor::next_in_delta(Part& part) {
  std::size_t size = query_.tags.empty() ? part.last - part.first + 1 : part.ids.size();
  if (part.taken == size) return false;
  std::size_t index = query_.reverse ? size - 1 - part.taken : part.taken;
  ++part.taken;
  event_ = part.delta->event(query_.tags.empty() ? part.first + index : part.ids[index]);
  return true;
}

bool QueryCursor::next_in_lmdb(Part& part) {
  bool by_tag = !query_.tags.empty();
  bool found = false;
  if (part.taken == 0) {
    lmdb_ = snapshot_.lmdb().cursor(by_tag ? Table::Tags : Table::Events);
    found = query_.reverse ? lmdb_.seek_before(tag_prefix_ + event_key(part.last + 1))
                           : lmdb_.seek(tag_prefix_ + event_key(part.first));
  } else {
    found = query_.reverse ? lmdb_.previous() : lmdb_.next();
  }
  std::string_view key = found ? lmdb_.key() : std::string_view();
  bool of_this_tag = found && key.size() == tag_prefix_.size() + 8 && key.starts_with(tag_prefix_);
  EventId id = of_this_tag ? codec::load_big(key.data() + tag_prefix_.size()) : 0;
  bool in_range = id >= part.first && id <= part.last;
  if (!by_tag) {
    // The log has no gaps, so what comes next is known.
    EventId expected = query_.reverse ? part.last - part.taken : part.first + part.taken;
    if (expected < part.first || expected > part.last) return false;
    if (id != expected) missing_event(expected);
    ++part.taken;
    event_ = snapshot_.rows().event(id, lmdb_.value(), snapshot_.verify_reads());
    return true;
  }
  if (!in_range) return false;
  ++part.taken;
  auto event = snapshot_.lmdb_event(id);
  if (!event) missing_event(id);
  event_ = *event;
  return true;
}

// --- EventCursor

namespace {

EventQuery query_of(const EventPattern& pattern, EventId after) {
  return {.after = after, .types = pattern.types, .tags = pattern.tags};
}

}  // namespace

EventCursor::EventCursor(const Snapshot& snapshot, const std::vector<EventPattern>& patterns, EventId after)
    : first_(snapshot, query_of(patterns.front(), after)) {
  for (std::size_t i = 1; i < patterns.size(); ++i) others_.emplace_back(snapshot, query_of(patterns[i], after));
}

const QueryCursor& EventCursor::nearest() const {
  const QueryCursor* nearest = &first_;
  for (const QueryCursor& other : others_) {
    if (other.valid() && (!nearest->valid() || other.event().id() < nearest->event().id())) nearest = &other;
  }
  return *nearest;
}

// All that stand on the event go on: it counts once.
void EventCursor::advance() {
  if (others_.empty()) return first_.advance();
  EventId id = event().id();
  if (first_.valid() && first_.event().id() == id) first_.advance();
  for (QueryCursor& other : others_) {
    if (other.valid() && other.event().id() == id) other.advance();
  }
}

}  // namespace azoth
