#include "record.h"

#include <gtest/gtest.h>

#include <random>
#include <utility>

#include "azoth/core/codec.h"
#include "azoth/core/error.h"
#include "guarded_bytes.h"
#include "support/seed.h"

namespace azoth::test {
namespace {

constexpr Timestamp kTime{std::chrono::microseconds{1'700'000'000'123'456}};

std::string sealed(WriteSet set, CommitSeq seq = 7, EventId first_event = 40) {
  RecordBuilder::seal(set, seq, kTime, first_event);
  return RecordBuilder::take(std::move(set));
}

std::string small_record() {
  WriteSet set;
  set.put("balance/alice", "100").del("old");
  set.append({.type = "deposited", .tags = {"account:alice", "bank:x"}, .payload = "{}", .metadata = "m", .time = kTime});
  return sealed(std::move(set));
}

// Reads all of a record; the views of each entry must lie inside it.
std::size_t walk(std::string_view record) {
  RecordReader reader(record);
  std::size_t entries = 0;
  auto inside = [&](std::string_view part) {
    if (part.empty()) return true;
    return part.data() >= record.data() && part.data() + part.size() <= record.data() + record.size();
  };
  while (auto entry = reader.next()) {
    EXPECT_TRUE(inside(entry->key) && inside(entry->value));
    if (entry->kind == RecordEntry::Kind::Event) {
      EventView event(1, 1, kTime, entry->value);
      EXPECT_TRUE(inside(event.type()) && inside(event.metadata()) && inside(event.payload()));
      for (std::string_view tag : event.tags()) EXPECT_TRUE(inside(tag));
    } else {
      EXPECT_TRUE(!entry->key.empty() && entry->key.size() <= 511);
    }
    ++entries;
  }
  return entries;
}

// False: refused as Corruption. Anything else fails the test.
bool readable(std::string_view record) {
  try {
    walk(record);
    return true;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Corruption) << error.what();
    return false;
  }
}

std::string with_u32(std::string record, std::size_t at, std::uint32_t value) {
  codec::store(record.data() + at, value);
  return record;
}

// A record whose entries are these bytes.
std::string around(std::string_view entries, std::uint32_t operations, std::uint32_t events) {
  std::string record(kRecordHeaderBytes, '\0');
  record += entries;
  record = with_u32(std::move(record), 0, static_cast<std::uint32_t>(record.size()));
  return with_u32(with_u32(std::move(record), 4, operations), 8, events);
}

TEST(Record, KeepsOperationsAndEventsInOrder) {
  WriteSet set;
  set.put("a", "1").append({.type = "t1", .tags = {"k:v"}, .payload = "p1"}).del("b").put("a", "");
  set.append({.type = "t2", .tags = {}, .payload = ""});
  RecordBuilder::put(set, Space::Sequence, "numbers", "9");
  RecordBuilder::del(set, Space::Command, "command");
  RecordBuilder::put(set, Space::Meta, "m", std::string("\0\xff", 2));
  std::string record = sealed(std::move(set), 12, 90);

  RecordReader reader(record);
  EXPECT_EQ(reader.header().length, record.size());
  EXPECT_EQ(reader.header().operations, 6u);
  EXPECT_EQ(reader.header().events, 2u);
  EXPECT_EQ(reader.header().commit_seq, 12u);
  EXPECT_EQ(reader.header().time, kTime);
  EXPECT_EQ(reader.header().first_event, 90u);
  EXPECT_EQ(reader.header().last_event(), 91u);
  auto expect_operation = [&](RecordEntry::Kind kind, Space space, std::string_view key, std::string_view value) {
    auto entry = reader.next();
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->kind, kind);
    EXPECT_EQ(entry->space, space);
    EXPECT_EQ(entry->key, key);
    EXPECT_EQ(entry->value, value);
  };
  auto expect_event = [&](std::string_view type, std::string_view payload) {
    auto entry = reader.next();
    ASSERT_TRUE(entry);
    ASSERT_EQ(entry->kind, RecordEntry::Kind::Event);
    EventView event(1, 12, kTime, entry->value);
    EXPECT_EQ(event.type(), type);
    EXPECT_EQ(event.payload(), payload);
  };
  expect_operation(RecordEntry::Kind::Set, Space::State, "a", "1");
  expect_event("t1", "p1");
  expect_operation(RecordEntry::Kind::Unset, Space::State, "b", "");
  expect_operation(RecordEntry::Kind::Set, Space::State, "a", "");
  expect_event("t2", "");
  expect_operation(RecordEntry::Kind::Set, Space::Sequence, "numbers", "9");
  expect_operation(RecordEntry::Kind::Unset, Space::Command, "command", "");
  expect_operation(RecordEntry::Kind::Set, Space::Meta, "m", std::string_view("\0\xff", 2));
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.next()) << "the end is the end";
}

TEST(Record, WithoutEventsNamesNoEvent) {
  WriteSet set;
  set.put("k", "v");
  std::string record = sealed(std::move(set), 3, 55);
  EXPECT_EQ(RecordReader(record).header().first_event, 0u);
  EXPECT_EQ(RecordReader(record).header().last_event(), 0u);
}

TEST(Record, LayoutIsTheOneInTheManual) {
  WriteSet set;
  set.put("k", "val").del("old");
  std::string record = sealed(std::move(set), 0x0102030405060708, 1);
  std::string expected;
  codec::append(expected, std::uint32_t{40 + 12 + 7});
  codec::append(expected, std::uint32_t{2});
  codec::append(expected, std::uint32_t{0});
  codec::append(expected, std::uint32_t{0});
  codec::append(expected, std::uint64_t{0x0102030405060708});
  codec::append(expected, std::int64_t{1'700'000'000'123'456});
  codec::append(expected, std::uint64_t{0});
  expected += std::string("\x01\x00\x01\x00\x03\x00\x00\x00kval", 12);
  expected += std::string("\x02\x00\x03\x00old", 7);
  EXPECT_EQ(record, expected);
}

TEST(Record, SealingAMovedFromSetMakesAnEmptyRecord) {
  WriteSet set;
  set.put("k", "v");
  WriteSet other = std::move(set);
  RecordBuilder::seal(set, 5, kTime, 1);  // NOLINT(bugprone-use-after-move): what this test is about
  RecordReader reader(RecordBuilder::bytes(set));
  EXPECT_EQ(reader.header().commit_seq, 5u);
  EXPECT_FALSE(reader.next());
}

TEST(Record, TakingARecordEmptiesItsSet) {
  WriteSet set;
  set.put("k", "v").append({.type = "t", .tags = {"a:b"}, .payload = "p"});
  std::string record = sealed(std::move(set));
  EXPECT_TRUE(set.empty());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(set.tags(), 0u);
  set.put("l", "w");
  std::string second = sealed(std::move(set));
  EXPECT_EQ(walk(second), 1u);
}

TEST(RecordReader, RefusesEveryTruncation) {
  std::string record = small_record();
  for (std::size_t size = 0; size < record.size(); ++size) {
    GuardedBytes cut(std::string_view(record).substr(0, size));
    EXPECT_FALSE(readable(cut.view())) << "cut to " << size;
    if (size < kRecordHeaderBytes) continue;
    GuardedBytes adapted(with_u32(record.substr(0, size), 0, static_cast<std::uint32_t>(size)));
    EXPECT_FALSE(readable(adapted.view())) << "cut to " << size << " with an adapted length";
  }
}

TEST(RecordReader, NeverReadsOutsideWhateverOneByteBecomes) {
  std::string record = small_record();
  int accepted = 0;
  for (std::size_t at = 0; at < record.size(); ++at) {
    GuardedBytes bytes(record);
    for (int value = 0; value < 256; ++value) {
      bytes.data()[at] = static_cast<char>(value);
      accepted += readable(bytes.view()) ? 1 : 0;
    }
  }
  EXPECT_GT(accepted, 0) << "a changed letter of a key is not malformed";
}

TEST(RecordReader, NeverReadsOutsideOfNoise) {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 20'000; ++round) {
    std::string record = small_record();
    for (std::uint64_t changes = 1 + random() % 6; changes > 0; --changes) {
      std::size_t at = 4 + random() % (record.size() - 4);
      record[at] = static_cast<char>(random() % 3 == 0 ? 0xff : random() % 4);
    }
    GuardedBytes bytes(record);
    readable(bytes.view());
  }
}

TEST(RecordReader, RefusesCountsThatItsEntriesDoNotHave) {
  std::string record = small_record();  // two operations, one event
  EXPECT_TRUE(readable(record));
  for (std::uint32_t operations : {0u, 1u, 3u, 0xffffffffu}) EXPECT_FALSE(readable(with_u32(record, 4, operations)));
  for (std::uint32_t events : {0u, 2u, 0xffffffffu}) EXPECT_FALSE(readable(with_u32(record, 8, events)));
  // Counts of missing entries whose sum wraps to zero.
  EXPECT_FALSE(readable(around("", 0x80000000u, 0x80000000u)));
  EXPECT_FALSE(readable(around("", 1, 0xffffffffu)));
  EXPECT_TRUE(readable(around("", 0, 0)));
}

TEST(RecordReader, RefusesEachMalformedEntry) {
  auto set = [](char kind, char space, std::uint16_t key, std::uint32_t value, std::string_view rest) {
    std::string entry{kind, space};
    codec::append(entry, key);
    if (kind == 1) codec::append(entry, value);
    entry += rest;
    return around(entry, 1, 0);
  };
  EXPECT_TRUE(readable(set(1, 0, 1, 1, "kv")));
  EXPECT_TRUE(readable(set(2, 3, 1, 0, "k")));
  EXPECT_FALSE(readable(set(0, 0, 1, 1, "kv"))) << "kind 0";
  EXPECT_FALSE(readable(set(4, 0, 1, 1, "kv"))) << "kind 4";
  EXPECT_FALSE(readable(set(1, 4, 1, 1, "kv"))) << "space 4";
  EXPECT_FALSE(readable(set(1, 0, 0, 1, "v"))) << "an empty key";
  EXPECT_FALSE(readable(set(1, 0, 512, 0, std::string(512, 'k')))) << "a key of 512 bytes";
  EXPECT_TRUE(readable(set(1, 0, 511, 0, std::string(511, 'k'))));
  EXPECT_FALSE(readable(set(1, 0, 1, 2, "kv"))) << "a value that is too short";
  EXPECT_FALSE(readable(set(1, 0, 1, 0xffffffffu, "kv"))) << "a value of 4 GiB";
  EXPECT_FALSE(readable(set(1, 0, 1, 0, "kv"))) << "a byte too many";
  std::string event{3};
  codec::append(event, std::uint32_t{4});
  EXPECT_TRUE(readable(around(event + std::string("\0\1\0t", 4), 0, 1)));
  EXPECT_FALSE(readable(around(event + std::string("\0\0\0t", 4), 0, 1))) << "an event without a type";
  EXPECT_FALSE(readable(around(event + std::string("\0\1\0t", 4), 1, 0))) << "an event that was not counted";
}

}  // namespace
}  // namespace azoth::test
