// Snapshot files: records in, records out, in between blocks that are compressed, encrypted and checksummed.
//
// A record is any bytes, from none up to a bound. The records are one stream, each behind its length, which is cut into
// blocks of a fixed size; so a record may span blocks, and memory is bounded by the block's size and the largest
// record. The same records, identity and options give the same bytes, unless they are encrypted.
//
// The reader believes nothing: no length before it was compared with its bound and no byte before its block's checksum
// was right, of an encrypted file before the block was authenticated. A record may come out of a file whose later
// blocks turn out to be damaged: whoever acts on records that he cannot take back reads the file through before. The
// end that next() reports is certain: the trailer was there, its counts match, nothing follows it, and the file is the
// one that the expectation names.
//
// Neither is thread safe; several files can be written or read by a thread each.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "azoth/core/digest.h"
#include "azoth/core/file.h"
#include "azoth/core/limits.h"
#include "block_format.h"
#include "compression.h"
#include "crypto.h"

namespace azoth::backup {

inline constexpr std::size_t kMaxRecordBytes = std::size_t{512} << 20;
static_assert(limits::kMaxRaisedBytes + (std::size_t{1} << 20) <= kMaxRecordBytes);  // with what stands before it

struct BlockOptions {
  std::uint32_t block_bytes = std::uint32_t{256} << 10;
  int compression_level = 3;  // of zstd, 1..19; 0: none
  const Key* key = nullptr;   // encrypts; outlives the writer
};

// What a manifest says of a file.
struct FileSummary {
  std::uint64_t bytes = 0;
  std::uint64_t records = 0;
  std::string hash;  // BLAKE2b-256, hexadecimal
  // Over the checksums of its blocks, one after the other; no manifest has it. What tells a file that is read back at
  // once from the one that was written, at a tenth of the hash's price.
  std::uint64_t fold = 0;

  friend bool operator==(const FileSummary&, const FileSummary&) = default;
};

class BlockFileWriter {
 public:
  // Makes the file; AlreadyExists if there is one.
  BlockFileWriter(FileSystem& fs, const std::filesystem::path& path, const FileIdentity& identity,
                  const BlockOptions& options);
  ~BlockFileWriter();
  BlockFileWriter(const BlockFileWriter&) = delete;
  BlockFileWriter& operator=(const BlockFileWriter&) = delete;

  // A record, which may come in two parts. InvalidArgument if it is larger than kMaxRecordBytes.
  void add(std::string_view record, std::string_view rest = {});
  // Writes what is left and the trailer, and syncs. Once; nothing can be added after it. Without it, or when a call has
  // thrown, the file is no snapshot file.
  FileSummary finish();

  const FileIdentity& identity() const { return header_.identity; }

 private:
  void append(std::string_view bytes);
  void write_block(std::string_view raw, std::uint32_t flags);
  void write(std::string_view bytes);
  void require_open() const;

  std::filesystem::path path_;
  block_format::FileHeader header_;
  std::unique_ptr<File> file_;
  std::unique_ptr<Compressor> compressor_;
  std::unique_ptr<EncryptingStream> encryption_;
  std::uint64_t seed_ = 0;
  std::string raw_;    // of the block that is being filled
  std::string block_;  // as it is stored
  Digest hash_;
  std::uint64_t fold_ = 0;
  std::uint64_t offset_ = 0;
  block_format::Trailer counts_;
  bool open_ = true;
};

class BlockFileReader {
 public:
  struct Options {
    const Key* key = nullptr;                  // of an encrypted file; outlives the reader
    std::optional<FileSummary> expected = {};  // what the manifest says
    bool hashed = true;                        // else its hash was compared before, and only the blocks are checked
    std::size_t max_record_bytes = kMaxRecordBytes;
  };

  // Reads the header. Corruption if the file is not the one of this identity.
  BlockFileReader(FileSystem& fs, const std::filesystem::path& path, const FileIdentity& identity, Options options);
  ~BlockFileReader();
  BlockFileReader(const BlockFileReader&) = delete;
  BlockFileReader& operator=(const BlockFileReader&) = delete;

  // The next record, valid until the next call; nothing behind the last one. After an error nothing more is read.
  std::optional<std::string_view> next();

  std::uint64_t offset() const { return offset_; }  // behind the last block that was read
  std::uint64_t fold() const { return fold_; }      // of the blocks that were read

 private:
  void read_header(const FileIdentity& identity);
  void check_key() const;
  std::optional<std::string_view> read_record();
  bool next_block();  // false: that was the trailer
  void check_block_header(const block_format::BlockHeader& header) const;
  void unpack(const block_format::BlockHeader& header);
  void check_end();
  std::string_view take(std::size_t size);
  [[noreturn]] void damaged(const std::string& why) const;

  std::filesystem::path path_;
  Options options_;
  std::unique_ptr<File> file_;
  std::uint64_t file_bytes_ = 0;
  block_format::FileHeader header_;
  std::unique_ptr<DecryptingStream> encryption_;
  Decompressor decompressor_;
  std::uint64_t seed_ = 0;
  std::string stored_;    // the block with its header
  std::string packed_;    // decrypted, still compressed
  std::string raw_;       // unpacked
  std::size_t used_ = 0;  // of raw_
  std::string record_;    // one that spans blocks
  Digest hash_;
  std::uint64_t fold_ = 0;
  std::uint64_t offset_ = 0;
  block_format::Trailer counts_;
  block_format::Trailer trailer_;
  bool partial_block_seen_ = false;
  bool ended_ = false;
  bool failed_ = false;
};

// Reads the whole file and throws what is wrong with it.
void verify_block_file(FileSystem& fs, const std::filesystem::path& path, const FileIdentity& identity,
                       const BlockFileReader::Options& options);

}  // namespace azoth::backup
