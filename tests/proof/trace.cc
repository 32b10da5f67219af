#include "trace.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string_view>

namespace azoth::proof {

std::string Op::text() const {
  switch (kind) {
    case OpKind::Open:
      return "open " + path;
    case OpKind::Write:
      return "write " + std::to_string(data.size()) + " bytes at " + std::to_string(offset);
    case OpKind::Resize:
      return "resize to " + std::to_string(offset);
    case OpKind::Sync:
      return "sync";
    case OpKind::SyncDirectory:
      return "sync directory " + path;
    case OpKind::Rename:
      return "rename " + path + " to " + other;
    case OpKind::Remove:
      return "remove " + path;
    case OpKind::MakeDirectory:
      return "make directory " + path;
    case OpKind::Link:
      return "link " + path;
    case OpKind::Map:
      return "map";
    case OpKind::Mark:
      return "mark: " + data;
    case OpKind::Unknown:
      return "unknown: " + data;
  }
  return "?";
}

std::vector<Op> read_trace(const std::filesystem::path& log) {
  std::ifstream stream(log, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(stream), {});
  std::string_view rest = bytes;
  auto take = [&](std::size_t size) {
    if (rest.size() < size) throw std::runtime_error("the trace " + log.string() + " ends in the middle of an entry");
    std::string_view taken = rest.substr(0, size);
    rest.remove_prefix(size);
    return taken;
  };
  std::vector<Op> ops;
  while (!rest.empty()) {
    OpHeader header{};
    std::memcpy(&header, take(sizeof header).data(), sizeof header);
    Op op{header.kind, header.flags, header.inode, header.offset, {}, {}, {}};
    op.path = take(header.path_bytes);
    op.other = take(header.other_bytes);
    op.data = take(header.data_bytes);
    ops.push_back(std::move(op));
  }
  return ops;
}

}  // namespace azoth::proof
