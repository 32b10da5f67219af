#include "azoth/canonical/commit_record.h"

#include <string>

#include "commands.h"
#include "record.h"
#include "sequences.h"

namespace azoth {

static_assert(CommitFacts::kBytes == kRecordHeaderBytes);

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
    if (entry->kind != RecordEntry::Kind::Set) continue;
    if (entry->space == Space::Command) decode_command(entry->key, entry->value);
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
