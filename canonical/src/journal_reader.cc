#include "journal_reader.h"

#include <algorithm>

#include "azoth/core/codec.h"
#include "azoth/core/error.h"
#include "record.h"

namespace azoth {

namespace {
constexpr std::size_t kWindowBytes = std::size_t{1} << 20;
}

SegmentReader::SegmentReader(FileSystem& fs, const std::filesystem::path& directory, const JournalIdentity& identity,
                             std::uint64_t number)
    : number_(number),
      path_(directory / segment_name(number)),
      seed_(batch_seed(identity, number)),
      file_(fs.open(path_, FileSystem::Mode::Read)),
      bytes_(file_->size()) {}

std::optional<BatchHeader> SegmentReader::read(std::uint64_t offset) {
  if (bytes_ < kBatchHeaderBytes || offset > bytes_ - kBatchHeaderBytes) return std::nullopt;
  buffer_.resize(kBatchHeaderBytes);
  if (file_->read_at(offset, buffer_.data(), kBatchHeaderBytes) < kBatchHeaderBytes) return std::nullopt;
  auto header = BatchHeader::decode(buffer_, bytes_ - offset, seed_);
  if (!header) return std::nullopt;
  buffer_.resize(header->length);
  std::size_t rest = header->length - kBatchHeaderBytes;
  if (file_->read_at(offset + kBatchHeaderBytes, buffer_.data() + kBatchHeaderBytes, rest) < rest) return std::nullopt;
  if (!BatchHeader::checksum_matches(buffer_, seed_)) return std::nullopt;
  return header;
}

std::optional<SegmentReader::Found> SegmentReader::search(std::uint64_t offset) {
  for (offset = align_batch(offset); offset + kBatchHeaderBytes <= bytes_; offset += kBatchAlignment) {
    if (!fill_window(offset)) return std::nullopt;
    std::string_view here = std::string_view(window_).substr(offset - window_at_, kBatchHeaderBytes);
    if (!BatchHeader::decode(here, bytes_ - offset, seed_)) continue;
    if (auto header = read(offset)) return Found{offset, *header};
  }
  return std::nullopt;
}

bool SegmentReader::fill_window(std::uint64_t offset) {
  if (offset >= window_at_ && offset + kBatchHeaderBytes <= window_at_ + window_.size()) return true;
  window_.resize(std::min<std::uint64_t>(kWindowBytes, bytes_ - offset));
  window_.resize(file_->read_at(offset, window_.data(), window_.size()));
  window_at_ = offset;
  return window_.size() >= kBatchHeaderBytes;
}

void for_each_record(std::string_view records, const std::function<void(std::string_view)>& each) {
  while (!records.empty()) {
    std::uint32_t length = records.size() < kRecordHeaderBytes ? 0 : codec::load<std::uint32_t>(records.data());
    if (length < kRecordHeaderBytes || length > records.size()) {
      throw Error(ErrorCode::Corruption, "a journal batch does not hold whole records");
    }
    each(records.substr(0, length));
    records.remove_prefix(length);
  }
}

}  // namespace azoth
