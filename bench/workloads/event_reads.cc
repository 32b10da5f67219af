// Reading the log: all of it in order, or the events of one tag after another.
#include <algorithm>
#include <cstdint>
#include <string>

#include "azoth/core/codec.h"
#include "azoth/core/error.h"
#include "content.h"
#include "fill.h"
#include "twin.h"
#include "workload.h"

namespace azoth::bench {

namespace {

constexpr std::uint64_t kEventsOfTag = 10;

std::uint64_t tags(const Settings& settings) { return std::max<std::uint64_t>(1, settings.events / kEventsOfTag); }

void use(std::uint64_t number) { asm volatile("" : : "r"(number) : "memory"); }
void use(std::string_view bytes) {
  use(static_cast<std::uint64_t>(bytes.front()) + static_cast<std::uint64_t>(bytes.back()));
}

void use(const EventView& event) {
  use(event.id());
  use(event.type());
  use(event.payload());
}

void check_count(std::uint64_t found, std::uint64_t expected) {
  if (found == expected) return;
  throw Error(ErrorCode::NotFound, std::to_string(found) + " events were read, not " + std::to_string(expected));
}

Sample replay_azoth(const Settings& settings, Twin& twin) {
  ReadTxn snapshot = twin.db().read();
  return read_for(settings.seconds, [&] {
    std::uint64_t found = 0;
    for (const EventView& event : snapshot.events()) {
      use(event);
      ++found;
    }
    check_count(found, settings.events);
    return found;
  });
}

Sample replay_lmdb(const Settings& settings, Twin& twin) {
  BareSnapshot snapshot(twin.lmdb());
  BareCursor cursor(snapshot, twin.lmdb().events);
  return read_for(settings.seconds, [&] {
    std::uint64_t found = 0;
    for (bool more = cursor.move(MDB_FIRST); more; more = cursor.move(MDB_NEXT)) {
      use(codec::load_big(cursor.key().data()));
      use(cursor.value());
      ++found;
    }
    check_count(found, settings.events);
    return found;
  });
}

// Tags in random order, a hundred between two looks at the clock.
template <class ReadTag>
Sample by_tag(const Settings& settings, unsigned round, const ReadTag& read_tag) {
  constexpr int kTags = 100;
  Random random(round + 1);
  Name tag(kTagPrefix);
  return read_for(settings.seconds, [&] {
    std::uint64_t found = 0;
    for (int i = 0; i < kTags; ++i) found += read_tag(tag.of(random.below(tags(settings))));
    if (settings.events % kEventsOfTag == 0) check_count(found, kTags * kEventsOfTag);
    return found;
  });
}

Sample by_tag_azoth(const Settings& settings, Twin& twin, unsigned round) {
  ReadTxn snapshot = twin.db().read();
  EventQuery query;
  query.tags.resize(1);
  return by_tag(settings, round, [&](std::string_view tag) {
    std::uint64_t found = 0;
    query.tags[0] = tag;
    for (const EventView& event : snapshot.events(query)) {
      use(event);
      ++found;
    }
    return found;
  });
}

Sample by_tag_lmdb(const Settings& settings, Twin& twin, unsigned round) {
  BareSnapshot snapshot(twin.lmdb());
  BareCursor index(snapshot, twin.lmdb().tags);
  std::string prefix;
  return by_tag(settings, round, [&](std::string_view tag) {
    std::uint64_t found = 0;
    prefix.assign(tag).append(1, '\0');
    for (bool more = index.move(MDB_SET_RANGE, prefix); more && index.key().starts_with(prefix);
         more = index.move(MDB_NEXT)) {
      std::string_view id = index.key().substr(prefix.size());
      use(codec::load_big(id.data()));
      use(snapshot.get(twin.lmdb().events, id));
      ++found;
    }
    return found;
  });
}

void fill(Db& db, const Settings& settings) { fill_events(db, settings.events, tags(settings), settings.value_size); }

Contest replay_log(const Settings& settings, Scratch& scratch) {
  TwinReaders readers{.workload = "replay-log",
                      .unit = "events",
                      .reference = "lmdb cursor",
                      .at_least = 0.5,
                      .azoth = [settings](Twin& twin, unsigned) { return replay_azoth(settings, twin); },
                      .lmdb = [settings](Twin& twin, unsigned) { return replay_lmdb(settings, twin); }};
  return twin_contest(readers, scratch, {}, [settings](Db& db) { fill(db, settings); });
}

Contest events_of_tag(const Settings& settings, Scratch& scratch) {
  TwinReaders readers{.workload = "events-of-tag",
                      .unit = "events",
                      .reference = "lmdb index",
                      .at_least = 0.7,
                      .azoth = [settings](Twin& twin, unsigned round) { return by_tag_azoth(settings, twin, round); },
                      .lmdb = [settings](Twin& twin, unsigned round) { return by_tag_lmdb(settings, twin, round); }};
  return twin_contest(readers, scratch, {}, [settings](Db& db) { fill(db, settings); });
}

}  // namespace

void add_event_read_workloads(std::vector<Workload>& all) {
  all.push_back({"replay-log", "all events in order, decoded", replay_log});
  all.push_back({"events-of-tag", "the events of one tag after another: 10 each, in random order", events_of_tag});
}

}  // namespace azoth::bench
