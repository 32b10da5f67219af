// Targets of snapshot sets: manifests, the set's own files, snapshot files, their records, key files.
#include "azoth/backup/key_file.h"
#include "azoth/core/codec.h"
#include "block_file.h"
#include "compression.h"
#include "manifest.h"
#include "records.h"
#include "sealed_text.h"
#include "set_files.h"
#include "support/sim_disk.h"
#include "target.h"

namespace azoth::proof {
namespace {

using namespace backup;

const Key& fixed_key() {
  static const Key key = [] {
    put_file(scratch() / "fixed", "azoth backup key 1\n" + std::string(64, '5') + "\n");
    return load_key_file(scratch() / "fixed");
  }();
  return key;
}

const FileIdentity kFile{.set_id = {}, .ordinal = 7, .shards = 1};

// A file header that is right, and blocks of the fuzzer's whose checksums are, too.
std::string file_of(Input& input, bool compressed) {
  block_format::FileHeader header;
  header.identity = kFile;
  header.compressed = compressed;
  header.block_bytes = 64;
  std::string bytes = encode(header);
  const std::uint64_t seed = block_format::file_seed(bytes);
  for (std::uint64_t index = 0; !input.empty() && index < 64; ++index) {
    block_format::BlockHeader block{.flags = input.byte() % 4u, .raw_bytes = input.byte()};
    const std::string_view stored = input.take(input.byte());
    block.stored_bytes = static_cast<std::uint32_t>(stored.size());
    std::string text(block_format::kBlockHeaderBytes, '\0');
    block_format::encode(block, text.data());
    text += stored;
    codec::store(text.data(), block_format::block_checksum(seed, index, text));
    bytes += text;
  }
  return bytes;
}

void read_file_whole(std::string_view bytes, const Key* key) {
  test::SimDisk disk;
  disk.open("/file", FileSystem::Mode::Create)->write_at(0, bytes);
  accepted([&] {
    BlockFileReader reader(disk, "/file", kFile, {.key = key});
    std::uint64_t sum = 0;
    while (auto record = reader.next()) sum += record->size() + 4;
    expect(reader.offset() == bytes.size(), "nothing follows the trailer");
    expect(sum <= 64 * bytes.size(), "a block unpacks to no more than its size");
  });
}

AZOTH_FUZZ(block_file, "any bytes as a snapshot file are refused, or read to their end") {
  read_file_whole(input, nullptr);
}

AZOTH_FUZZ(blocks, "blocks whose checksums match are refused, or read to their end") {
  Input bytes(input);
  const bool compressed = bytes.byte() % 2 != 0;
  read_file_whole(file_of(bytes, compressed), nullptr);
}

// Written by the writer, then changed, checksums mended: only the authenticator is left to notice.
AZOTH_FUZZ(encrypted_blocks, "an encrypted file reads as it was written, or is refused") {
  Input bytes(input);
  test::SimDisk disk;
  const std::string record(bytes.take(bytes.byte()));
  BlockFileWriter writer(disk, "/file", kFile,
                         {.block_bytes = 64, .compression_level = bytes.byte() % 2, .key = &fixed_key()});
  writer.add(record);
  const FileSummary summary = writer.finish();
  std::string file = read_file(disk, "/file", std::size_t{1} << 20);
  const std::size_t at = block_format::kFileHeaderBytes + bytes.word() % (file.size() - block_format::kFileHeaderBytes);
  const std::string was = file;
  file[at] = static_cast<char>(file[at] ^ bytes.byte());
  const std::uint64_t seed = block_format::file_seed(std::string_view(file).substr(0, block_format::kFileHeaderBytes));
  std::size_t begin = block_format::kFileHeaderBytes;
  for (std::uint64_t index = 0; begin + block_format::kBlockHeaderBytes <= file.size(); ++index) {
    const auto header = block_format::decode_block_header(file.data() + begin);
    const std::size_t size = block_format::kBlockHeaderBytes + std::size_t{header.stored_bytes};
    if (size > file.size() - begin) break;
    codec::store(file.data() + begin,
                 block_format::block_checksum(seed, index, std::string_view(file).substr(begin, size)));
    begin += size;
  }
  disk.remove("/file");
  disk.open("/file", FileSystem::Mode::Create)->write_at(0, file);
  const bool read = accepted([&] {
    BlockFileReader reader(disk, "/file", kFile, {.key = &fixed_key()});
    const auto first = reader.next();
    expect(first && *first == record && !reader.next(), "what is authentic is what was written");
  });
  expect(read == (file == was), "whatever was changed is refused, and nothing else");
}

AZOTH_FUZZ(snapshot_records, "a record of a snapshot file is refused, or encodes to the same bytes") {
  Input bytes(input);
  const unsigned kind = bytes.byte() % 4;
  const std::string record(bytes.rest());
  std::string again;
  const bool good = accepted([&] {
    if (kind == 0) records::encode(records::state_row(record), again);
    if (kind == 1) records::encode(records::event(record), again);
    if (kind == 2) records::encode(records::own_row(record), again);
    if (kind == 3) records::encode(records::commit_piece(record), again);
  });
  expect(!good || again == record, "a record has one encoding");
}

AZOTH_FUZZ(manifest, "a manifest is refused, or encodes to the same bytes") {
  const std::string text = input.ends_with('}') || input.ends_with("}\n")
                               ? seal_text(input, "azoth snapshot manifest", nullptr)
                               : std::string(input);
  accepted([&] {
    const ReadManifest read = decode_manifest(text, nullptr, "manifest");
    expect(check_manifest(read.manifest).empty(), "a manifest that was read keeps the rules");
    expect(encode_manifest(read.manifest, nullptr) == text, "a manifest has one encoding");
  });
}

// Sealed, with a key or without, and then a piece of it replaced by what the input leaves.
AZOTH_FUZZ(sealed_text, "a sealed text opens as it was sealed, or is refused") {
  constexpr std::string_view kPurpose = "azoth snapshot set";
  Input bytes(input);
  const Key* key = bytes.byte() % 2 == 0 ? nullptr : &fixed_key();
  const std::string text = std::string(bytes.take(bytes.byte())) + '\n';
  const std::string was = seal_text(text, kPurpose, key);
  std::string sealed = was;
  const std::size_t at = bytes.word() % sealed.size();
  const std::size_t size = bytes.byte();
  sealed.replace(at, size, bytes.rest());
  const bool opened = accepted([&] {
    expect(open_sealed_text(sealed, kPurpose, key, "text").text == text, "what is opened is what was sealed");
  });
  expect(opened == (sealed == was), "whatever was changed is refused, and nothing else");
}

AZOTH_FUZZ(set_files, "SET and next are refused, or read within their bounds") {
  test::SimDisk disk;
  const std::string text(input.substr(input.empty() ? 0 : 1));
  const bool sealed = !input.empty() && input.front() % 2 == 0;
  const std::string bytes = sealed ? seal_text(text + "\n", "azoth snapshot set", nullptr) : text;
  for (const char* name : {"/SET", "/next"}) disk.open(name, FileSystem::Mode::Create)->write_at(0, bytes);
  const SetFiles files(disk, "/");
  accepted([&] { files.read_identity(nullptr); });
  accepted([&] { expect(files.read_next() <= kMaxOrdinal, "ordinals are bounded"); });
}

AZOTH_FUZZ(key_file, "a key file is refused, or is the one of its key") {
  put_file(scratch() / "key", input);
  accepted([&] { expect(load_key_file(scratch() / "key").id().size() == 16, "a key has an id"); });
}

AZOTH_FUZZ(compression, "what is unpacked has exactly the announced size and is written nowhere else") {
  Input bytes(input);
  const std::size_t size = bytes.word();
  const std::string_view compressed = bytes.rest();
  const auto unpacks_to = [&](std::size_t announced) {
    const std::string behind(64, '~');
    std::string to = std::string(announced, '\0') + behind;
    const bool done = Decompressor().decompress(compressed, to.data(), announced);
    expect(to.ends_with(behind), "nothing is written behind the announced size");
    return done;
  };
  if (!unpacks_to(size)) return;
  expect(!unpacks_to(size + 1) && (size == 0 || !unpacks_to(size - 1)), "another size is refused");
}

}  // namespace
}  // namespace azoth::proof
