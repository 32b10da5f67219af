#include "sorted_runs.h"

#include <algorithm>
#include <memory>
#include <queue>

#include "azoth/core/codec.h"

namespace azoth {

namespace {
constexpr std::size_t kLengthBytes = sizeof(std::uint16_t);
constexpr std::size_t kBufferBytes = std::size_t{64} << 10;
static_assert(kBufferBytes < (std::size_t{1} << 17));
}  // namespace

// A file that is read front to back.
class SortedRuns::Run {
 public:
  Run(FileSystem& fs, const std::filesystem::path& path) : file_(fs.open(path, FileSystem::Mode::Read)) {}

  bool next() {
    if (!fill(kLengthBytes)) return false;
    const std::size_t size = kLengthBytes + codec::load<std::uint16_t>(buffer_.data() + used_);
    if (!fill(size)) return false;
    current_ = std::string_view(buffer_).substr(used_ + kLengthBytes, size - kLengthBytes);
    used_ += size;
    return true;
  }
  std::string_view current() const { return current_; }

 private:
  bool fill(std::size_t size) {
    if (buffer_.size() - used_ >= size) return true;
    buffer_.erase(0, used_);
    used_ = 0;
    const std::size_t have = buffer_.size();
    buffer_.resize(std::max(size, kBufferBytes));
    const std::size_t got = file_->read_at(offset_, buffer_.data() + have, buffer_.size() - have);
    offset_ += got;
    buffer_.resize(have + got);
    return buffer_.size() >= size;
  }

  std::unique_ptr<File> file_;
  std::uint64_t offset_ = 0;
  std::string buffer_;
  std::size_t used_ = 0;
  std::string_view current_;
};

SortedRuns::SortedRuns(FileSystem& fs, std::filesystem::path file, std::size_t run_bytes)
    : fs_(fs), file_(std::move(file)), run_bytes_(run_bytes) {}

SortedRuns::~SortedRuns() {
  try {
    for (std::size_t run = 0; run < files_; ++run) fs_.remove(path(run));
  } catch (const std::exception&) {  // whoever gave them a place clears it
  }
}

std::filesystem::path SortedRuns::path(std::size_t run) const {
  return file_.string() + "." + std::to_string(run) + ".tmp";
}

std::string_view SortedRuns::at(std::size_t offset) const {
  return std::string_view(bytes_).substr(offset + kLengthBytes, codec::load<std::uint16_t>(bytes_.data() + offset));
}

void SortedRuns::add(std::string_view bytes) {
  if (bytes_.size() + kLengthBytes + bytes.size() > run_bytes_ && !bytes_.empty()) spill();
  offsets_.push_back(static_cast<std::uint32_t>(bytes_.size()));
  codec::append(bytes_, static_cast<std::uint16_t>(bytes.size()));
  bytes_.append(bytes);
}

// Most comparisons are settled by the first bytes, which lie together; and what comes in order stays as it is.
void SortedRuns::sort() {
  const auto less = [this](std::uint32_t a, std::uint32_t b) { return at(a) < at(b); };
  if (std::is_sorted(offsets_.begin(), offsets_.end(), less)) return;
  struct Entry {
    std::uint64_t first;  // eight bytes, big-endian, zeros behind the end
    std::uint64_t second;
    std::uint32_t offset;
  };
  std::vector<Entry> entries;
  entries.reserve(offsets_.size());
  for (const std::uint32_t offset : offsets_) {
    char prefix[16] = {};
    at(offset).copy(prefix, sizeof prefix);
    entries.push_back({codec::load_big(prefix), codec::load_big(prefix + 8), offset});
  }
  std::sort(entries.begin(), entries.end(), [&](const Entry& a, const Entry& b) {
    if (a.first != b.first) return a.first < b.first;
    if (a.second != b.second) return a.second < b.second;
    return less(a.offset, b.offset);
  });
  std::transform(entries.begin(), entries.end(), offsets_.begin(), [](const Entry& entry) { return entry.offset; });
}

void SortedRuns::spill() {
  sort();
  const std::unique_ptr<File> file = fs_.open(path(files_), FileSystem::Mode::Create);
  ++files_;
  std::string buffer;
  std::uint64_t written = 0;
  const auto write = [&] {
    file->write_at(written, buffer);
    written += buffer.size();
    buffer.clear();
  };
  for (const std::uint32_t offset : offsets_) {
    buffer.append(bytes_, offset, kLengthBytes + at(offset).size());
    if (buffer.size() >= kBufferBytes) write();
  }
  write();
  bytes_.clear();
  offsets_.clear();
}

void SortedRuns::for_each(const std::function<void(std::string_view)>& each) {
  sort();
  std::vector<std::unique_ptr<Run>> runs;
  const auto later = [](const Run* a, const Run* b) { return a->current() > b->current(); };
  std::priority_queue<Run*, std::vector<Run*>, decltype(later)> next(later);
  for (std::size_t run = 0; run < files_; ++run) {
    runs.push_back(std::make_unique<Run>(fs_, path(run)));
    if (runs.back()->next()) next.push(runs.back().get());
  }
  auto in_memory = offsets_.begin();
  while (!next.empty() || in_memory != offsets_.end()) {
    const bool memory = in_memory != offsets_.end() && (next.empty() || at(*in_memory) <= next.top()->current());
    if (memory) {
      each(at(*in_memory++));
      continue;
    }
    Run* run = next.top();
    next.pop();
    each(run->current());
    if (run->next()) next.push(run);
  }
}

}  // namespace azoth
