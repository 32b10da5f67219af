#include "azoth/core/event.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <limits>
#include <memory>
#include <random>

#include "azoth/core/codec.h"
#include "azoth/core/error.h"
#include "azoth/core/limits.h"
#include "support/seed.h"

namespace azoth {
namespace {

using std::chrono::microseconds;

constexpr Timestamp kCommitTime{microseconds{1'000}};

std::string encoded(const Event& event) {
  event_codec::validate(event);
  std::string body;
  event_codec::append(body, event);
  EXPECT_EQ(body.size(), event_codec::encoded_size(event));
  EXPECT_TRUE(event_codec::well_formed(body));
  return body;
}

EventView view_of(std::string_view body) { return {7, 3, kCommitTime, body}; }

std::vector<std::string_view> tags_of(const EventView& view) {
  std::vector<std::string_view> tags;
  for (std::string_view tag : view.tags()) tags.push_back(tag);
  return tags;
}

void expect_same(const EventView& view, const Event& event) {
  EXPECT_EQ(view.type(), event.type);
  EXPECT_EQ(tags_of(view), event.tags);
  EXPECT_EQ(view.tags().size(), event.tags.size());
  EXPECT_EQ(view.payload(), event.payload.view());
  EXPECT_EQ(view.metadata(), event.metadata.view());
  EXPECT_EQ(view.has_own_time(), event.time.has_value());
  EXPECT_EQ(view.time(), event.time.value_or(kCommitTime));
}

ErrorCode refusal_of(const Event& event) {
  try {
    event_codec::validate(event);
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode{};
}

TEST(Event, TheSmallestComesBack) {
  const Event event{.type = "t", .tags = {}, .payload = ""};
  const std::string body = encoded(event);
  EXPECT_EQ(body, std::string_view("\0\1\0t", 4));
  expect_same(view_of(body), event);
  EXPECT_TRUE(view_of(body).tags().empty());
}

TEST(Event, EveryCombinationOfOptionalPartsComesBack) {
  for (bool time : {false, true}) {
    for (std::string_view metadata : {"", R"({"correlation":"1"})"}) {
      for (std::string_view payload : {"", R"({"amount":100})"}) {
        for (const std::vector<std::string_view>& tags :
             {std::vector<std::string_view>{}, {"account:alice"}, {"b", "a", "account:bob"}}) {
          Event event{.type = "withdrawn", .tags = tags, .payload = payload, .metadata = metadata};
          if (time) event.time = Timestamp{microseconds{-5}};
          expect_same(view_of(encoded(event)), event);
        }
      }
    }
  }
}

TEST(Event, TheLayoutIsTheDocumentedOne) {
  const Event event{
      .type = "ty", .tags = {"a", "bc"}, .payload = "P", .metadata = "M", .time = Timestamp{microseconds{5}}};
  EXPECT_EQ(encoded(event), std::string_view("\x03\x02\x02\x05\0\0\0\0\0\0\0ty\x01"
                                             "a\x02"
                                             "bc\x01\0\0\0MP",
                                             24));
}

TEST(Event, NumbersOfTheViewAreThoseItWasGiven) {
  const EventView view = view_of("");
  EXPECT_EQ(view.id(), 7u);
  EXPECT_EQ(view.commit_seq(), 3u);
  EXPECT_EQ(view.commit_time(), kCommitTime);
}

TEST(Event, TheLargestPartsComeBack) {
  std::vector<std::string> tags;
  for (std::size_t i = 0; i < limits::kMaxTags; ++i) {
    std::string tag(limits::kMaxTagBytes, '\xFF');
    tag[0] = static_cast<char>(1 + i);
    tags.push_back(tag);
  }
  const std::string type(limits::kMaxTypeBytes, 't');
  const std::string payload(1'000'000, '\0');
  const std::string metadata(100'000, 'm');
  const Event event{.type = type,
                    .tags = {tags.begin(), tags.end()},
                    .payload = payload,
                    .metadata = metadata,
                    .time = Timestamp::min()};
  expect_same(view_of(encoded(event)), event);
}

TEST(Event, OwnTimesOfAnyValueComeBack) {
  for (Timestamp time : {Timestamp::min(), Timestamp{}, Timestamp::max()}) {
    const Event event{.type = "t", .tags = {}, .payload = "p", .time = time};
    expect_same(view_of(encoded(event)), event);
  }
}

TEST(Event, ItIsAppendedBehindWhatIsThere) {
  const Event event{.type = "t", .tags = {"x"}, .payload = "p"};
  std::string bytes = "before";
  event_codec::append(bytes, event);
  EXPECT_EQ(bytes, "before" + encoded(event));
}

TEST(Event, AnEmptyViewAnswersNothing) {
  const EventView view;
  EXPECT_EQ(view.type(), "");
  EXPECT_TRUE(view.tags().empty());
  EXPECT_EQ(view.payload(), "");
  EXPECT_EQ(view.metadata(), "");
  EXPECT_FALSE(view.has_own_time());
  EXPECT_EQ(view.time(), Timestamp{});
}

TEST(Event, TagsAreFoundWhole) {
  const std::string body = encoded({.type = "t", .tags = {"account:alice", "x"}, .payload = ""});
  EXPECT_TRUE(view_of(body).tags().contains("x"));
  EXPECT_TRUE(view_of(body).tags().contains("account:alice"));
  EXPECT_FALSE(view_of(body).tags().contains("account"));
  EXPECT_FALSE(view_of(body).tags().contains(""));
}

TEST(EventLimits, ATypeHasOneTo255Bytes) {
  EXPECT_EQ(refusal_of({.type = "", .tags = {}, .payload = ""}), ErrorCode::EventTypeInvalid);
  const std::string longest(256, 't');
  EXPECT_EQ(refusal_of({.type = longest, .tags = {}, .payload = ""}), ErrorCode::EventTypeInvalid);
  EXPECT_EQ(refusal_of({.type = std::string_view(longest).substr(1), .tags = {}, .payload = ""}), ErrorCode{});
}

TEST(EventLimits, ATagHasOneTo255BytesAndNoZero) {
  const std::string longest(256, 't');
  EXPECT_EQ(refusal_of({.type = "t", .tags = {""}, .payload = ""}), ErrorCode::TagInvalid);
  EXPECT_EQ(refusal_of({.type = "t", .tags = {longest}, .payload = ""}), ErrorCode::TagInvalid);
  EXPECT_EQ(refusal_of({.type = "t", .tags = {std::string_view("a\0b", 3)}, .payload = ""}), ErrorCode::TagInvalid);
  EXPECT_EQ(refusal_of({.type = "t", .tags = {std::string_view(longest).substr(1)}, .payload = ""}), ErrorCode{});
}

TEST(EventLimits, TagsAreDistinct) {
  EXPECT_EQ(refusal_of({.type = "t", .tags = {"a", "b", "a"}, .payload = ""}), ErrorCode::TagInvalid);
  EXPECT_EQ(refusal_of({.type = "t", .tags = {"a", "b", "aa"}, .payload = ""}), ErrorCode{});
}

TEST(EventLimits, ThereAreAtMost64Tags) {
  std::vector<std::string> tags;
  for (int i = 0; i < 65; ++i) tags.push_back("tag" + std::to_string(i));
  std::vector<std::string_view> views(tags.begin(), tags.end());
  EXPECT_EQ(refusal_of({.type = "t", .tags = views, .payload = ""}), ErrorCode::TooManyTags);
  views.pop_back();
  EXPECT_EQ(refusal_of({.type = "t", .tags = views, .payload = ""}), ErrorCode{});
}

TEST(EventLimits, MetadataOfFourGibibytesIsRefusedUnread) {
  const std::size_t size = std::size_t{1} << 32;
  void* reserved = ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(reserved, MAP_FAILED);
  const std::string_view bytes(static_cast<const char*>(reserved), size);
  EXPECT_EQ(refusal_of({.type = "t", .tags = {}, .payload = "", .metadata = bytes}), ErrorCode::EventTooLarge);
  EXPECT_EQ(refusal_of({.type = "t", .tags = {}, .payload = "", .metadata = bytes.substr(1)}), ErrorCode{});
  ::munmap(reserved, size);
}

TEST(EventBody, ItsEveryCutIsRefusedUntilThePayloadBegins) {
  const Event event{.type = "type", .tags = {"a", "bc"}, .payload = "payload", .metadata = "meta", .time = Timestamp{}};
  const std::string body = encoded(event);
  for (std::size_t size = 0; size < body.size(); ++size) {
    const std::unique_ptr<char[]> exact(new char[size]);
    body.copy(exact.get(), size);
    EXPECT_EQ(event_codec::well_formed({exact.get(), size}), size >= body.size() - event.payload.size()) << size;
  }
}

TEST(EventBody, WhatNoEventEncodesToIsRefused) {
  using namespace std::string_view_literals;
  EXPECT_TRUE(event_codec::well_formed("\0\1\1t\1a"sv));
  EXPECT_FALSE(event_codec::well_formed("\4\1\1t\1a"sv));        // an unknown flag
  EXPECT_FALSE(event_codec::well_formed("\0\0\0"sv));            // no type
  EXPECT_FALSE(event_codec::well_formed("\0\1\1t\0"sv));         // an empty tag
  EXPECT_FALSE(event_codec::well_formed("\0\1\1t\1\0"sv));       // a zero byte in a tag
  EXPECT_FALSE(event_codec::well_formed("\0\1\2t\1a\1a"sv));     // a tag twice
  EXPECT_FALSE(event_codec::well_formed("\2\1\0t\0\0\0\0p"sv));  // metadata of no bytes
  EXPECT_FALSE(event_codec::well_formed("\2\1\0t\xFF\xFF\xFF\xFFp"sv));
  std::string many("\0\1\x41t", 4);
  for (int i = 0; i < 65; ++i) many += {'\1', static_cast<char>(1 + i)};
  EXPECT_FALSE(event_codec::well_formed(many));  // 65 tags
}

Event random_event(std::mt19937_64& random, std::vector<std::string>& storage) {
  storage.clear();
  const auto bytes = [&](std::size_t most, bool zeros) -> std::string_view {
    std::string text;
    for (auto left = random() % (most + 1); left > 0; --left)
      text.push_back(static_cast<char>(zeros ? random() % 3 : 1 + random() % 255));
    storage.push_back(text);
    return storage.back();
  };
  storage.reserve(200);
  Event event{
      .type = bytes(20, true), .tags = {}, .payload = bytes(40, true), .metadata = bytes(random() % 2 * 20, true)};
  if (event.type.empty()) event.type = "t";
  for (auto left = random() % 6; left > 0; --left) {
    storage.push_back(std::to_string(left) + std::string(bytes(10, false)));
    event.tags.push_back(storage.back());
  }
  if (random() % 2 == 0) event.time = Timestamp{microseconds{static_cast<std::int64_t>(random())}};
  return event;
}

TEST(EventBody, RandomEventsComeBack) {
  std::mt19937_64 random(test::test_seed());
  std::vector<std::string> storage;
  for (int i = 0; i < 20'000; ++i) {
    const Event event = random_event(random, storage);
    expect_same(view_of(encoded(event)), event);
    if (testing::Test::HasFailure()) return;
  }
}

// Reads everything a view offers. Parts that lie outside the body, or that overlap, give another sum than its size.
void expect_within(const EventView& view) {
  const std::string_view body = view.body();
  const auto inside = [&](std::string_view part) {
    return part.empty() || (part.data() >= body.data() && part.data() + part.size() <= body.data() + body.size());
  };
  std::size_t total = 3 + view.type().size() + view.payload().size() + (view.has_own_time() ? 8 : 0);
  if (!view.metadata().empty()) total += 4 + view.metadata().size();
  for (std::string_view tag : view.tags()) {
    EXPECT_TRUE(inside(tag));
    total += 1 + tag.size();
  }
  EXPECT_TRUE(inside(view.type()) && inside(view.payload()) && inside(view.metadata()));
  EXPECT_EQ(total, body.size());
}

// What is well formed is what some event encodes to.
void expect_same_when_encoded_again(const EventView& view) {
  Event event{.type = view.type(), .tags = tags_of(view), .payload = view.payload(), .metadata = view.metadata()};
  if (view.has_own_time()) event.time = view.time();
  EXPECT_EQ(encoded(event), view.body());
}

TEST(EventBody, HostileBytesAreNeverReadOutside) {
  std::mt19937_64 random(test::test_seed());
  std::vector<std::string> storage;
  int accepted = 0;
  for (int i = 0; i < 100'000 && !testing::Test::HasFailure(); ++i) {
    std::string body;
    event_codec::append(body, random_event(random, storage));
    for (auto left = random() % 4; left > 0; --left) {
      body[random() % std::min<std::size_t>(body.size(), random() % 2 == 0 ? 16 : body.size())] =
          static_cast<char>(random());
    }
    body.resize(random() % 3 == 0 ? random() % (body.size() + 1) : body.size());
    const std::unique_ptr<char[]> exact(new char[body.size()]);  // so that the address sanitizer sees a byte too far
    body.copy(exact.get(), body.size());
    const std::string_view hostile(exact.get(), body.size());
    if (!event_codec::well_formed(hostile)) continue;
    ++accepted;
    expect_within(view_of(hostile));
    expect_same_when_encoded_again(view_of(hostile));
  }
  EXPECT_GT(accepted, 10'000);
  EXPECT_LT(accepted, 100'000);
}

TEST(EventBody, NoiseIsNeverReadOutside) {
  std::mt19937_64 random(test::test_seed());
  for (int i = 0; i < 100'000 && !testing::Test::HasFailure(); ++i) {
    const std::size_t size = random() % 40;
    const std::unique_ptr<char[]> noise(new char[size]);
    for (std::size_t at = 0; at < size; ++at) noise[at] = static_cast<char>(random() % (at < 3 ? 4 : 256));
    if (event_codec::well_formed({noise.get(), size})) expect_within(view_of({noise.get(), size}));
  }
}

}  // namespace
}  // namespace azoth
