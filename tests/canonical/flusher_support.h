// A small store whose flusher is kept busy.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "write_path_support.h"

namespace azoth::test {

inline const std::string kLarge(10'000, 'v');  // a few of them fill a tiny Delta

// A store of the smallest size: it freezes and changes segments every few commits.
class FlusherTest : public WritePath {
 protected:
  // Commits until the flusher is busy with the first Delta, both places for frozen ones are taken, and memory is used up.
  int fill_memory(Durability level = Durability::Applied) {
    int commits = 0;
    while (true) {
      WriteSet set = set_of("key" + std::to_string(commits), kLarge);
      auto code = code_of([&] { return store_->submit(set, {}, {.level = level, .timeout = std::chrono::milliseconds{5}}); });
      if (code == ErrorCode::Backpressure && store_->status().live_deltas == 3) return commits;
      EXPECT_TRUE(code == ErrorCode{} || code == ErrorCode::Backpressure) << error_name(code);
      if (code == ErrorCode{}) ++commits;
    }
  }

  void expect_keys(int count) {
    ReadTxn snapshot = store_->read(Durability::Applied);
    for (int i = 0; i < count; ++i) EXPECT_EQ(snapshot.get("key" + std::to_string(i)), kLarge) << i;
  }

  TestStore store_{tiny_options()};
};

}  // namespace azoth::test
