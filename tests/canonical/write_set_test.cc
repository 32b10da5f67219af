#include "azoth/canonical/write_set.h"

#include <gtest/gtest.h>

#include <functional>
#include <tuple>
#include <utility>
#include <vector>

#include "azoth/core/error.h"
#include "azoth/core/limits.h"
#include "record.h"

namespace azoth::test {
namespace {

// Everything that can be seen of a set.
auto state_of(const WriteSet& set) {
  return std::tuple(std::string(RecordBuilder::bytes(set)), set.puts(), set.deletes(), set.operations(), set.events(),
                    set.bytes(), set.largest_value(), set.largest_event(), set.tags(), set.empty());
}

WriteSet filled() {
  WriteSet set;
  set.put("k", "value").del("gone").append({.type = "t", .tags = {"a:1", "b:2"}, .payload = "p"});
  return set;
}

// The call throws this code and leaves the set as it was, empty or not.
void expect_refused(ErrorCode code, const std::function<void(WriteSet&)>& call) {
  for (WriteSet set : {WriteSet(), filled()}) {
    auto before = state_of(set);
    try {
      call(set);
      ADD_FAILURE() << "nothing was thrown, and " << error_name(code) << " should be";
    } catch (const Error& error) {
      EXPECT_EQ(error_name(error.code()), error_name(code)) << error.what();
    }
    EXPECT_EQ(state_of(set), before);
    set.put("still", "usable");
    EXPECT_EQ(set.puts(), std::get<1>(before) + 1);
  }
}

Event event_with_tags(std::vector<std::string_view> tags) { return {.type = "t", .tags = std::move(tags), .payload = ""}; }

// A view that is as long as this and must not be looked into.
std::string_view unreadable(std::size_t size) { return {"x", size}; }

TEST(WriteSet, IsEmptyAtFirst) {
  WriteSet set;
  EXPECT_TRUE(set.empty());
  EXPECT_EQ(set.bytes(), kRecordHeaderBytes);
  EXPECT_EQ(set.operations() + set.events(), 0u);
}

TEST(WriteSet, CountsWhatIsInIt) {
  WriteSet set = filled();
  set.put("l", "longer value").append({.type = "type", .tags = {"c:3"}, .payload = "payload"});
  EXPECT_FALSE(set.empty());
  EXPECT_EQ(set.puts(), 2u);
  EXPECT_EQ(set.deletes(), 1u);
  EXPECT_EQ(set.operations(), 3u);
  EXPECT_EQ(set.events(), 2u);
  EXPECT_EQ(set.tags(), 3u);
  EXPECT_EQ(set.largest_value(), 12u);
  EXPECT_EQ(set.largest_event(), 3u + 4u + (1u + 3u) + 7u);
  EXPECT_EQ(set.bytes(), RecordBuilder::bytes(set).size());
}

TEST(WriteSet, KeyHas1To511Bytes) {
  WriteSet set;
  set.put(std::string(511, 'k'), "").del(std::string(511, 'k')).put(std::string(1, '\0'), "zero byte");
  EXPECT_EQ(set.operations(), 3u);
  expect_refused(ErrorCode::KeyEmpty, [](WriteSet& s) { s.put("", "v"); });
  expect_refused(ErrorCode::KeyEmpty, [](WriteSet& s) { s.del(""); });
  expect_refused(ErrorCode::KeyTooLarge, [](WriteSet& s) { s.put(std::string(512, 'k'), "v"); });
  expect_refused(ErrorCode::KeyTooLarge, [](WriteSet& s) { s.del(std::string(512, 'k')); });
}

TEST(WriteSet, EventTypeHas1To255Bytes) {
  WriteSet set;
  set.append({.type = std::string(255, 't'), .tags = {}, .payload = ""});
  EXPECT_EQ(set.events(), 1u);
  expect_refused(ErrorCode::EventTypeInvalid, [](WriteSet& s) { s.append({.type = "", .tags = {}, .payload = "p"}); });
  std::string long_type(256, 't');
  expect_refused(ErrorCode::EventTypeInvalid,
                 [&](WriteSet& s) { s.append({.type = long_type, .tags = {}, .payload = "p"}); });
}

TEST(WriteSet, TagsAreDistinctHave1To255BytesAndNoZeroByte) {
  std::string longest(255, 'x');
  std::string too_long(256, 'x');
  WriteSet set;
  set.append(event_with_tags({"a:b", longest}));
  EXPECT_EQ(set.tags(), 2u);
  expect_refused(ErrorCode::TagInvalid, [](WriteSet& s) { s.append(event_with_tags({"a:b", ""})); });
  expect_refused(ErrorCode::TagInvalid, [&](WriteSet& s) { s.append(event_with_tags({too_long})); });
  expect_refused(ErrorCode::TagInvalid, [](WriteSet& s) { s.append(event_with_tags({std::string_view("a\0b", 3)})); });
  expect_refused(ErrorCode::TagInvalid, [](WriteSet& s) { s.append(event_with_tags({"a:b", "c:d", "a:b"})); });
}

TEST(WriteSet, EventHasAtMost64Tags) {
  std::vector<std::string> names;
  for (int i = 0; i < 65; ++i) names.push_back("t:" + std::to_string(i));
  std::vector<std::string_view> tags(names.begin(), names.end());
  expect_refused(ErrorCode::TooManyTags, [&](WriteSet& s) { s.append(event_with_tags(tags)); });
  tags.pop_back();
  WriteSet set;
  set.append(event_with_tags(tags));
  EXPECT_EQ(set.tags(), 64u);
}

TEST(WriteSet, IsSmallerThan4GiB) {
  constexpr std::size_t k4GiB = std::size_t{1} << 32;
  for (std::size_t size : {k4GiB - 1, k4GiB, k4GiB + 100, std::size_t{1} << 62}) {
    expect_refused(ErrorCode::TransactionTooLarge, [&](WriteSet& s) { s.put("k", unreadable(size)); });
    expect_refused(ErrorCode::TransactionTooLarge,
                   [&](WriteSet& s) { s.append({.type = "t", .tags = {}, .payload = unreadable(size)}); });
  }
  expect_refused(ErrorCode::EventTooLarge, [](WriteSet& s) {
    s.append({.type = "t", .tags = {}, .payload = "", .metadata = unreadable(k4GiB)});
  });
}

TEST(WriteSet, HasAtMostAMillionOperationsAndEvents) {
  WriteSet set;
  for (std::size_t i = 0; i < limits::kMaxOperations / 2; ++i) {
    set.put("k", "");
    set.append({.type = "t", .tags = {}, .payload = ""});
  }
  EXPECT_EQ(set.operations() + set.events(), limits::kMaxOperations);
  auto before = state_of(set);
  const std::function<void()> calls[] = {[&] { set.put("k", "v"); }, [&] { set.del("k"); },
                                         [&] { set.append({.type = "t", .tags = {}, .payload = ""}); }};
  for (const auto& call : calls) {
    try {
      call();
      ADD_FAILURE() << "one more was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::TooManyOperations) << error.what();
    }
    EXPECT_TRUE(state_of(set) == before);
  }
}

TEST(WriteSet, ACopyIsASetOfItsOwn) {
  WriteSet set = filled();
  WriteSet copy = set;
  copy.put("more", "v");
  EXPECT_EQ(state_of(set), state_of(filled()));
  set = copy;
  EXPECT_EQ(state_of(set), state_of(copy));
}

TEST(WriteSet, AMovedFromSetIsEmptyAndUsable) {
  WriteSet set = filled();
  WriteSet target = std::move(set);
  EXPECT_EQ(state_of(target), state_of(filled()));
  EXPECT_TRUE(set.empty());  // NOLINT(bugprone-use-after-move): what this test is about
  EXPECT_EQ(set.largest_value() + set.largest_event() + set.tags(), 0u);

  set.put("k", "value").del("gone").append({.type = "t", .tags = {"a:1", "b:2"}, .payload = "p"});
  EXPECT_EQ(state_of(set), state_of(filled()));

  target = WriteSet();
  EXPECT_TRUE(target.empty());
  target = std::move(set);
  EXPECT_EQ(state_of(target), state_of(filled()));
}

}  // namespace
}  // namespace azoth::test
