// Conditions on events: what they mean, wherever the events are that they are about: in LMDB, in a Delta, or come only
// between their evaluation and the transaction's place in the order.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "event_condition_support.h"

namespace azoth::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

enum class Place { Lmdb, FrozenDelta, FillingDelta, Sequencer };

void PrintTo(Place place, std::ostream* to) {
  *to << std::array{"Lmdb", "FrozenDelta", "FillingDelta", "Sequencer"}[static_cast<std::size_t>(place)];
}

std::string name_of(const testing::TestParamInfo<Place>& info) { return testing::PrintToString(info.param); }

class EventConditionAt : public EventConditionTest, public testing::WithParamInterface<Place> {
 protected:
  // What a decision comes to when these events are there before it, at the place.
  EventId decide_with(const std::vector<Given>& events, const Condition& condition) {
    auto add_all = [&] {
      for (const Given& event : events) add(event);
    };
    store_->checkpoint();
    switch (GetParam()) {
      case Place::Lmdb:
        add_all();
        store_->checkpoint();
        return in_the_way(decide({condition}));
      case Place::FrozenDelta: {
        LmdbIsFull full;
        add_all();
        if (!events.empty()) full.freeze(*store_);
        EXPECT_EQ(store_->status().live_deltas, events.empty() ? 1u : 2u);
        return in_the_way(decide({condition}));
      }
      case Place::FillingDelta:
        add_all();
        return in_the_way(decide({condition}));
      case Place::Sequencer:
        break;
    }
    clock_.set([&] { std::jthread other(add_all); });
    return in_the_way(decide({condition}));
  }

  // The same; the answer is the place of the event in the list, from 1 on.
  std::size_t which_of(const std::vector<Given>& events, const std::vector<EventPattern>& patterns) {
    EventId before = last();
    EventId event = decide_with(events, Condition::no_event(patterns, before));
    return event == 0 ? 0 : event - before;
  }
};

INSTANTIATE_TEST_SUITE_P(EventsAre, EventConditionAt,
                         testing::Values(Place::Lmdb, Place::FrozenDelta, Place::FillingDelta, Place::Sequencer),
                         name_of);

// --- No event of some kind

TEST_P(EventConditionAt, AnEventThatFitsIsInTheWay) {
  EXPECT_EQ(which_of({{"t", {"a"}}}, {{.tags = {"a"}}}), 1u);
  EXPECT_EQ(which_of({{"t", {"b"}}, {"t", {"a"}}, {"t", {"a"}}}, {{.tags = {"a"}}}), 2u);
  EXPECT_EQ(which_of({{"t", {"b"}}, {"t", {}}}, {{.tags = {"a"}}}), 0u);
  EXPECT_EQ(which_of({{"t", {"aa"}}, {"t", {"a:1"}}, {"a", {"b"}}}, {{.tags = {"a"}}}), 0u);
}

TEST_P(EventConditionAt, AnyOfItsTypes) {
  std::vector<EventPattern> patterns = {{.types = {"x", "y"}, .tags = {"a"}}};
  EXPECT_EQ(which_of({{"z", {"a"}}, {"y", {"a"}}, {"x", {"a"}}}, patterns), 2u);
  EXPECT_EQ(which_of({{"x", {"b"}}, {"xx", {"a"}}, {"x", {"a"}}}, patterns), 3u);
  EXPECT_EQ(which_of({{"z", {"a"}}, {"x", {"b"}}}, patterns), 0u);
}

TEST_P(EventConditionAt, AllOfItsTags) {
  std::vector<EventPattern> patterns = {{.tags = {"a", "b"}}};
  EXPECT_EQ(which_of({{"t", {"a"}}, {"t", {"b"}}, {"t", {"c", "b", "a"}}, {"t", {"a", "b"}}}, patterns), 3u);
  EXPECT_EQ(which_of({{"t", {"a"}}, {"t", {"b"}}, {"t", {"a", "c"}}}, patterns), 0u);
}

TEST_P(EventConditionAt, AnyOfItsPatternsAndTheFirstEventIsNamed) {
  std::vector<EventPattern> patterns = {{.tags = {"a"}}, {.types = {"x"}, .tags = {"b"}}, {.tags = {"c", "d"}}};
  EXPECT_EQ(which_of({{"t", {"b"}}, {"x", {"b"}}, {"t", {"a"}}}, patterns), 2u);
  EXPECT_EQ(which_of({{"t", {"a"}}, {"x", {"b"}}, {"t", {"c", "d"}}}, patterns), 1u);
  EXPECT_EQ(which_of({{"t", {"c"}}, {"t", {"d", "c"}}, {"x", {"b"}}, {"t", {"a"}}}, patterns), 2u);
  EXPECT_EQ(which_of({{"t", {"b"}}, {"t", {"c"}}, {"x", {"d"}}}, patterns), 0u);
}

TEST_P(EventConditionAt, WhatCameBeforeThePositionIsNotInTheWay) {
  std::vector<EventPattern> patterns = {{.tags = {"a"}}};
  add({"t", {"a"}});
  EXPECT_TRUE(decide({Condition::no_event(patterns, 1)}));
  EXPECT_EQ(which_of({{"t", {"b"}}}, patterns), 0u);
  EXPECT_EQ(which_of({{"t", {"a"}}, {"t", {"a"}}}, patterns), 1u);
}

// --- The version of a tag

TEST_P(EventConditionAt, ATagIsAtItsVersionOrNot) {
  auto at = [&](ExpectedVersion version) { return Condition::tag_version("a", version); };
  EXPECT_EQ(decide_with({}, at(ExpectedVersion::none())), 0u);                             // event 1 is the decision
  EXPECT_EQ(decide_with({{"t", {"b"}}, {"t", {"aa"}}}, at(ExpectedVersion::none())), 0u);  // up to 4
  EXPECT_EQ(decide_with({{"t", {"a"}}, {"t", {"b"}}}, at(ExpectedVersion::any())), 0u);    // up to 7; the tag is at 5
  EXPECT_EQ(decide_with({}, at(ExpectedVersion::exists())), 0u);
  EXPECT_EQ(decide_with({}, at(ExpectedVersion::exactly(5))), 0u);
  EXPECT_EQ(decide_with({}, at(ExpectedVersion::exactly(4))), 5u);
  EXPECT_EQ(decide_with({{"t", {"b"}}}, at(ExpectedVersion::exactly(5))), 0u);
  EventId next = last() + 1;
  EXPECT_EQ(decide_with({{"t", {"a"}}, {"t", {"a", "b"}}}, at(ExpectedVersion::exactly(5))), next + 1);
  EXPECT_EQ(decide_with({}, at(ExpectedVersion::none())), next + 1);
  EXPECT_EQ(decide_with({{"t", {"a"}}}, at(ExpectedVersion::exists())), 0u);
}

TEST_P(EventConditionAt, ANewTagHasAnEventNow) {
  EXPECT_EQ(
      decide_with({{"t", {"b"}}, {"t", {"a"}}, {"t", {"a"}}}, Condition::tag_version("a", ExpectedVersion::none())),
      3u);
}

TEST_F(EventConditionTest, EachConditionCounts) {
  EventId before = last();
  auto conditions = [&](const char* first, const char* second) {
    return std::vector{Condition::no_event({{.tags = {first}}}, before), Condition::key_absent("k"),
                       Condition::no_event({{.tags = {second}}}, before)};
  };
  clock_.set([&] { std::jthread other([&] { add({"t", {"a"}}); }); });
  EXPECT_EQ(in_the_way(decide(conditions("b", "a"))), before + 1);
  EXPECT_EQ(in_the_way(decide(conditions("a", "b"))), before + 1);
}

TEST_F(EventConditionTest, ARejectionNamesTheTagAndWhatWasExpected) {
  auto failure = [&](ExpectedVersion version) {
    return decide({Condition::tag_version("a", version)}).rejection().failures.at(0);
  };
  FailedCondition none = failure(ExpectedVersion::exists());
  EXPECT_EQ(none.tag, "a");
  EXPECT_EQ(none.event, 0u);
  EXPECT_THAT(none.message, AllOf(HasSubstr("no event"), HasSubstr("exists")));
  EXPECT_THAT(failure(ExpectedVersion::exactly(17)).message, AllOf(HasSubstr("no event"), HasSubstr("17")));
  add({"t", {"a"}});
  EXPECT_THAT(failure(ExpectedVersion::none()).message, AllOf(HasSubstr("event 1"), HasSubstr("none")));
}

// --- Positions

TEST_F(EventConditionTest, APositionAheadOfTheLogIsARejection) {
  Condition ahead = Condition::no_event({{.tags = {"a"}}}, 1);
  auto outcome = decide({ahead});
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.rejection().message(), AllOf(HasSubstr("position 1"), HasSubstr("ahead of the log")));
  EXPECT_EQ(last(), 0u);
  EXPECT_TRUE(decide({Condition::no_event({{.tags = {"a"}}}, 0)}));
  EXPECT_TRUE(decide({ahead})) << "the log has come to it";
  EXPECT_FALSE(decide({Condition::no_event({{.tags = {"a"}}}, 3)}));
}

// The first of them lies in an older Delta than what the first pattern finds.
TEST_F(EventConditionTest, TheFirstEventIsNamedAcrossDeltas) {
  std::vector<EventPattern> patterns = {{.tags = {"a"}}, {.tags = {"b"}}};
  add({"t", {"x"}});
  LmdbIsFull full;
  clock_.set([&] {
    std::jthread other([&] {
      add({"t", {"b"}});
      full.freeze(*store_);
      add({"t", {"a"}});
    });
  });
  EXPECT_EQ(in_the_way(decide({Condition::no_event(patterns, 1)})), 2u);
  EXPECT_EQ(in_the_way(decide({Condition::no_event(patterns, 1)})), 2u);
  EXPECT_EQ(in_the_way(decide({Condition::tag_version("b", ExpectedVersion::none())})), 2u);
}

TEST_F(EventConditionTest, OfATagsVersionsTheNewestCountsAcrossDeltas) {
  add({"t", {"a"}});
  LmdbIsFull full;
  clock_.set([&] {
    std::jthread other([&] {
      add({"t", {"a"}});
      full.freeze(*store_);
      add({"t", {"a"}});
      add({"t", {"x"}});
    });
  });
  EXPECT_EQ(in_the_way(decide({Condition::tag_version("a", ExpectedVersion::exactly(1))})), 3u);
}

// --- Errors

TEST(EventCondition, WhatNoEventCouldHaveCannotBeAskedFor) {
  auto no_event = [](std::vector<EventPattern> patterns) {
    return code_of([&] { Condition::no_event(std::move(patterns), 0); });
  };
  std::vector<std::string> too_many;
  for (std::size_t i = 0; i <= limits::kMaxTags; ++i) too_many.push_back("tag" + std::to_string(i));
  EXPECT_EQ(no_event({}), ErrorCode::InvalidArgument);
  EXPECT_EQ(no_event({{.tags = {"a"}}, {.types = {"t"}}}), ErrorCode::InvalidArgument);
  EXPECT_EQ(no_event({{.types = {""}, .tags = {"a"}}}), ErrorCode::EventTypeInvalid);
  EXPECT_EQ(no_event({{.types = {"t", std::string(limits::kMaxTypeBytes + 1, 't')}, .tags = {"a"}}}),
            ErrorCode::EventTypeInvalid);
  EXPECT_EQ(no_event({{.tags = {"a", ""}}}), ErrorCode::TagInvalid);
  EXPECT_EQ(no_event({{.tags = {std::string("a\0b", 3)}}}), ErrorCode::TagInvalid);
  EXPECT_EQ(no_event({{.tags = {std::string(limits::kMaxTagBytes + 1, 'a')}}}), ErrorCode::TagInvalid);
  EXPECT_EQ(no_event({{.tags = too_many}}), ErrorCode::TooManyTags);
  EXPECT_EQ(no_event({{.types = {std::string(limits::kMaxTypeBytes, 't')}, .tags = {"a"}}}), ErrorCode{});
  EXPECT_EQ(code_of([] { Condition::tag_version("", ExpectedVersion::any()); }), ErrorCode::TagInvalid);
  EXPECT_EQ(code_of([] { ExpectedVersion::exactly(0); }), ErrorCode::InvalidArgument);
}

TEST_F(EventConditionTest, AGuardedReadIsRefusedTheSame) {
  ReadTxn read = store_->read();
  EXPECT_EQ(code_of([&] { read.guarded({}); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([&] { read.guarded({{.types = {"t"}}}); }), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of([&] { read.guarded({{.tags = {""}}}); }), ErrorCode::TagInvalid);
}

}  // namespace
}  // namespace azoth::test
