// For tests of conditions on events: a store whose decisions can be held up at the right moment.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "azoth/canonical/condition.h"
#include "store_support.h"
#include "write_path_support.h"

namespace azoth::test {

// Runs something once, when a transaction looks at the time: behind the evaluation of its conditions, before its place
// in the order.
class HookClock final : public Clock {
 public:
  Timestamp now() override {
    if (auto hook = std::exchange(hook_, nullptr)) hook();
    return Clock::system().now();
  }
  void set(std::function<void()> hook) { hook_ = std::move(hook); }

 private:
  std::function<void()> hook_;
};

struct Given {
  std::string type;
  std::vector<std::string> tags;
};

class EventConditionTest : public WritePath {
 protected:
  EventConditionTest() : store_(options()) {}

  Options options() {
    Options options = quiet_options();
    options.clock = &clock_;
    return options;
  }

  CommitInfo add(const Given& given, Durability level = Durability::Applied) {
    WriteSet set;
    set.append({.type = given.type, .tags = {given.tags.begin(), given.tags.end()}, .payload = ""});
    return submit(*store_, std::move(set), level).info();
  }
  EventId last() { return store_->read(Durability::Applied).last_event(); }

  Outcome<Ticket> decide(const std::vector<Condition>& conditions, Durability level = Durability::Applied) {
    return store_->submit(event_of("decided", "none"), conditions, {.level = level});
  }
  // The event that is in the way, 0 if the conditions hold.
  static EventId in_the_way(const Outcome<Ticket>& outcome) {
    if (outcome) return 0;
    EXPECT_EQ(outcome.rejection().failures.size(), 1u);
    EventId event = outcome.rejection().failures.front().event;
    EXPECT_THAT(outcome.rejection().message(), testing::HasSubstr(std::to_string(event)));
    return event;
  }

  HookClock clock_;
  TestStore store_;
};

}  // namespace azoth::test
