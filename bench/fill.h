// Changes as Azoth's transactions; and filling an Azoth store before anything is measured: by bulk transactions, which
// leave everything in LMDB.
#pragma once

#include <cstddef>
#include <cstdint>

#include "azoth/db.h"
#include "system.h"

namespace azoth::bench {

WriteSet to_write_set(const Change& change);
Event event_of(const Change& change);  // it must have one; valid as long as the change

// Each of the first `keys` keys with a value.
void fill_keys(Db& db, std::uint64_t keys, std::size_t value_size);
// Events, each with one tag; `tags` of them, in random order, each as often as the others.
void fill_events(Db& db, std::uint64_t events, std::uint64_t tags, std::size_t payload_size);
// A key with an event and its tag, for each of the first `keys`.
void fill_both(Db& db, std::uint64_t keys, std::size_t value_size);

}  // namespace azoth::bench
