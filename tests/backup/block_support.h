// What the tests of snapshot files share.
#pragma once

#include "block_file.h"
#include "support.h"

namespace azoth::backup::test {

inline const FileIdentity kIdentity{.set_id = uuid_of(1), .ordinal = 7, .shard = 1, .shards = 3};

inline FileSummary write_file(FileSystem& fs, const std::filesystem::path& path,
                              const std::vector<std::string>& records, const BlockOptions& options) {
  BlockFileWriter writer(fs, path, kIdentity, options);
  write_records(writer, records);
  return writer.finish();
}

inline std::vector<std::string> read_back(FileSystem& fs, const std::filesystem::path& path,
                                          BlockFileReader::Options options) {
  BlockFileReader reader(fs, path, kIdentity, std::move(options));
  return read_records(reader);
}

inline std::vector<std::string> random_records(std::mt19937_64& random, std::size_t count, std::size_t largest) {
  std::vector<std::string> records(count);
  for (std::string& record : records) {
    record.resize(random() % (largest + 1));
    const bool repetitive = random() % 2 == 0;
    for (char& c : record) c = static_cast<char>(repetitive ? 'a' : random());
  }
  return records;
}

}  // namespace azoth::backup::test
