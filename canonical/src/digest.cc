#include "azoth/canonical/content_digest.h"
#include "verify.h"

namespace azoth {

namespace {
constexpr std::uint64_t kProgressEvery = 10'000;
}

// The form is fixed: the same content gives the same digest in every version.

void StateDigest::add(std::string_view key, std::string_view value) {
  digest_.add_length_prefixed(key);
  digest_.add_length_prefixed(value);
  ++keys_;
}

std::string StateDigest::finish_hex() {
  digest_.add(keys_);
  return digest_.finish_hex();
}

void EventsDigest::add(const EventView& event) {
  digest_.add(event.id());
  digest_.add(static_cast<std::uint64_t>(event.time().time_since_epoch().count()));
  digest_.add_length_prefixed(event.type());
  digest_.add(event.tags().size());
  for (std::string_view tag : event.tags()) digest_.add_length_prefixed(tag);
  digest_.add_length_prefixed(event.metadata());
  digest_.add_length_prefixed(event.payload());
}

std::string EventsDigest::finish_hex() { return digest_.finish_hex(); }

std::string content_digest_of(std::string_view state_digest, std::string_view events_digest) {
  Digest digest;
  digest.add(state_digest);
  digest.add(events_digest);
  return digest.finish_hex();
}

std::string digest_of(const Snapshot& snapshot, const Progress& progress) {
  std::uint64_t total = snapshot.last_event() + count_keys(snapshot);
  std::uint64_t done = 0;
  auto advance = [&] {
    if (++done % kProgressEvery == 0 && progress) progress(done, total);
  };
  StateDigest state;
  for (StateCursor cursor(snapshot, {}, {}); cursor.valid(); cursor.advance()) {
    auto [key, value] = cursor.entry();
    state.add(key, value);
    advance();
  }
  EventsDigest events;
  for (EventCursor cursor(snapshot, {}); cursor.valid(); cursor.advance()) {
    events.add(cursor.event());
    advance();
  }
  return content_digest_of(state.finish_hex(), events.finish_hex());
}

}  // namespace azoth
