#include "azoth/core/event_source.h"

#include <gtest/gtest.h>

namespace azoth {
namespace {

std::string body(std::string_view payload) {
  std::string bytes;
  event_codec::append(bytes, {.type = "t", .tags = {"a:b"}, .payload = payload});
  return bytes;
}

TEST(EventSlice, OwnsWhatItWasGiven) {
  EventSlice slice;
  for (EventId id = 1; id <= 100; ++id) {
    std::string bytes = body(std::to_string(id));
    slice.add({id, id + 7, Timestamp{std::chrono::microseconds{id}}, bytes});
  }
  ASSERT_EQ(slice.size(), 100u);
  for (EventId id = 1; id <= 100; ++id) {
    EventView event = slice[id - 1];
    EXPECT_EQ(event.id(), id);
    EXPECT_EQ(event.commit_seq(), id + 7);
    EXPECT_EQ(event.commit_time().time_since_epoch().count(), static_cast<std::int64_t>(id));
    EXPECT_EQ(event.payload(), std::to_string(id));
  }
  slice.clear();
  EXPECT_TRUE(slice.empty());
  EXPECT_EQ(slice.bytes(), 0u);
}

TEST(ChecksumOfAnEvent, ChangesWithEverythingThatItSays) {
  const std::string one = body("1");
  const std::string two = body("2");
  const Timestamp time{std::chrono::microseconds{5}};
  const std::uint64_t sum = checksum_of({1, 2, time, one});
  EXPECT_EQ(checksum_of({1, 2, time, one}), sum);
  EXPECT_NE(checksum_of({2, 2, time, one}), sum);
  EXPECT_NE(checksum_of({1, 3, time, one}), sum);
  EXPECT_NE(checksum_of({1, 2, time + std::chrono::microseconds{1}, one}), sum);
  EXPECT_NE(checksum_of({1, 2, time, two}), sum);
}

}  // namespace
}  // namespace azoth
