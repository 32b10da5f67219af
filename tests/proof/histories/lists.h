// The lists that the recorded transactions append to and read: some are keys, whose value is the list; others are tags,
// whose events are it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace azoth::proof::histories {

using Word = std::uint32_t;
using Values = std::vector<Word>;

constexpr Word kKeySlots = 8;
constexpr Word kTagSlots = 6;
constexpr Word kSlots = kKeySlots + kTagSlots;

// In each slot one list is worked on at a time; when it is long enough the next number takes its place.
struct ListId {
  Word word = 0;  // as it is written down

  static ListId of(Word slot, Word number) { return {slot << 24 | number}; }
  Word slot() const { return word >> 24; }
  Word number() const { return word & 0xFFFFFF; }
  bool is_key() const { return slot() < kKeySlots; }
  std::string name() const;  // "k3/000012", "t2/000007": those of a slot are next to each other
  static ListId parse(std::string_view name);

  friend auto operator<=>(const ListId&, const ListId&) = default;
};

using Lists = std::map<ListId, Values>;

// One that wants to be done: to append a value, or to read.
struct Wish {
  ListId list;
  Word append = 0;  // 0: read

  friend bool operator==(const Wish&, const Wish&) = default;
};

// "12,13,14": the value of a key, and what it means.
std::string values_text(const Values& values);
Values parse_values(std::string_view text);

// What the last event of a transaction says: its number, and what it appended to keys; and an event of a list its
// value.
std::string txn_payload(Word txn, const std::vector<Wish>& appends);
struct TxnPayload {
  Word txn = 0;
  std::vector<Wish> appends;
};
TxnPayload parse_txn_payload(std::string_view payload);

constexpr std::string_view kTxnType = "txn";
constexpr std::string_view kAppendType = "append";
constexpr std::string_view kPaddingPrefix = "padding/";  // keys that make a transaction a bulk one

}  // namespace azoth::proof::histories
