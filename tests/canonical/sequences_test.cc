// The allocator of sequences alone, over rows in memory.
#include "sequences.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "azoth/canonical/write_set.h"
#include "azoth/core/limits.h"
#include "record.h"
#include "store_support.h"
#include "support/seed.h"

namespace azoth {
namespace {

using test::code_of;
using test::message_of;

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

// What the allocator stands on: rows, of which a crash loses nothing.
struct FakeRows {
  std::mutex mutex;
  std::map<std::string, SequenceBlock> rows;
  std::vector<std::pair<std::string, SequenceBlock>> reservations;
  std::atomic<ErrorCode> refuse_all{};
  std::atomic<ErrorCode> refuse_reservations{};
  CommitSeq commit = 0;

  static void refuse(ErrorCode code) {
    if (code != ErrorCode{}) throw Error(code, "refused by the test");
  }

  Sequences::Backing backing() {
    return {.check = [this] { refuse(refuse_all.load()); },
            .load =
                [this](std::string_view name) {
                  std::lock_guard lock(mutex);
                  auto row = rows.find(std::string(name));
                  return row == rows.end() ? std::nullopt : std::optional(row->second);
                },
            .reserve =
                [this](std::string_view name, const SequenceBlock& block, Durability, Deadline) {
                  refuse(refuse_reservations.load());
                  std::lock_guard lock(mutex);
                  rows[std::string(name)] = block;
                  reservations.emplace_back(name, block);
                  return ++commit;
                }};
  }

  void apply(WriteSet& set) {
    if (set.empty()) return;
    RecordBuilder::seal(set, ++commit, Timestamp{}, 0);
    RecordReader reader(RecordBuilder::bytes(set));
    while (auto entry = reader.next()) {
      ASSERT_EQ(entry->kind, RecordEntry::Kind::Set);
      ASSERT_EQ(entry->space, Space::Sequence);
      rows[std::string(entry->key)] = decode_block(entry->key, entry->value);
    }
  }
};

class SequencesTest : public testing::Test {
 protected:
  std::uint64_t next(std::uint64_t n = 1, std::string_view name = "s") {
    return sequences_->allocate(name, n, Durability::Durable, kNoDeadline).first;
  }
  ErrorCode refusal(std::uint64_t n = 1) {
    return code_of([&] { return next(n); });
  }
  std::uint64_t peek(std::string_view name = "s") { return next(0, name); }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> blocks() {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> blocks;
    for (const auto& [name, block] : rows_.reservations) blocks.emplace_back(block.base, block.size);
    return blocks;
  }
  using Blocks = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

  void crash() { sequences_.emplace(block_size_, rows_.backing()); }
  void return_rests() {
    WriteSet set;
    sequences_->return_rests(set);
    rows_.apply(set);
    sequences_->rests_returned();
  }
  void restart() {
    sequences_->close();
    return_rests();
    crash();
  }
  void use_blocks_of(std::uint64_t size) {
    block_size_ = size;
    crash();
  }

  FakeRows rows_;
  std::uint64_t block_size_ = 4096;
  std::optional<Sequences> sequences_{std::in_place, block_size_, rows_.backing()};
};

// --- The row

TEST(SequenceBlock, IsTwoBigEndianNumbers) {
  std::string row = encode_block({.base = 0x0102030405060708, .size = 0x1000});
  EXPECT_EQ(row, std::string("\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\x10\0", 16));
  EXPECT_EQ(decode_block("s", row).base, 0x0102030405060708u);
  EXPECT_EQ(decode_block("s", row).size, 0x1000u);
}

TEST(SequenceBlock, ComesBackAsItWas) {
  for (SequenceBlock block : {SequenceBlock{0, 0}, {1000, 100}, {kMax, 0}, {0, kMax}, {kMax - 5, 5}}) {
    SequenceBlock back = decode_block("s", encode_block(block));
    EXPECT_EQ(back.base, block.base);
    EXPECT_EQ(back.size, block.size);
    EXPECT_EQ(back.end(), block.base + block.size);
  }
}

TEST(SequenceBlock, AnythingElseIsCorruptionAndNamesTheSequence) {
  std::string row = encode_block({.base = 1, .size = 2});
  for (const std::string& bad :
       {std::string(), row.substr(0, 15), row + 'x', encode_block({.base = kMax, .size = 1})}) {
    EXPECT_EQ(code_of([&] { return decode_block("invoice", bad); }), ErrorCode::Corruption) << bad.size();
    EXPECT_NE(message_of([&] { return decode_block("invoice", bad); }).find("invoice"), std::string::npos);
  }
}

// --- Allocating

TEST_F(SequencesTest, BeginsAtZeroWithABlock) {
  EXPECT_EQ(peek(), 0u);
  EXPECT_EQ(blocks(), Blocks{});
  EXPECT_EQ(next(), 0u);
  EXPECT_EQ(next(), 1u);
  EXPECT_EQ(next(), 2u);
  EXPECT_EQ(blocks(), (Blocks{{0, 4096}}));
}

TEST_F(SequencesTest, ARequestLargerThanABlockGetsABlockOfItsSize) {
  EXPECT_EQ(next(8192), 0u);
  EXPECT_EQ(next(), 8192u);
  EXPECT_EQ(blocks(), (Blocks{{0, 8192}, {8192, 4096}}));
}

TEST_F(SequencesTest, OneReservationServesABlockOfNumbers) {
  for (std::uint64_t i = 0; i < 3 * 4096; ++i) ASSERT_EQ(next(), i);
  EXPECT_EQ(blocks(), (Blocks{{0, 4096}, {4096, 4096}, {8192, 4096}}));
}

TEST_F(SequencesTest, RangesAreContiguousAcrossBlocks) {
  EXPECT_EQ(next(4086), 0u);
  EXPECT_EQ(next(25), 4086u);  // ten of the old block
  EXPECT_EQ(next(), 4111u);
  EXPECT_EQ(blocks(), (Blocks{{0, 4096}, {4096, 4096}}));
}

TEST_F(SequencesTest, TheRestOfABlockAndMoreThanAnotherOneAreOneRange) {
  next(3996);
  EXPECT_EQ(next(4596), 3996u);  // 100 of the old block
  EXPECT_EQ(peek(), 3996u + 4596u);
  EXPECT_EQ(blocks(), (Blocks{{0, 4096}, {4096, 4496}}));
}

TEST_F(SequencesTest, ExactlyTheRestReservesNothing) {
  next(100);
  EXPECT_EQ(next(3996), 100u);
  EXPECT_EQ(blocks().size(), 1u);
  EXPECT_EQ(next(), 4096u);
  EXPECT_EQ(blocks().size(), 2u);
}

TEST_F(SequencesTest, NothingIsUsedUpByAskingForNone) {
  EXPECT_EQ(next(10), 0u);
  EXPECT_EQ(next(0), 10u);
  EXPECT_EQ(next(0), 10u);
  EXPECT_EQ(sequences_->peek("s"), std::optional<std::uint64_t>(10));
  EXPECT_EQ(next(5), 10u);
  EXPECT_EQ(blocks().size(), 1u);
}

TEST_F(SequencesTest, EachRangeTellsTheCommitItRestsOn) {
  use_blocks_of(10);
  auto commit = [&](std::uint64_t n) {
    return sequences_->allocate("s", n, Durability::Durable, kNoDeadline).reserved_by;
  };
  EXPECT_EQ(commit(0), 0u);
  EXPECT_EQ(commit(4), 1u);
  EXPECT_EQ(commit(6), 1u);
  EXPECT_EQ(commit(1), 2u);
  EXPECT_EQ(commit(10), 3u) << "a part of it is in the new block";
}

TEST_F(SequencesTest, NamesAreIndependent) {
  EXPECT_EQ(next(5, "a"), 0u);
  EXPECT_EQ(next(7, "b"), 0u);
  EXPECT_EQ(next(1, "a"), 5u);
  EXPECT_EQ(next(1, "b"), 7u);
  EXPECT_EQ(sequences_->peek("c"), std::nullopt);
}

TEST_F(SequencesTest, ABlockOfOneReservesEachTime) {
  use_blocks_of(1);
  for (std::uint64_t i = 0; i < 5; ++i) EXPECT_EQ(next(), i);
  EXPECT_EQ(next(3), 5u);
  EXPECT_EQ(blocks(), (Blocks{{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 3}}));
}

TEST_F(SequencesTest, NamesHaveOneTo128Bytes) {
  EXPECT_EQ(next(1, std::string(limits::kMaxSequenceNameBytes, 'n')), 0u);
  EXPECT_EQ(next(1, std::string("\0\xFF", 2)), 0u);
  std::string longer(limits::kMaxSequenceNameBytes + 1, 'n');
  for (const std::string& bad : {std::string(), longer}) {
    EXPECT_EQ(code_of([&] { return next(1, bad); }), ErrorCode::InvalidArgument);
  }
  std::string message = message_of([&] { return next(1, longer); });
  EXPECT_NE(message.find("129"), std::string::npos) << message;
  EXPECT_NE(message.find("128"), std::string::npos) << message;
  EXPECT_EQ(rows_.rows.size(), 2u);
}

// --- The end

TEST_F(SequencesTest, TheLastNumbersAreHandedOutAndThenItIsExhausted) {
  rows_.rows["s"] = {.base = kMax - 11, .size = 1};
  EXPECT_EQ(next(3), kMax - 10);
  EXPECT_EQ(blocks(), (Blocks{{kMax - 10, 10}})) << "a block ends at the end";
  EXPECT_EQ(refusal(8), ErrorCode::SequenceExhausted);
  EXPECT_EQ(refusal(kMax), ErrorCode::SequenceExhausted);
  EXPECT_EQ(peek(), kMax - 7) << "what was refused has changed something";
  EXPECT_EQ(next(6), kMax - 7);
  EXPECT_EQ(next(1), kMax - 1);
  EXPECT_EQ(refusal(1), ErrorCode::SequenceExhausted);
  EXPECT_EQ(peek(), kMax);
  EXPECT_EQ(blocks().size(), 1u);
  std::string message = message_of([&] { return next(2); });
  EXPECT_NE(message.find("0 numbers left"), std::string::npos) << message;
}

TEST_F(SequencesTest, AllNumbersAtOnce) {
  EXPECT_EQ(next(kMax), 0u);
  EXPECT_EQ(refusal(), ErrorCode::SequenceExhausted);
  crash();
  EXPECT_EQ(refusal(), ErrorCode::SequenceExhausted);
}

TEST_F(SequencesTest, TooManyFromAFreshSequenceChangesNothing) {
  next(1);
  EXPECT_EQ(refusal(kMax), ErrorCode::SequenceExhausted);
  EXPECT_EQ(next(kMax - 1), 1u);
}

// --- Refusals

TEST_F(SequencesTest, AReservationThatFailsLeavesTheBlockAsItWas) {
  use_blocks_of(10);
  EXPECT_EQ(next(7), 0u);
  for (ErrorCode code : {ErrorCode::Backpressure, ErrorCode::NoSpace, ErrorCode::Sealed, ErrorCode::StoreFailed}) {
    rows_.refuse_reservations = code;
    EXPECT_EQ(refusal(4), code);
    EXPECT_EQ(peek(), 7u);
  }
  EXPECT_EQ(next(1), 7u) << "the block has numbers left";
  rows_.refuse_reservations = ErrorCode{};
  EXPECT_EQ(next(4), 8u);
  EXPECT_EQ(blocks(), (Blocks{{0, 10}, {10, 10}}));
}

TEST_F(SequencesTest, AFirstReservationThatFailsLeavesNothing) {
  rows_.refuse_reservations = ErrorCode::NoSpace;
  EXPECT_EQ(refusal(), ErrorCode::NoSpace);
  return_rests();
  EXPECT_TRUE(rows_.rows.empty());
  rows_.refuse_reservations = ErrorCode{};
  EXPECT_EQ(next(), 0u);
}

TEST_F(SequencesTest, NothingIsHandedOutWhileItIsRefusedNotEvenFromABlock) {
  next();
  rows_.refuse_all = ErrorCode::Paused;
  EXPECT_EQ(refusal(), ErrorCode::Paused);
  EXPECT_EQ(sequences_->peek("s"), std::optional<std::uint64_t>(1));
  EXPECT_EQ(code_of([&] { return next(1, "other"); }), ErrorCode::Paused);
  EXPECT_EQ(sequences_->peek("other"), std::nullopt) << "something is kept for a name that was refused";
  rows_.refuse_all = ErrorCode{};
  EXPECT_EQ(next(), 1u);
  sequences_->close();
  EXPECT_EQ(refusal(), ErrorCode::Closed);
}

// Whoever has been let in before, and comes to the sequence when its rest has been returned.
TEST_F(SequencesTest, WhoComesLateIsRefusedAndLeavesNoGap) {
  next(10);
  Sequences::Backing backing = rows_.backing();
  bool late = false;
  backing.check = [&] {
    if (!std::exchange(late, false)) return;
    sequences_->close();
    return_rests();
  };
  sequences_.emplace(4096, backing);
  EXPECT_EQ(next(), 4096u);
  late = true;
  EXPECT_EQ(refusal(), ErrorCode::Closed);
  EXPECT_EQ(blocks().size(), 2u);
  crash();
  EXPECT_EQ(next(), 4097u);
}

TEST_F(SequencesTest, ARowThatCannotBeReadIsAnErrorEachTime) {
  Sequences::Backing backing = rows_.backing();
  bool damaged = true;
  backing.load = [&](std::string_view name) -> std::optional<SequenceBlock> {
    return decode_block(name, damaged ? "short" : encode_block({.base = 5, .size = 5}));
  };
  sequences_.emplace(4096, backing);
  EXPECT_EQ(refusal(), ErrorCode::Corruption);
  EXPECT_EQ(refusal(), ErrorCode::Corruption);
  EXPECT_EQ(sequences_->peek("s"), std::nullopt);
  EXPECT_TRUE(blocks().empty());
  damaged = false;
  EXPECT_EQ(next(), 10u);
}

// --- Returning the rest, and crashes

TEST_F(SequencesTest, ACrashGivesUpTheRestOfTheBlock) {
  next(2048);
  crash();
  EXPECT_EQ(peek(), 4096u);
  EXPECT_EQ(next(4096), 4096u);
  crash();
  EXPECT_EQ(next(), 8192u);
}

TEST_F(SequencesTest, AReturnedRestLeavesNoGap) {
  next(10);
  next(20, "t");
  restart();
  EXPECT_EQ(rows_.rows["s"].base, 10u);
  EXPECT_EQ(rows_.rows["s"].size, 0u);
  EXPECT_EQ(peek(), 10u);
  EXPECT_EQ(next(), 10u);
  EXPECT_EQ(next(1, "t"), 20u);
  EXPECT_EQ(blocks().back(), (std::pair<std::uint64_t, std::uint64_t>(20, 4096)));
}

TEST_F(SequencesTest, OnlyWhatHasARestIsReturned) {
  use_blocks_of(10);
  next(10);
  next(0, "unused");
  next(3, "rest");
  WriteSet set;
  sequences_->return_rests(set);
  EXPECT_EQ(set.operations(), 1u);
  rows_.apply(set);
  EXPECT_EQ(rows_.rows["rest"].base, 3u);
  sequences_->rests_returned();
  WriteSet again;
  sequences_->return_rests(again);
  EXPECT_TRUE(again.empty()) << "it was returned already";
  EXPECT_EQ(next(1, "rest"), 3u) << "it goes on without a gap";
  EXPECT_EQ(blocks().back(), (std::pair<std::uint64_t, std::uint64_t>(3, 10)));
}

TEST_F(SequencesTest, ARestThatCouldNotBeReturnedIsReturnedTheNextTime) {
  next(10);
  WriteSet lost;
  sequences_->return_rests(lost);
  EXPECT_EQ(lost.operations(), 1u);
  restart();
  EXPECT_EQ(next(), 10u);
}

TEST_F(SequencesTest, ALostReturnIsSafe) {
  next(10);
  WriteSet lost;
  sequences_->return_rests(lost);
  EXPECT_EQ(next(5), 10u);  // of a block that begins at 10
  EXPECT_EQ(rows_.rows["s"].end(), 10u + 4096u);
  crash();
  EXPECT_EQ(next(), 10u + 4096u);
}

TEST_F(SequencesTest, ReturningTheRestAddsToWhatTheSetHas) {
  next(3);
  WriteSet set;
  RecordBuilder::put(set, Space::Meta, "seal", "x");
  RecordBuilder::del(set, Space::Meta, "seal");
  sequences_->return_rests(set);
  EXPECT_EQ(set.operations(), 3u);
  EXPECT_EQ(set.puts(), 0u) << "the store's own operations are not the user's";
  EXPECT_EQ(set.deletes(), 0u);
  set.put("k", "v").del("l");
  EXPECT_EQ(set.operations(), 5u);
  EXPECT_EQ(set.puts(), 1u);
  EXPECT_EQ(set.deletes(), 1u);
}

TEST_F(SequencesTest, ARandomHistoryAgreesWithAModel) {
  std::mt19937_64 random(test::test_seed());
  for (int run = 0; run < 50; ++run) {
    rows_.rows.clear();
    use_blocks_of(1 + random() % 40);
    std::map<std::string, std::uint64_t> expected;  // the next number
    for (int step = 0; step < 400; ++step) {
      std::string name(1, static_cast<char>('a' + random() % 3));
      switch (random() % 20) {
        case 0:
          restart();
          break;
        case 1:
          crash();
          for (auto& [used, least] : expected) {
            std::uint64_t found = peek(used);
            ASSERT_GE(found, least);
            ASSERT_LE(found - least, block_size_) << "the gap is larger than a block";
            least = found;
          }
          break;
        case 2:
          return_rests();
          break;
        case 3: {
          rows_.refuse_reservations = ErrorCode::NoSpace;
          ASSERT_EQ(code_of([&] { return next(100, name); }), ErrorCode::NoSpace);
          rows_.refuse_reservations = ErrorCode{};
          break;
        }
        default: {
          std::uint64_t n = random() % 60;
          ASSERT_EQ(next(n, name), expected[name]);
          expected[name] += n;
          ASSERT_EQ(peek(name), expected[name]);
        }
      }
    }
  }
}

// --- Threads

TEST_F(SequencesTest, ThreadsGetRangesOfTheirOwnWithoutGaps) {
  use_blocks_of(7);
  constexpr int kThreads = 8;
  std::vector<std::vector<std::pair<std::uint64_t, std::uint64_t>>> got(kThreads);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      std::mt19937_64 random(static_cast<std::uint64_t>(thread));
      std::uint64_t last = 0;
      for (int i = 0; i < 500; ++i) {
        std::uint64_t n = 1 + random() % 12;
        std::uint64_t first = next(n);
        EXPECT_GE(first, last) << "not increasing";
        last = first + n;
        got[static_cast<std::size_t>(thread)].emplace_back(first, n);
        next(1, "other" + std::to_string(random() % 4));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<std::pair<std::uint64_t, std::uint64_t>> all;
  for (const auto& some : got) all.insert(all.end(), some.begin(), some.end());
  std::sort(all.begin(), all.end());
  std::uint64_t end = 0;
  for (auto [first, n] : all) {
    ASSERT_EQ(first, end);
    end = first + n;
  }
  EXPECT_EQ(peek(), end);
}

// Nobody takes numbers of a rest that is being returned, and none is lost.
TEST_F(SequencesTest, ReturningRestsBesideThreadsLeavesNoGap) {
  use_blocks_of(16);
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::set<std::uint64_t> got;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      while (!stop.load()) {
        try {
          std::uint64_t number = next();
          std::lock_guard lock(mutex);
          ASSERT_TRUE(got.insert(number).second) << number << " was handed out twice";
        } catch (const Error& error) {
          ASSERT_EQ(error.code(), ErrorCode::Paused);
          std::this_thread::yield();
        }
      }
    });
  }
  for (int round = 0; round < 200; ++round) {
    rows_.refuse_all = ErrorCode::Paused;
    WriteSet set;
    sequences_->return_rests(set);
    {
      std::lock_guard lock(rows_.mutex);
      rows_.apply(set);
    }
    sequences_->rests_returned();
    rows_.refuse_all = ErrorCode{};
    std::this_thread::yield();
  }
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sequences_->peek("s").value_or(0), got.size()) << "there is a gap";
}

}  // namespace
}  // namespace azoth
