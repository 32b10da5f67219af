// Targets of the store's own formats: events, records, the journal, retained sets, LMDB's pages.
#include <sys/mman.h>
#include <unistd.h>

#include <optional>

#include "azoth/canonical/retention.h"
#include "azoth/core/codec.h"
#include "azoth/core/digest.h"
#include "azoth/core/event.h"
#include "journal.h"
#include "lmdb_check.h"
#include "record.h"
#include "recovery.h"
#include "segment.h"
#include "support/sim_disk.h"
#include "target.h"

namespace azoth::proof {
namespace {

Uuid uuid_of(std::uint8_t byte) {
  Uuid id;
  id.bytes.fill(byte);
  return id;
}

void check_event(std::string_view body) {
  if (!event_codec::well_formed(body)) return;
  const EventView view(1, 1, Timestamp{}, body);
  Event event{.type = view.type(), .tags = {}, .payload = view.payload(), .metadata = view.metadata()};
  for (std::string_view tag : view.tags()) event.tags.push_back(tag);
  if (view.has_own_time()) event.time = view.time();
  event_codec::validate(event);
  std::string again;
  event_codec::append(again, event);
  expect(again == body && again.size() == event_codec::encoded_size(event), "an event has one encoding");
}

const JournalIdentity kIdentity{uuid_of(1), uuid_of(2), {{uuid_of(2), {}, 0}}, 1};

// Segments whose headers and checksums are right and whose numbers are the fuzzer's.
std::string segment_of(Input& input, std::uint64_t number) {
  SegmentHeader header;
  header.number = number;
  header.first_commit = input.byte();
  header.previous_number = input.byte();
  header.previous_valid_bytes = 64u * input.word();
  header.previous_checksum = input.byte();
  std::string bytes = header.encode(kIdentity);
  std::uint64_t link = header.checksum;
  for (unsigned batches = input.byte() % 8; batches > 0; --batches) {
    BatchHeader batch;
    batch.first_commit = input.byte();
    batch.last_commit = batch.first_commit + input.byte() % 4;
    batch.synced_through = input.byte();
    batch.lmdb_through = input.byte() % 8;
    batch.previous_checksum = input.byte() % 16 == 0 ? input.byte() : link;
    std::string text(kBatchHeaderBytes, '\0');
    text += input.take(input.byte());
    batch.encode(text, batch_seed(kIdentity, number));
    link = batch.checksum;
    text.resize(align_batch(text.size()));
    bytes += text;
  }
  return bytes;
}

void check_journal(test::SimDisk& disk, CommitSeq lmdb_commit) {
  CommitSeq expected = lmdb_commit + 1;
  accepted([&] {
    const JournalFiles files = list_journal(disk, "/journal", kIdentity);
    const ReplayPlan plan = plan_recovery(disk, "/journal", kIdentity, files, lmdb_commit, std::nullopt);
    replay(disk, "/journal", kIdentity, plan, lmdb_commit, [&](std::string_view record) {
      expect(RecordReader(record).header().commit_seq == expected++, "commits are replayed without gaps");
    });
    expect(plan.tail.last_commit + 1 == expected, "a plan that is carried out ends where it says");
  });
}

void put(test::SimDisk& disk, const std::string& name, std::string_view bytes) {
  disk.open("/journal/" + name, FileSystem::Mode::Create)->write_at(0, bytes);
}

AZOTH_FUZZ(event, "a body that is well formed is read inside of it and encodes to the same bytes") {
  check_event(input);
}

AZOTH_FUZZ(record, "a record is refused, or its entries are all of its bytes") {
  std::string record(input);
  if (record.size() >= kRecordHeaderBytes && record.front() % 2 == 0) {  // half of the time with a length that is right
    codec::store(record.data(), static_cast<std::uint32_t>(record.size()));
  }
  accepted([&] {
    RecordReader reader(record);
    std::size_t bytes = kRecordHeaderBytes;
    while (auto entry = reader.next()) {
      bytes += entry->bytes.size();
      if (entry->kind == RecordEntry::Kind::Event) check_event(entry->value);
    }
    expect(bytes == record.size(), "entries fill their record");
  });
}

AZOTH_FUZZ(segment_bytes, "recovery refuses any bytes or replays commits without a gap") {
  test::SimDisk disk;
  disk.make_directory("/journal");
  Input bytes(input);
  const CommitSeq lmdb_commit = bytes.byte();
  put(disk, segment_name(1), bytes.rest());
  check_journal(disk, lmdb_commit);
}

// What the segments leave of the input damages one byte of them, behind their checksums.
AZOTH_FUZZ(segments, "recovery refuses segments whose checksums match, or replays commits without a gap") {
  test::SimDisk disk;
  disk.make_directory("/journal");
  Input bytes(input);
  const CommitSeq lmdb_commit = bytes.byte();
  std::vector<std::string> segments(1 + bytes.byte() % 4);
  for (std::size_t i = 0; i < segments.size(); ++i) segments[i] = segment_of(bytes, i + 1);
  std::string& damaged = segments[bytes.byte() % segments.size()];
  char& at = damaged[bytes.word() % damaged.size()];
  at = static_cast<char>(at ^ bytes.byte());
  for (std::size_t i = 0; i < segments.size(); ++i) put(disk, segment_name(i + 1), segments[i]);
  check_journal(disk, lmdb_commit);
}

AZOTH_FUZZ(retained, "the file of a retained set is refused, or says what it says again when it is written") {
  test::SimDisk disk;
  disk.make_directory("/retain");
  const std::string name = "/retain/" + uuid_of(7).text();
  std::string check;
  codec::append(check, checksum64(input));
  disk.open(name, FileSystem::Mode::Create)
      ->write_at(0, std::string(input) + (input.ends_with('\n') ? "check " + to_hex(check) + "\n" : ""));
  std::vector<std::string> unreadable;
  const auto sets = Retention("/", disk).list(&unreadable);
  expect(sets.size() + unreadable.size() == 1, "it is read or named");
  if (sets.empty() || input.size() > 8000) return;  // of a very long place the beginning is written
  static const std::filesystem::path store = scratch() / "store";
  std::filesystem::create_directory(store);
  Retention again(store);
  again.set(sets.front());
  expect(again.list() == sets, "what was read says the same when it is written again");
}

AZOTH_FUZZ(lmdb_pages, "a file that LMDB would be given is refused, or walked without reading outside of it") {
  static const int fd = memfd_create("data.mdb", MFD_CLOEXEC);
  if (ftruncate(fd, 0) != 0) return;
  if (pwrite(fd, input.data(), input.size(), 0) != static_cast<ssize_t>(input.size())) return;
  accepted([&] {
    const LmdbFile file(fd, "data.mdb");
    const LmdbMeta meta = file.newest();
    if (meta.last_page < 1 << 16) check_lmdb(file, meta);
  });
}

}  // namespace
}  // namespace azoth::proof
