// What a program did to the files below one directory, in order: written by the recorder (recorder.cc), which is loaded
// into the program, and read by those who work out what a power cut would have left.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace azoth::proof {

// The environment of the recorder. Without a root and a log it records nothing.
inline constexpr const char* kRootVariable = "AZOTH_PROOF_ROOT";    // absolute, without symbolic links
inline constexpr const char* kLogVariable = "AZOTH_PROOF_LOG";      // not below the root
inline constexpr const char* kFaultVariable = "AZOTH_PROOF_FAULT";  // see recorder.cc
inline constexpr const char* kMarkFunction = "azoth_proof_mark";    // void(const char*, std::size_t)

enum class OpKind : std::uint8_t {
  Open,           // path, inode, created, truncated
  Write,          // inode, offset, data; synchronous: on the disk when the call returned
  Resize,         // inode, offset: the new size; grows: only if that is more than it has
  Sync,           // inode: a file's bytes and size
  SyncDirectory,  // path
  Rename,         // path, other: the new one
  Remove,         // path: a file or a directory
  MakeDirectory,  // path
  Link,           // path: the new name; inode
  Map,            // inode: mapped shared and writable, so what is in it is not known
  Mark,           // data: what the program had to say
  Unknown,        // data: something that the recorder does not understand
};

namespace op_flag {
inline constexpr std::uint8_t kCreated = 1;
inline constexpr std::uint8_t kTruncated = 2;
inline constexpr std::uint8_t kSynchronous = 4;
inline constexpr std::uint8_t kGrows = 8;
}  // namespace op_flag

// On disk, followed by path, other and data.
struct OpHeader {
  OpKind kind;
  std::uint8_t flags;
  std::uint16_t path_bytes;
  std::uint16_t other_bytes;
  std::uint16_t zero;
  std::uint64_t inode;
  std::uint64_t offset;
  std::uint64_t data_bytes;
};

struct Op {
  OpKind kind;
  std::uint8_t flags = 0;
  std::uint64_t inode = 0;
  std::uint64_t offset = 0;
  std::string path = {};  // relative to the root; the root itself is empty
  std::string other = {};
  std::string data = {};

  bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
  std::string text() const;  // for people
};

std::vector<Op> read_trace(const std::filesystem::path& log);

}  // namespace azoth::proof
