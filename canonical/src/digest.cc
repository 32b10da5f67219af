#include "azoth/core/digest.h"

#include "verify.h"

namespace azoth {

namespace {
constexpr std::uint64_t kProgressEvery = 10'000;
}

// The form is fixed (docs/format.md, "Digest"): the same content gives the same digest in every version.
std::string digest_of(const Snapshot& snapshot, const Progress& progress) {
  Digest digest;
  std::uint64_t total = snapshot.last_event();
  std::uint64_t done = 0;
  auto advance = [&] {
    if (++done % kProgressEvery == 0 && progress) progress(done, total);
  };
  std::uint64_t keys = 0;
  for (StateCursor cursor(snapshot, {}, {}); cursor.valid(); cursor.advance()) {
    auto [key, value] = cursor.entry();
    digest.add_length_prefixed(key);
    digest.add_length_prefixed(value);
    ++keys;
    ++total;
    advance();
  }
  digest.add(keys);
  for (EventCursor cursor(snapshot, {}); cursor.valid(); cursor.advance()) {
    const EventView& event = cursor.event();
    digest.add(event.id());
    digest.add(static_cast<std::uint64_t>(event.time().time_since_epoch().count()));
    digest.add_length_prefixed(event.type());
    digest.add(event.tags().size());
    for (std::string_view tag : event.tags()) digest.add_length_prefixed(tag);
    digest.add_length_prefixed(event.metadata());
    digest.add_length_prefixed(event.payload());
    advance();
  }
  return digest.finish_hex();
}

}  // namespace azoth
