// The log as a vector, and whether a snapshot reads as it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "azoth/canonical/commit.h"
#include "azoth/canonical/read_txn.h"
#include "store_support.h"

namespace azoth::test {

struct EventModel {
  CommitSeq commit_seq = 0;
  Timestamp commit_time{};
  std::string type = {};
  std::vector<std::string> tags = {};
  std::string payload = {};
  std::string metadata = {};
  std::optional<Timestamp> time = {};

  Event event() const {
    return {.type = type, .tags = {tags.begin(), tags.end()}, .payload = payload, .metadata = metadata, .time = time};
  }
};

using LogModel = std::vector<EventModel>;  // event i + 1 is the i-th

inline const std::vector<std::string>& tricky_types() {
  static const std::vector<std::string> types = {"t", "tt", "u", std::string(limits::kMaxTypeBytes, 't')};
  return types;
}

// Tags that begin with one another, with the smallest and the largest bytes a tag may have.
inline const std::vector<std::string>& tricky_tags() {
  static const std::vector<std::string> tags = {
      "a",    "aa",       "a\x01",    "a\xFF",  "a:1",  "a:11",
      "\x01", "\x01\x01", "\xFF\xFF", "\xFF",   "rare", std::string(limits::kMaxTagBytes, 'a'),
      std::string(limits::kMaxTagBytes - 1, 'a')};
  return tags;
}

inline EventModel random_event(std::mt19937_64& random) {
  EventModel event;
  event.type = tricky_types()[random() % tricky_types().size()];
  std::vector<std::string> tags = tricky_tags();
  std::shuffle(tags.begin(), tags.end(), random);
  tags.resize(random() % 5);
  event.tags = tags;
  event.payload = std::string(random() % 40, static_cast<char>(random()));
  if (random() % 4 == 0) event.metadata = "m" + std::to_string(random() % 100);
  if (random() % 4 == 0) event.time = Timestamp(std::chrono::microseconds(random() % 1'000'000));
  return event;
}

inline EventQuery random_query(std::mt19937_64& random, std::size_t events) {
  EventQuery query;
  if (random() % 2 == 0) query.after = random() % (events + 2);
  if (random() % 2 == 0) query.to = random() % (events + 2);
  for (std::uint64_t i = random() % 3; i > 0; --i) {
    query.types.push_back(random() % 10 == 0 ? "none such" : tricky_types()[random() % tricky_types().size()]);
  }
  for (std::uint64_t i = random() % 4; i > 0; --i) {
    query.tags.push_back(random() % 20 == 0 ? "none such" : tricky_tags()[random() % tricky_tags().size()]);
  }
  query.reverse = random() % 2 == 0;
  if (random() % 3 == 0) query.limit = random() % 5;
  return query;
}

inline std::vector<EventId> expected_ids(const LogModel& log, std::size_t events, const EventQuery& query) {
  std::vector<EventId> ids;
  for (EventId id = 1; id <= events; ++id) {
    const EventModel& event = log[id - 1];
    auto has = [](const std::vector<std::string>& all, const std::string& one) {
      return std::find(all.begin(), all.end(), one) != all.end();
    };
    bool matches = id > query.after && id <= query.to && (query.types.empty() || has(query.types, event.type)) &&
                   std::all_of(query.tags.begin(), query.tags.end(),
                               [&](const std::string& tag) { return has(event.tags, tag); });
    if (matches) ids.push_back(id);
  }
  if (query.reverse) std::reverse(ids.begin(), ids.end());
  if (ids.size() > query.limit) ids.resize(query.limit);
  return ids;
}

inline std::string text_of(const EventQuery& query) {
  std::string text = "after " + std::to_string(query.after) + " to " + std::to_string(query.to);
  for (const std::string& type : query.types) text += " type " + printable(type);
  for (const std::string& tag : query.tags) text += " tag " + printable(tag);
  return text + (query.reverse ? " reverse" : "") + " limit " + std::to_string(query.limit);
}

inline void expect_event(const EventView& view, EventId id, const EventModel& event) {
  ASSERT_EQ(view.id(), id);
  ASSERT_EQ(view.commit_seq(), event.commit_seq);
  ASSERT_EQ(view.commit_time(), event.commit_time);
  ASSERT_EQ(view.time(), event.time.value_or(event.commit_time));
  ASSERT_EQ(view.type(), event.type);
  std::vector<std::string> tags;
  for (std::string_view tag : view.tags()) tags.emplace_back(tag);
  ASSERT_EQ(tags, event.tags);
  ASSERT_EQ(view.payload(), event.payload);
  ASSERT_EQ(view.metadata(), event.metadata);
}

inline void expect_query(const ReadTxn& read, const LogModel& log, std::size_t events, const EventQuery& query) {
  ASSERT_EQ(ids_of(read.events(query)), expected_ids(log, events, query)) << text_of(query);
}

// The first `events` of the log, one by one, in a walk and by some random queries.
inline void expect_log_reads_as(const ReadTxn& read, const LogModel& log, std::size_t events, std::mt19937_64& random,
                                int queries) {
  ASSERT_EQ(read.last_event(), events);
  EventId id = 0;
  for (const EventView& view : read.events()) {
    ++id;
    ASSERT_LE(id, events);
    ASSERT_NO_FATAL_FAILURE(expect_event(view, id, log[id - 1]));
  }
  ASSERT_EQ(id, events);
  ASSERT_EQ(read.event(0), std::nullopt);
  ASSERT_EQ(read.event(events + 1), std::nullopt);
  for (int i = 0; i < 5 && events > 0; ++i) {
    EventId one = 1 + random() % events;
    auto view = read.event(one);
    ASSERT_TRUE(view.has_value()) << one;
    ASSERT_NO_FATAL_FAILURE(expect_event(*view, one, log[one - 1]));
  }
  for (int i = 0; i < queries; ++i) {
    ASSERT_NO_FATAL_FAILURE(expect_query(read, log, events, random_query(random, events)));
  }
}

}  // namespace azoth::test
