// Every limit in one place. Fixed ones follow from the formats; the others are defaults of Options. Each is checked
// before anything changes, with an error code of its own.
#pragma once

#include <cstddef>
#include <cstdint>

namespace azoth::limits {

inline constexpr std::size_t kMaxKeyBytes = 511;           // LMDB's; a key has at least one byte
inline constexpr std::size_t kMaxTypeBytes = 255;          // an event type has at least one byte
inline constexpr std::size_t kMaxTagBytes = 255;           // a tag has at least one byte and no 0x00
inline constexpr std::size_t kMaxTags = 64;                // distinct tags of one event
inline constexpr std::size_t kMaxSequenceNameBytes = 128;  // a sequence's name has at least one byte
inline constexpr std::size_t kMaxOperations = 1'000'000;   // operations and events of one transaction
inline constexpr std::size_t kMaxCommandBytes = 128;       // a command id has at least one byte
inline constexpr std::size_t kMaxDeclaredKeys = 10'000;    // of one Transaction

inline constexpr std::size_t kDefaultMaxValueBytes = std::size_t{16} << 20;
inline constexpr std::size_t kDefaultMaxEventBytes = std::size_t{4} << 20;  // type, tags, metadata and payload
inline constexpr std::size_t kDefaultMaxTransactionBytes = std::size_t{64} << 20;

// What values and events may be raised to: a snapshot's record, which is a little more, has at most 512 MiB.
inline constexpr std::size_t kMaxRaisedBytes = std::size_t{511} << 20;

inline constexpr std::size_t kMinSegmentBytes = std::size_t{64} << 10;
inline constexpr std::size_t kMaxSegmentBytes = std::size_t{1} << 30;
inline constexpr std::size_t kMinDeltaBytes = std::size_t{64} << 10;
inline constexpr std::size_t kMaxDeltaBytes = std::size_t{64} << 30;
inline constexpr std::size_t kMinMapBytes = std::size_t{1} << 20;
inline constexpr unsigned kMinReaders = 2;
inline constexpr unsigned kMaxReaders = 65'536;  // 64 bytes of LMDB's lock file each, which are allocated at once

}  // namespace azoth::limits
