// The records of snapshot files (docs/format.md, "Records"): encoding, and decoding that trusts nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "azoth/core/event.h"

namespace azoth::backup::records {

struct StateRow {
  std::string_view key;
  std::string_view value;
};

struct OwnRow {
  std::uint8_t space;
  std::string_view key;
  std::string_view value;
};

struct CommitPiece {
  bool last;  // of its commit
  std::string_view bytes;
};

// Each replaces `to`. A head is what stands before the value, or the event's body.
void encode_head(const StateRow& row, std::string& to);
void encode_head(const EventView& event, std::string& to);
void encode(const StateRow& row, std::string& to);
void encode(const EventView& event, std::string& to);
void encode(const OwnRow& row, std::string& to);
void encode(const CommitPiece& piece, std::string& to);

// Views into the record. Throw Corruption.
StateRow state_row(std::string_view record);
EventView event(std::string_view record);
OwnRow own_row(std::string_view record);
CommitPiece commit_piece(std::string_view record);

}  // namespace azoth::backup::records
