#include "journal_reader.h"

#include <gtest/gtest.h>

#include "azoth/core/codec.h"
#include "azoth/core/error.h"
#include "journal_driver.h"
#include "support/sim_disk.h"

namespace azoth::test {
namespace {

constexpr std::uint64_t kNumber = 4;
constexpr std::uint64_t kFileBytes = 3 << 20;  // larger than what is read at once

class SegmentReaderTest : public testing::Test {
 protected:
  SegmentReaderTest() {
    disk_.make_directory("/j");
    file_ = disk_.open(std::filesystem::path("/j") / segment_name(kNumber), FileSystem::Mode::Create);
    file_->write_at(0, std::string(kFileBytes, '\0'));
  }

  void put(std::uint64_t offset, CommitSeq commit, std::size_t bytes, std::uint64_t number = kNumber) {
    std::string batch(kBatchHeaderBytes + bytes, 'x');
    BatchHeader header;
    header.first_commit = header.last_commit = commit;
    header.encode(batch, batch_seed(test_identity(), number));
    file_->write_at(offset, batch);
  }

  SegmentReader reader() { return {disk_, "/j", test_identity(), kNumber}; }

  SimDisk disk_;
  std::unique_ptr<File> file_;
};

TEST_F(SegmentReaderTest, ReadsABatchWhole) {
  put(4096, 9, 100);
  SegmentReader segment = reader();
  auto batch = segment.read(4096);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->first_commit, 9u);
  EXPECT_EQ(segment.records(), std::string(100, 'x'));
  EXPECT_FALSE(segment.read(4096 + 64));
  EXPECT_FALSE(segment.read(0));
}

TEST_F(SegmentReaderTest, NeverReadsBehindTheEnd) {
  SegmentReader segment = reader();
  for (std::uint64_t offset : {kFileBytes - 1, kFileBytes - 63, kFileBytes, kFileBytes + 64, UINT64_MAX - 63, UINT64_MAX}) {
    EXPECT_FALSE(segment.read(offset)) << offset;
  }
  put(kFileBytes - 64, 1, 64);  // makes the file longer
  file_->truncate(kFileBytes);  // and cuts the batch
  EXPECT_FALSE(reader().read(kFileBytes - 64));
}

TEST_F(SegmentReaderTest, SearchFindsABatchAtEveryPlace) {
  for (std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{4096}, (std::uint64_t{1} << 20) - 64, std::uint64_t{1} << 20,
                               (std::uint64_t{1} << 20) + 4096, (std::uint64_t{2} << 20) - 64, kFileBytes - 64}) {
    put(offset, 5, 0);
    SegmentReader segment = reader();
    auto found = segment.search(0);
    ASSERT_TRUE(found) << offset;
    EXPECT_EQ(found->offset, offset);
    EXPECT_EQ(found->header.first_commit, 5u);
    EXPECT_FALSE(segment.search(offset + 1)) << offset;
    file_->write_at(offset, std::string(64, '\0'));
  }
}

TEST_F(SegmentReaderTest, SearchPassesOverWhatIsNoBatchOfThisSegment) {
  put(4096, 1, 500, kNumber - 1);  // of an earlier life of the file
  put(8192, 2, 500);
  file_->write_at(8192 + 300, "!");  // damaged
  put(12288, 3, 500);
  SegmentReader segment = reader();
  auto found = segment.search(0);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->offset, 12288u);
}

TEST(ForEachRecord, VisitsWholeRecordsOnly) {
  std::string records = make_record(1, 10) + make_record(2, 0) + make_record(3, 100);
  auto visit = [](std::string_view bytes) {
    std::vector<CommitSeq> seqs;
    for_each_record(bytes, [&](std::string_view record) { seqs.push_back(RecordReader(record).header().commit_seq); });
    return seqs;
  };
  EXPECT_EQ(visit(records), (std::vector<CommitSeq>{1, 2, 3}));
  EXPECT_TRUE(visit("").empty());
  std::size_t first = make_record(1, 10).size();
  std::size_t second = first + make_record(2, 0).size();
  for (std::size_t size = 1; size < records.size(); ++size) {
    if (size == first || size == second) continue;
    EXPECT_THROW(visit(std::string_view(records).substr(0, size)), Error) << size;
  }
  for (std::uint32_t length : {0u, 39u, 0xffffffffu}) {
    std::string damaged = records;
    codec::store(damaged.data(), length);
    EXPECT_THROW(visit(damaged), Error) << length;
  }
}

}  // namespace
}  // namespace azoth::test
