#include <algorithm>
#include <utility>

#include "azoth/core/codec.h"
#include "block_file.h"

namespace azoth::backup {

using block_format::BlockHeader;
using block_format::kBlockHeaderBytes;

BlockFileReader::BlockFileReader(FileSystem& fs, const std::filesystem::path& path, const FileIdentity& identity,
                                 Options options)
    : path_(path), options_(std::move(options)), file_(fs.open(path, FileSystem::Mode::Read)) {
  file_bytes_ = file_->size();
  if (options_.expected && options_.expected->bytes != file_bytes_) {
    block_format::damaged(path_, std::min(file_bytes_, options_.expected->bytes),
                          "it has " + std::to_string(file_bytes_) + " bytes, its manifest says " +
                              std::to_string(options_.expected->bytes));
  }
  read_header(identity);
}

BlockFileReader::~BlockFileReader() {
  if (!header_.encrypted()) return;
  wipe(raw_.data(), raw_.size());
  wipe(packed_.data(), packed_.size());
  wipe(record_.data(), record_.size());
}

void BlockFileReader::damaged(const std::string& why) const { block_format::damaged(path_, offset_, why); }

void BlockFileReader::read_header(const FileIdentity& identity) {
  std::string bytes(block_format::kFileHeaderBytes, '\0');
  bytes.resize(file_->read_at(0, bytes.data(), bytes.size()));
  header_ = block_format::decode_file_header(bytes, path_);
  if (header_.identity != identity) {
    damaged("it is another file, " + describe(header_.identity) + ", in the place of " + describe(identity));
  }
  check_key();
  if (header_.encrypted()) {
    Secret secret;
    block_format::file_key(*options_.key, header_, secret);
    encryption_ = std::make_unique<DecryptingStream>(secret, header_.stream_header);
  }
  seed_ = block_format::file_seed(bytes);
  hash_.add(bytes);
  offset_ = bytes.size();
}

void BlockFileReader::check_key() const {
  if (!header_.encrypted() && options_.key != nullptr) {
    damaged("it is not encrypted, but its set is");
  }
  if (header_.encrypted() && options_.key == nullptr) {
    throw Error(ErrorCode::InvalidArgument,
                path_.native() + " is encrypted; give the key file with key " + header_.key_id);
  }
  if (header_.encrypted() && options_.key->id() != header_.key_id) {
    throw Error(ErrorCode::InvalidArgument, path_.native() + " is encrypted with key " + header_.key_id +
                                                ", but the key file has key " + options_.key->id() +
                                                "; give the key file that belongs to it");
  }
}

std::optional<std::string_view> BlockFileReader::next() {
  if (ended_) return std::nullopt;
  if (failed_) {
    throw Error(ErrorCode::InvalidArgument, "reading " + path_.native() + " has failed; nothing more is read from it");
  }
  failed_ = true;  // until this record is whole: where the next one begins is not known after an error
  const std::optional<std::string_view> record = read_record();
  failed_ = false;
  return record;
}

std::optional<std::string_view> BlockFileReader::read_record() {
  if (used_ == raw_.size() && !next_block()) return std::nullopt;
  char bytes[4];
  for (std::size_t have = 0; have < sizeof bytes;) have += take(sizeof bytes - have).copy(bytes + have, 4 - have);
  const auto size = codec::load<std::uint32_t>(bytes);
  if (size > options_.max_record_bytes) {
    damaged("a record has " + std::to_string(size) + " bytes, more than the limit of " +
            std::to_string(options_.max_record_bytes));
  }
  ++counts_.records;
  if (size == 0) return std::string_view{};
  std::string_view piece = take(size);
  if (piece.size() == size) return piece;
  record_ = piece;  // grows by what is there, not by what was announced
  while (record_.size() < size) record_ += take(size - record_.size());
  return record_;
}

// Up to `size` bytes, at least one; a record that has begun does not end with the blocks.
std::string_view BlockFileReader::take(std::size_t size) {
  if (used_ == raw_.size() && !next_block()) damaged("the blocks end within a record");
  const std::string_view piece = std::string_view(raw_).substr(used_, size);
  used_ += piece.size();
  return piece;
}

bool BlockFileReader::next_block() {
  stored_.resize(kBlockHeaderBytes);
  if (file_->read_at(offset_, stored_.data(), kBlockHeaderBytes) != kBlockHeaderBytes) {
    damaged("the file ends without a trailer: it was cut off");
  }
  const BlockHeader header = block_format::decode_block_header(stored_.data());
  check_block_header(header);
  stored_.resize(kBlockHeaderBytes + header.stored_bytes);
  if (file_->read_at(offset_ + kBlockHeaderBytes, stored_.data() + kBlockHeaderBytes, header.stored_bytes) !=
      header.stored_bytes) {
    damaged("the file ends within a block: it was cut off");
  }
  if (block_format::block_checksum(seed_, counts_.blocks, stored_) != header.checksum) {
    damaged("the checksum of block " + std::to_string(counts_.blocks) + " does not match");
  }
  unpack(header);
  if (options_.hashed) hash_.add(stored_);
  fold_ = block_format::fold_in(fold_, header.checksum);
  const bool last = (header.flags & block_format::kLast) != 0;
  if (last) {
    trailer_ = block_format::decode_trailer(raw_);
    check_end();
    raw_.clear();
    ended_ = true;
  } else {
    ++counts_.blocks;
    counts_.raw_bytes += raw_.size();
    partial_block_seen_ = raw_.size() < header_.block_bytes;
  }
  offset_ += stored_.size();
  used_ = 0;
  return !last;
}

// The lengths, before anything is allocated by them. Both are bounded by the block size, which the header bounds.
void BlockFileReader::check_block_header(const BlockHeader& header) const {
  const std::uint64_t overhead = encryption_ ? kStreamOverhead : 0;
  const bool compressed = (header.flags & block_format::kCompressed) != 0;
  const bool last = (header.flags & block_format::kLast) != 0;
  const std::uint64_t full = header.raw_bytes + overhead;
  const bool sizes_fit = header.raw_bytes >= 1 && header.raw_bytes <= header_.block_bytes &&
                         header.stored_bytes > overhead &&
                         (compressed ? header.stored_bytes < full : header.stored_bytes == full);
  const bool flags_fit = header.flags <= (block_format::kCompressed | block_format::kLast) && !(compressed && last) &&
                         (!compressed || header_.compressed) && codec::load<std::uint32_t>(stored_.data() + 20) == 0;
  const bool place_fits = last ? header.raw_bytes == block_format::kTrailerBytes : !partial_block_seen_;
  if (!sizes_fit || !flags_fit || !place_fits) {
    damaged("the header of block " + std::to_string(counts_.blocks) + " has values that no writer writes");
  }
}

void BlockFileReader::unpack(const BlockHeader& header) {
  const std::string_view content = std::string_view(stored_).substr(kBlockHeaderBytes);
  const bool compressed = (header.flags & block_format::kCompressed) != 0;
  std::string_view packed = content;
  if (encryption_) {
    std::string& to = compressed ? packed_ : raw_;
    to.resize(content.size() - kStreamOverhead);
    const std::string associated = block_format::associated_data(stored_.data(), counts_.blocks);
    if (!encryption_->pull(content, associated, (header.flags & block_format::kLast) != 0, to.data())) {
      damaged("block " + std::to_string(counts_.blocks) +
              " is not what was encrypted with this set's key at this place: it was changed on purpose");
    }
    packed = to;
  }
  if (compressed) {
    raw_.resize(header.raw_bytes);
    if (!decompressor_.decompress(packed, raw_.data(), raw_.size())) {
      damaged("block " + std::to_string(counts_.blocks) + " does not decompress to its size");
    }
  } else if (!encryption_) {
    raw_.assign(packed);
  }
}

void BlockFileReader::check_end() {
  if (trailer_.blocks != counts_.blocks || trailer_.records != counts_.records ||
      trailer_.raw_bytes != counts_.raw_bytes) {
    damaged("the trailer counts " + std::to_string(trailer_.blocks) + " blocks and " +
            std::to_string(trailer_.records) + " records, the file has " + std::to_string(counts_.blocks) + " and " +
            std::to_string(counts_.records));
  }
  if (file_bytes_ != offset_ + stored_.size()) damaged("something follows the trailer");
  if (!options_.expected) return;
  const bool hash_fits = !options_.hashed || options_.expected->hash == hash_.finish_hex();
  if (options_.expected->records != counts_.records || !hash_fits) {
    block_format::damaged(path_, 0, "it is a valid file, but not the one that its manifest names");
  }
}

void verify_block_file(FileSystem& fs, const std::filesystem::path& path, const FileIdentity& identity,
                       const BlockFileReader::Options& options) {
  BlockFileReader reader(fs, path, identity, options);
  while (reader.next()) {
  }
}

}  // namespace azoth::backup
