// apply --ack, killed: what is left is held against the invariants (support/invariants.h), with what was acknowledged.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "program.h"
#include "support/invariants.h"
#include "support/seed.h"

namespace azoth::test {
namespace {

constexpr int kKills = 10;
constexpr int kLinesEach = 12'000;
constexpr int kKeys = 40;
constexpr Timestamp kTime = std::chrono::sys_days{std::chrono::year{2026} / 1 / 1};

int events_of(int n) { return n % 4; }

// The n-th transaction, from 1: puts one of a few keys, deletes another, appends none to three events.
std::string line_of(int n) {
  std::string line = "{\"put\":{\"k" + std::to_string(n % kKeys) + "\":\"" + std::to_string(n) + "\"},\"del\":[\"k" +
                     std::to_string((n + 7) % kKeys) + "\"],\"events\":[";
  for (int i = 0; i < events_of(n); ++i) {
    line += std::string(i == 0 ? "" : ",") + R"({"type":"t","tags":["n:)" + std::to_string(n) + R"("],"time":"2026-01-01T00:00:00Z","payload":)" +
            std::to_string(n) + "}";
  }
  return line + "]}\n";
}

// What it does.
Step step_of(int n) {
  Step step;
  step.deletes.push_back("k" + std::to_string((n + 7) % kKeys));
  step.puts.emplace_back("k" + std::to_string(n % kKeys), std::to_string(n));
  for (int i = 0; i < events_of(n); ++i) {
    step.events.push_back({.type = "t",
                           .tags = {"n:" + std::to_string(n)},
                           .payload = std::to_string(n),
                           .metadata = "",
                           .time = kTime});
  }
  return step;
}

class Kill : public testing::TestWithParam<const char*> {
 protected:
  // Applies lines from the one after `done` on, kills the program after some acks, answers the last acknowledged line.
  int run_and_kill(int done, std::size_t acks_before_kill) {
    std::string input;
    for (int n = done + 1; n <= done + kLinesEach; ++n) input += line_of(n);
    std::filesystem::path file = store_.file("input.jsonl");
    write_file(file, input);
    Child child(store_.arguments({"apply", file.string(), "--ack", "--durability", GetParam()}));
    int acked = done;
    std::uint64_t events = 0;
    // What is not read fits no pipe: it cannot have ended before it is killed.
    for (std::size_t i = 0; i < acks_before_kill; ++i) {
      std::optional<std::string> ack = child.read_line();
      if (!ack) break;
      acked = check_ack(*ack, acked, done, events);
    }
    child.kill();
    while (std::optional<std::string> ack = child.read_line()) acked = check_ack(*ack, acked, done, events);
    EXPECT_EQ(child.finish().signal, 9);
    return acked;
  }

  int check_ack(const std::string& text, int acked, int done, std::uint64_t& last_event) {
    Json ack = Json::parse(text);
    int n = acked + 1;
    EXPECT_EQ(ack["line"], n - done);
    EXPECT_EQ(ack["commit"], n);
    if (events_of(n) == 0) {
      EXPECT_TRUE(ack["first_event"].is_null());
    } else {
      EXPECT_EQ(ack["last_event"].get<int>() - ack["first_event"].get<int>() + 1, events_of(n));
      if (last_event != 0) {
        EXPECT_EQ(ack["first_event"], last_event + 1);
      }
      last_event = ack["last_event"].get<std::uint64_t>();
    }
    return n;
  }

  // The store holds exactly the first `lines` lines: line n is commit n.
  void expect_prefix(int lines) {
    Order order;
    for (int n = 1; n <= lines; ++n) order[static_cast<CommitSeq>(n)] = n;
    const History history(step_of, order, order.size());
    Promises promises;
    promises.steps = step_of;
    promises.history = &history;
    promises.durable = order.size();
    Options options;
    options.segment_bytes = std::size_t{256} << 10;
    options.delta_bytes = std::size_t{1} << 20;
    options.map_bytes = std::size_t{64} << 20;
    const Violations found = check({.store = store_.path(), .options = options}, promises);
    EXPECT_TRUE(found.empty()) << found.text();
  }

  StoreDir store_;
};

TEST_P(Kill, WhatWasAcknowledgedIsThereAndNothingIsInBetween) {
  std::mt19937_64 random(test_seed());
  store_.init();
  int done = 0;
  for (int round = 0; round < kKills; ++round) {
    int acked = run_and_kill(done, 1 + random() % 5000);
    int lines = store_.ok({"--json", "status"}).json()["last_commit"].get<int>();
    EXPECT_GE(lines, acked) << "round " << round;
    EXPECT_LE(lines, done + kLinesEach);
    done = lines;
  }
  store_.ok({"verify"});
  expect_prefix(done);
}

INSTANTIATE_TEST_SUITE_P(AtEachLevel, Kill, testing::Values("written", "durable"),
                         [](const auto& suite) { return std::string(suite.param); });

// A client that does not know how far it came sends everything again.
TEST(KillAndSendAgain, EachLineWithACommandIsAppliedOnce) {
  constexpr int kLines = 12'000;
  std::mt19937_64 random(test_seed());
  StoreDir store;
  store.init();
  std::string input;
  for (int n = 1; n <= kLines; ++n) {
    std::string id = std::to_string(n);
    input += "{\"command\":\"request-" + id + "\",\"put\":{\"n\":\"" + id +
             "\"},\"events\":[{\"type\":\"t\",\"payload\":" + id + "}]}\n";
  }
  std::filesystem::path file = store.file("input.jsonl");
  write_file(file, input);
  std::size_t known = 0;  // lines that an earlier run has acknowledged
  for (int round = 0; round < 3; ++round) {
    Child child(store.arguments({"apply", file.string(), "--ack", "--durability", "written"}));
    // What is not read fits no pipe: it cannot have ended before it is killed.
    std::size_t acks_before_kill = known + 1 + random() % 1000;
    std::size_t acked = 0;
    auto check = [&](const std::string& text) {
      Json ack = Json::parse(text);
      ++acked;
      EXPECT_EQ(ack["line"], acked);
      EXPECT_EQ(ack["commit"], acked) << "round " << round;
      EXPECT_EQ(ack["first_event"], acked);
      if (acked <= known) {
        EXPECT_TRUE(ack.contains("already_applied")) << "line " << acked << " in round " << round;
      }
    };
    while (acked < acks_before_kill) {
      std::optional<std::string> ack = child.read_line();
      ASSERT_TRUE(ack) << "round " << round;
      check(*ack);
    }
    child.kill();
    while (std::optional<std::string> ack = child.read_line()) check(*ack);
    EXPECT_EQ(child.finish().signal, 9);
    known = std::max(known, acked);
  }
  int there = store.ok({"--json", "status"}).json()["last_commit"].get<int>();
  EXPECT_GE(there, static_cast<int>(known));
  EXPECT_LT(there, kLines) << "every run was killed before its end";
  Json summary = store.ok({"apply", file.string(), "--json"}).json();
  EXPECT_EQ(summary["repeated"], there);
  EXPECT_EQ(summary["transactions"], kLines - there);
  std::vector<Json> events = store.ok({"events", "--json"}).json_lines();
  ASSERT_EQ(events.size(), static_cast<std::size_t>(kLines));
  for (int n = 1; n <= kLines; ++n) EXPECT_EQ(events[n - 1]["payload"], n);
  EXPECT_EQ(store.ok({"get", "n"}).out, std::to_string(kLines) + "\n");
  store.ok({"verify"});
}

}  // namespace
}  // namespace azoth::test
