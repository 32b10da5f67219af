// A WriteSet is one transaction in the making: puts, deletes and events, in the order in which they take effect. It is
// private to its owner until it is submitted, costs no I/O, and is already encoded as the journal will hold it.
//
// Not thread-safe. A call that throws leaves it unchanged. Applying the same set twice is two transactions. A set that
// was moved from is empty and can be filled again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "azoth/core/bytes.h"
#include "azoth/core/event.h"

namespace azoth {

class WriteSet {
 public:
  WriteSet();
  WriteSet(const WriteSet&) = default;
  WriteSet& operator=(const WriteSet&) = default;
  WriteSet(WriteSet&& other) noexcept
      : record_(std::exchange(other.record_, {})), counts_(std::exchange(other.counts_, {})) {}
  WriteSet& operator=(WriteSet&& other) noexcept {
    record_ = std::exchange(other.record_, {});
    counts_ = std::exchange(other.counts_, {});
    return *this;
  }

  // Sets a key. The last of several operations on one key wins. Throws KeyEmpty, KeyTooLarge, TooManyOperations,
  // TransactionTooLarge (past 4 GiB; the configured limits are checked when it is submitted).
  WriteSet& put(BytesView key, BytesView value);
  // Removes a key; removing an absent one is fine.
  WriteSet& del(BytesView key);
  // Appends an event; its id is assigned at commit, in this order. Throws EventTypeInvalid, TagInvalid, TooManyTags.
  WriteSet& append(const Event& event);

  bool empty() const { return counts_.operations + counts_.events == 0; }
  std::uint32_t puts() const { return counts_.puts; }
  std::uint32_t deletes() const { return counts_.deletes; }
  std::uint32_t operations() const { return counts_.operations; }
  std::uint32_t events() const { return counts_.events; }
  std::size_t bytes() const { return record_.size(); }  // as the journal will hold it
  std::size_t largest_value() const { return counts_.largest_value; }
  std::size_t largest_event() const { return counts_.largest_event; }  // without a time of its own
  std::size_t tags() const { return counts_.tags; }                    // over all events

 private:
  friend class RecordBuilder;  // canonical/src/record.h
  void make_room(std::size_t bytes);

  struct Counts {
    std::uint32_t puts = 0;  // of the state, as are deletes
    std::uint32_t deletes = 0;
    std::uint32_t operations = 0;  // with the store's own
    std::uint32_t events = 0;
    std::size_t tags = 0;
    std::size_t command_row = 0;  // where in the record its numbers go; 0: there is none
    std::size_t largest_value = 0;
    std::size_t largest_event = 0;
  };

  std::string record_;  // empty if moved from, else it begins with room for the header
  Counts counts_;
};

}  // namespace azoth
