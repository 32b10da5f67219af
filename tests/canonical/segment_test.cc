#include "segment.h"

#include <gtest/gtest.h>

#include "azoth/core/codec.h"
#include "journal_driver.h"

namespace azoth::test {
namespace {

SegmentHeader header_seven() {
  return {.number = 7,
          .first_commit = 100,
          .previous_number = 5,
          .previous_valid_bytes = 8192,
          .previous_checksum = 0x1234567890abcdef};
}

constexpr std::uint64_t kRoom = 1 << 20;

std::string encoded_batch(BatchHeader& header, std::string_view records, std::uint64_t seed) {
  std::string batch(kBatchHeaderBytes, '\0');
  batch += records;
  header.encode(batch, seed);
  return batch;
}

BatchHeader some_batch() {
  return {.first_commit = 3, .last_commit = 5, .synced_through = 2, .lmdb_through = 1, .previous_checksum = 77};
}

// Whether these bytes pass for a batch, as a reader checks it.
bool passes(std::string_view batch, std::uint64_t seed) {
  auto header = BatchHeader::decode(batch, batch.size(), seed);
  return header && header->length == batch.size() && BatchHeader::checksum_matches(batch, seed);
}

TEST(SegmentHeader, IsReadAsItWasWritten) {
  SegmentHeader header = header_seven();
  std::string bytes = header.encode(test_identity());
  EXPECT_EQ(bytes.size(), kSegmentHeaderBytes);
  auto read = SegmentHeader::decode(bytes, test_identity(), 7);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->number, 7u);
  EXPECT_EQ(read->first_commit, 100u);
  EXPECT_EQ(read->previous_number, 5u);
  EXPECT_EQ(read->previous_valid_bytes, 8192u);
  EXPECT_EQ(read->previous_checksum, 0x1234567890abcdefu);
  EXPECT_EQ(read->checksum, header.checksum);
}

TEST(SegmentHeader, OfAnotherStoreTimelineOrNumberIsNone) {
  SegmentHeader header = header_seven();
  std::string bytes = header.encode(test_identity());
  EXPECT_FALSE(SegmentHeader::decode(bytes, test_identity(9, 2), 7));
  EXPECT_FALSE(SegmentHeader::decode(bytes, test_identity(1, 9), 7));
  EXPECT_FALSE(SegmentHeader::decode(bytes, test_identity(), 8));
}

TEST(SegmentHeader, WithAnyBitFlippedIsNone) {
  SegmentHeader header = header_seven();
  std::string bytes = header.encode(test_identity());
  constexpr std::size_t kUsed = 92;
  for (std::size_t bit = 0; bit < kUsed * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(SegmentHeader::decode(damaged, test_identity(), 7)) << "bit " << bit;
  }
}

// It stands behind the rest, under a checksum of its own, because files from before have zeros there.
TEST(SegmentHeader, OfASizeThatWasChangedNoneIsKnown) {
  SegmentHeader header = header_seven();
  header.file_bytes = 65536;
  const std::string bytes = header.encode(test_identity());
  EXPECT_EQ(SegmentHeader::decode(bytes, test_identity(), 7)->file_bytes, 65536u);
  for (std::size_t bit = 92 * 8; bit < 108 * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const auto decoded = SegmentHeader::decode(damaged, test_identity(), 7);
    ASSERT_TRUE(decoded) << "bit " << bit;
    EXPECT_EQ(decoded->file_bytes, 0u) << "bit " << bit;
  }
}

TEST(SegmentHeader, FitsInOneSector) {
  // What is torn at sector boundaries is then there whole or not at all.
  SegmentHeader header = header_seven();
  header.first_commit = header.previous_valid_bytes = header.previous_checksum = UINT64_MAX;
  EXPECT_LE(header.encode(test_identity()).find_last_not_of('\0') + 1, 512u);
}

TEST(SegmentHeader, CutShortIsNone) {
  SegmentHeader header = header_seven();
  std::string bytes = header.encode(test_identity());
  for (std::size_t size = 0; size < 92; ++size) {
    EXPECT_FALSE(SegmentHeader::decode(std::string_view(bytes).substr(0, size), test_identity(), 7)) << size;
  }
}

TEST(SegmentHeader, WithoutACommitOrBeforeItsPredecessorIsNone) {
  SegmentHeader no_commit = header_seven();
  no_commit.first_commit = 0;
  EXPECT_FALSE(SegmentHeader::decode(no_commit.encode(test_identity()), test_identity(), 7));
  SegmentHeader circle = header_seven();
  circle.previous_number = 7;
  EXPECT_FALSE(SegmentHeader::decode(circle.encode(test_identity()), test_identity(), 7));
}

TEST(BatchHeader, IsReadAsItWasWritten) {
  std::uint64_t seed = batch_seed(test_identity(), 7);
  BatchHeader header = some_batch();
  std::string batch = encoded_batch(header, "records", seed);
  auto read = BatchHeader::decode(batch, kRoom, seed);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->checksum, header.checksum);
  EXPECT_EQ(read->length, kBatchHeaderBytes + 7);
  EXPECT_EQ(read->first_commit, 3u);
  EXPECT_EQ(read->last_commit, 5u);
  EXPECT_EQ(read->synced_through, 2u);
  EXPECT_EQ(read->lmdb_through, 1u);
  EXPECT_EQ(read->previous_checksum, 77u);
  EXPECT_TRUE(BatchHeader::checksum_matches(batch, seed));
}

TEST(BatchHeader, BelongsToOneStoreTimelineAndSegment) {
  BatchHeader header = some_batch();
  std::string batch = encoded_batch(header, "records", batch_seed(test_identity(), 7));
  EXPECT_TRUE(passes(batch, batch_seed(test_identity(), 7)));
  EXPECT_FALSE(passes(batch, batch_seed(test_identity(), 8)));
  EXPECT_FALSE(passes(batch, batch_seed(test_identity(9, 2), 7)));
  EXPECT_FALSE(passes(batch, batch_seed(test_identity(1, 9), 7)));
  EXPECT_FALSE(passes(batch, batch_seed(test_identity(2, 1), 7))) << "store and timeline exchanged";
  // The checksum alone tells them apart, whatever the header's own check says.
  EXPECT_FALSE(BatchHeader::checksum_matches(batch, batch_seed(test_identity(), 8)));
}

TEST(BatchHeader, WithAnyBitFlippedIsNoBatch) {
  std::uint64_t seed = batch_seed(test_identity(), 7);
  BatchHeader header = some_batch();
  std::string batch = encoded_batch(header, "some records", seed);
  for (std::size_t bit = 0; bit < batch.size() * 8; ++bit) {
    std::string damaged = batch;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(passes(damaged, seed)) << "bit " << bit;
    EXPECT_FALSE(BatchHeader::checksum_matches(damaged, seed)) << "bit " << bit;
  }
}

TEST(BatchHeader, IsRefusedWithoutReadingWhatFollowsUnlessItWasWrittenAsOne) {
  std::uint64_t seed = batch_seed(test_identity(), 7);
  BatchHeader header = some_batch();
  std::string batch = encoded_batch(header, "records", seed);
  for (std::size_t at = 8; at < kBatchHeaderBytes; ++at) {
    std::string damaged = batch;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    EXPECT_FALSE(BatchHeader::decode(damaged, kRoom, seed)) << "byte " << at;
  }
}

TEST(BatchHeader, MustEndInTheRoomThereIs) {
  std::uint64_t seed = batch_seed(test_identity(), 7);
  BatchHeader header = some_batch();
  std::string batch = encoded_batch(header, "records", seed);
  EXPECT_TRUE(BatchHeader::decode(batch, batch.size(), seed));
  EXPECT_FALSE(BatchHeader::decode(batch, batch.size() - 1, seed));
  EXPECT_FALSE(BatchHeader::decode(std::string_view(batch).substr(0, kBatchHeaderBytes - 1), kRoom, seed));
}

TEST(BatchHeader, NamesARangeOfCommits) {
  std::uint64_t seed = batch_seed(test_identity(), 7);
  for (auto [first, last] : {std::pair<CommitSeq, CommitSeq>{0, 1}, {0, 0}, {5, 4}}) {
    BatchHeader header = some_batch();
    header.first_commit = first;
    header.last_commit = last;
    std::string batch = encoded_batch(header, "records", seed);
    EXPECT_FALSE(BatchHeader::decode(batch, kRoom, seed)) << first << " to " << last;
  }
}

TEST(SegmentName, IsTheNumberAndSortsLikeIt) {
  EXPECT_EQ(segment_name(7), "0000000000000007.seg");
  EXPECT_EQ(segment_name(1234567890123456), "1234567890123456.seg");
  for (std::uint64_t number : {std::uint64_t{1}, std::uint64_t{10}, std::uint64_t{9999999999999999},
                               std::uint64_t{10000000000000000}, UINT64_MAX / 10, UINT64_MAX - 10}) {
    EXPECT_EQ(parse_segment_name(segment_name(number)), number);
  }
  EXPECT_LT(segment_name(99), segment_name(100));
}

TEST(SegmentName, NothingElseIsOne) {
  for (const char* name :
       {"", ".seg", "7.seg", "0000000000000000.seg", "0000000000000007.SEG", "0000000000000007.seg.tmp",
        "000000000000007.seg", "00000000000000007.seg", "000000000000000x.seg", "-000000000000007.seg",
        " 000000000000007.seg", "0000000000000007seg", "99999999999999999999999.seg", "lost+found"}) {
    EXPECT_FALSE(parse_segment_name(name)) << name;
  }
}

TEST(Segment, BatchesAreAlignedTo64Bytes) {
  EXPECT_EQ(align_batch(0), 0u);
  EXPECT_EQ(align_batch(1), 64u);
  EXPECT_EQ(align_batch(64), 64u);
  EXPECT_EQ(align_batch(65), 128u);
}

}  // namespace
}  // namespace azoth::test
