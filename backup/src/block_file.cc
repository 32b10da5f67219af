#include "block_file.h"

#include <algorithm>
#include <utility>

#include "azoth/core/codec.h"

namespace azoth::backup {

using block_format::kBlockHeaderBytes;

BlockFileWriter::BlockFileWriter(FileSystem& fs, const std::filesystem::path& path, const FileIdentity& identity,
                                 const BlockOptions& options)
    : path_(path) {
  if (options.block_bytes < block_format::kMinBlockBytes || options.block_bytes > block_format::kMaxBlockBytes) {
    throw Error(ErrorCode::InvalidArgument, "a snapshot file has blocks of " +
                                                std::to_string(block_format::kMinBlockBytes) + " to " +
                                                std::to_string(block_format::kMaxBlockBytes) + " bytes, not " +
                                                std::to_string(options.block_bytes));
  }
  check_compression_level(options.compression_level);
  if (identity.shard >= identity.shards) {
    throw Error(ErrorCode::InvalidArgument, "there is no shard " + std::to_string(identity.shard) + " of " +
                                                std::to_string(identity.shards) + "; shards are numbered from 0");
  }
  header_.identity = identity;
  header_.compressed = options.compression_level > 0;
  header_.block_bytes = options.block_bytes;
  if (header_.compressed) compressor_ = std::make_unique<Compressor>(options.compression_level);
  if (options.key != nullptr) {
    header_.key_id = options.key->id();
    Secret secret;
    block_format::file_key(*options.key, header_, secret);
    encryption_ = std::make_unique<EncryptingStream>(secret);
    header_.stream_header = encryption_->header();
  }
  raw_.reserve(header_.block_bytes);
  block_.reserve(kBlockHeaderBytes + header_.block_bytes + kStreamOverhead);
  file_ = fs.open(path, FileSystem::Mode::Create);
  const std::string header = encode(header_);
  seed_ = block_format::file_seed(header);
  write(header);
}

BlockFileWriter::~BlockFileWriter() {
  if (header_.encrypted()) wipe(raw_.data(), raw_.size());
}

void BlockFileWriter::require_open() const {
  if (open_) return;
  throw Error(ErrorCode::InvalidArgument,
              "nothing can be added to " + path_.native() + ": it is finished, or writing it has failed");
}

void BlockFileWriter::add(std::string_view record, std::string_view rest) {
  require_open();
  const std::size_t size = record.size() + rest.size();
  if (size > kMaxRecordBytes) {
    throw Error(ErrorCode::InvalidArgument, "a record of " + std::to_string(size) +
                                                " bytes is too large for a snapshot file; the limit is " +
                                                std::to_string(kMaxRecordBytes));
  }
  open_ = false;  // until it is through: half a record is never continued
  char length[4];
  codec::store(length, static_cast<std::uint32_t>(size));
  append(std::string_view(length, sizeof length));
  append(record);
  append(rest);
  ++counts_.records;
  open_ = true;
}

FileSummary BlockFileWriter::finish() {
  require_open();
  open_ = false;
  if (!raw_.empty()) write_block(raw_, 0);
  const block_format::Trailer trailer = counts_;
  write_block(block_format::encode(trailer), block_format::kLast);
  file_->sync_data();
  file_.reset();
  return {.bytes = offset_, .records = counts_.records, .hash = hash_.finish_hex(), .fold = fold_};
}

void BlockFileWriter::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t piece = std::min(bytes.size(), header_.block_bytes - raw_.size());
    raw_ += bytes.substr(0, piece);
    bytes.remove_prefix(piece);
    counts_.raw_bytes += piece;
    if (raw_.size() < header_.block_bytes) continue;
    write_block(raw_, 0);
    raw_.clear();
  }
}

void BlockFileWriter::write_block(std::string_view raw, std::uint32_t flags) {
  std::string_view packed;
  if (compressor_ && flags == 0) packed = compressor_->compress(raw);
  block_format::BlockHeader header{.flags = flags, .raw_bytes = static_cast<std::uint32_t>(raw.size())};
  if (!packed.empty()) header.flags |= block_format::kCompressed;
  const std::string_view content = packed.empty() ? raw : packed;
  header.stored_bytes = static_cast<std::uint32_t>(content.size() + (encryption_ ? kStreamOverhead : 0));
  block_.assign(kBlockHeaderBytes, '\0');
  block_format::encode(header, block_.data());
  if (encryption_) {
    encryption_->push(content, block_format::associated_data(block_.data(), counts_.blocks), flags != 0, block_);
  } else {
    block_ += content;
  }
  const std::uint64_t checksum = block_format::block_checksum(seed_, counts_.blocks, block_);
  codec::store(block_.data(), checksum);
  fold_ = block_format::fold_in(fold_, checksum);
  write(block_);
  ++counts_.blocks;
}

void BlockFileWriter::write(std::string_view bytes) {
  file_->write_at(offset_, bytes);
  hash_.add(bytes);
  offset_ += bytes.size();
}

}  // namespace azoth::backup
