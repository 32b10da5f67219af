#include "azoth/canonical/commit_record.h"

#include <string>

#include "azoth/core/error.h"
#include "commands.h"
#include "record.h"
#include "sequences.h"

namespace azoth {

static_assert(CommitFacts::kBytes == kRecordHeaderBytes);

namespace {

[[noreturn]] void refuse(const RecordHeader& header, const std::string& what) {
  throw Error(ErrorCode::Corruption, "the record of commit " + std::to_string(header.commit_seq) + " " + what);
}

// A command is answered with what its row says, so that must be of the commit that wrote it.
void check_command_row(const RecordHeader& header, const CommitInfo& row) {
  if (row.commit_seq == header.commit_seq && row.time == header.time && row.events == header.events &&
      row.first_event == header.first_event) {
    return;
  }
  refuse(header, "has the row of a command that commit " + std::to_string(row.commit_seq) + " has done");
}

}  // namespace

CommitFacts commit_facts(std::string_view record) {
  const RecordHeader header = decode_record_header(record);
  return {.commit = header.commit_seq,
          .time = header.time,
          .record_bytes = header.length,
          .operations = header.operations,
          .events = header.events,
          .first_event = header.first_event};
}

void check_record(std::string_view record, const std::function<void(const SequenceInfo&)>& reserved) {
  RecordReader reader(record);
  while (const auto entry = reader.next()) {
    if (entry->kind == RecordEntry::Kind::Event || entry->space == Space::State) continue;
    if (!is_own_name(entry->space, entry->key)) refuse(reader.header(), "has a row that no store has");
    if (entry->kind != RecordEntry::Kind::Set) continue;
    if (entry->space == Space::Command) check_command_row(reader.header(), decode_command(entry->key, entry->value));
    if (entry->space != Space::Sequence) continue;
    const SequenceInfo sequence = sequence_of_row(entry->key, entry->value);
    if (reserved) reserved(sequence);
  }
}

bool is_sequence_space(std::uint8_t space) { return space == static_cast<std::uint8_t>(Space::Sequence); }

SequenceInfo sequence_of_row(std::string_view key, std::string_view value) {
  return {.name = std::string(key), .next = decode_block(key, value).end()};
}

}  // namespace azoth
