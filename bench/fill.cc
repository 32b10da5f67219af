#include "fill.h"

#include <chrono>
#include <functional>
#include <memory>
#include <utility>

#include "azoth/core/error.h"
#include "content.h"

namespace azoth::bench {

namespace {

constexpr std::size_t kTransactionBytes = std::size_t{8} << 20;

void in_transactions(Db& db, std::uint64_t count, const std::function<void(WriteSet& set, std::uint64_t index)>& add) {
  WriteSet set;
  auto commit = [&] {
    db.submit(std::exchange(set, WriteSet()), {}, {.timeout = std::chrono::minutes(10)}).value().wait();
  };
  for (std::uint64_t index = 0; index < count; ++index) {
    add(set, index);
    if (set.bytes() >= kTransactionBytes) commit();
  }
  if (!set.empty()) commit();
  db.checkpoint();
}

}  // namespace

std::unique_ptr<Reader> System::reader() {
  throw Error(ErrorCode::InvalidArgument, "no workload reads from this system");
}

void use_value(std::string_view value) { asm volatile("" : : "r"(value.front()) : "memory"); }

void throw_missing_key() { throw Error(ErrorCode::NotFound, "a key that was written is missing"); }

void System::fill(std::uint64_t keys, std::size_t value_size) {
  Name key(kKeyPrefix);
  std::unique_ptr<Client> only = client();
  for (std::uint64_t i = 0; i < keys; ++i) only->commit({.key = key.of(i), .value = some_bytes(mix(i), value_size)});
  settle();
}

void System::fill_log(std::uint64_t, std::uint64_t, std::size_t) {
  throw Error(ErrorCode::InvalidArgument, "no workload fills the log of this system");
}

WriteSet to_write_set(const Change& change) {
  WriteSet set;
  set.put(change.key, change.value);
  if (!change.type.empty()) set.append(event_of(change));
  return set;
}

Event event_of(const Change& change) {
  Event event{.type = change.type, .tags = {}, .payload = change.payload};
  if (!change.tag.empty()) event.tags.push_back(change.tag);
  return event;
}

void fill_keys(Db& db, std::uint64_t keys, std::size_t value_size) {
  Name key(kKeyPrefix);
  in_transactions(db, keys,
                  [&](WriteSet& set, std::uint64_t i) { set.put(key.of(i), some_bytes(mix(i), value_size)); });
}

void fill_events(Db& db, std::uint64_t events, std::uint64_t tags, std::size_t payload_size) {
  // Multiples of a number that shares no factor with `tags` visit them all before they come back.
  constexpr std::uint64_t kStep = 2'654'435'761;
  Name tag(kTagPrefix);
  in_transactions(db, events, [&](WriteSet& set, std::uint64_t i) {
    set.append({.type = kEventType, .tags = {tag.of(i * kStep % tags)}, .payload = some_bytes(mix(i), payload_size)});
  });
}

void fill_both(Db& db, std::uint64_t keys, std::size_t value_size) {
  Name key(kKeyPrefix);
  Name tag(kTagPrefix);
  in_transactions(db, keys, [&](WriteSet& set, std::uint64_t i) {
    set.put(key.of(i), some_bytes(mix(i), value_size));
    set.append({.type = kEventType, .tags = {tag.of(i)}, .payload = some_bytes(mix(i + keys), value_size)});
  });
}

}  // namespace azoth::bench
